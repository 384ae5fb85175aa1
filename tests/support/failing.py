"""A database that fails on purpose: triggers that raise any SQLSTATE, or take their time, for one order or for all."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.database import FUNCTIONS_ROLE, Placed, World

ROWS = {"orders": "order_id", "sagas": "order_id", "outbox": "ordering_key", "readiness": "one"}
SECRET = "a row that nobody else may see"


@contextmanager
def raising(world: World, code: str, table: str = "orders", only: Placed | None = None) -> Iterator[None]:
    """Every INSERT or UPDATE of the table, or those of one order, raise this SQLSTATE while the block runs."""
    with _trigger(world, f"RAISE EXCEPTION '{SECRET}' USING ERRCODE = '{code}', DETAIL = '{SECRET}', HINT = '{SECRET}'", table, only):
        yield


@contextmanager
def slow(world: World, seconds: float, table: str = "sagas", only: Placed | None = None) -> Iterator[None]:
    """Every INSERT or UPDATE of the table, or those of one order, take so long while the block runs."""
    with _trigger(world, f"PERFORM pg_sleep({seconds})", table, only):
        yield


@contextmanager
def _trigger(world: World, does: str, table: str, only: Placed | None) -> Iterator[None]:
    condition = f"NEW.{ROWS[table]} = '{only.order_id}'" if only else "true"
    world.rows(f"""
        CREATE FUNCTION campusg.failing() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN IF {condition} THEN {does}; END IF; RETURN NEW; END $$""")
    world.rows(f"CREATE TRIGGER failing BEFORE INSERT OR UPDATE ON campusg.{table} FOR EACH ROW EXECUTE FUNCTION campusg.failing()")
    try:
        yield
    finally:
        world.rows("DROP FUNCTION campusg.failing CASCADE")


@contextmanager
def role_set(world: World, setting: str, value: str) -> Iterator[None]:
    """New connections of the functions' role to this database have the setting while the block runs."""
    [database] = world.rows("SELECT quote_ident(current_database()) AS name")
    role = f"ALTER ROLE {FUNCTIONS_ROLE} IN DATABASE {database['name']}"
    [before] = world.rows(f"SHOW {setting}")
    world.rows(f"{role} SET {setting} = '{value}'")
    try:
        yield
    finally:
        world.rows(f"{role} SET {setting} = '{next(iter(before.values()))}'")
