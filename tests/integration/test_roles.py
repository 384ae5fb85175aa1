"""Two roles: one owns the tables and migrates them, the other is the functions', which may read and write rows and change no table."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.db.roles import ROLE_SETTINGS
from chalicelib.entrypoints import maintenance, roles
from tests.support.servers import PostgresServer

PASSWORD = "of-this-test"
FORBIDDEN = [
    "CREATE TABLE campusg.more (one int)",
    "CREATE TABLE public.more (one int)",
    "CREATE SCHEMA more",
    "ALTER TABLE campusg.orders ADD COLUMN more int",
    "DROP TABLE campusg.orders",
    "TRUNCATE campusg.orders",
    "CREATE INDEX ON campusg.orders (order_id)",
    "CREATE FUNCTION campusg.more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION campusg.settle_outbox(ids bigint[]) RETURNS void LANGUAGE sql AS ''",
    "UPDATE campusg.alembic_version SET version_num = '0001'",
    "CREATE ROLE more",
]
LOCKED = """
    SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'campusg'::regnamespace AND c.relkind = 'r' AND NOT (
        SELECT bool_and(has_table_privilege(c.oid, wanted)) FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) wanted)"""


@dataclass(frozen=True)
class Roles:
    """A database on a server like RDS: its master makes roles and owns the database, but is no superuser."""

    url: sa.URL
    master: str
    owner: str
    functions: str

    def as_role(self, name: str) -> str:
        return self.url.set(username=name, password=PASSWORD).render_as_string(hide_password=False)

    def run(self, name: str, statement: str) -> list[str]:
        """What a statement answers to a role, over a new connection."""
        engine = make_engine(self.as_role(name), pool_size=1)
        try:
            with engine.begin() as session:
                result = session.execute(sa.text(statement))
                return [str(value) for value in result.scalars()] if result.returns_rows else []
        finally:
            engine.dispose()


@pytest.fixture
def made(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Roles]:
    """Both roles made, and the tables migrated, by the functions that do so on AWS: twice."""
    execute, number = postgres_server.server.execute, uuid4().hex[:8]
    url = sa.make_url(postgres_server.create_database())
    found = Roles(url, f"master_{number}", f'owner "{number}"', f"functions_{number}")
    execute(f"CREATE ROLE {found.master} LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
    execute("CREATE ROLE rds_iam")
    execute(f"GRANT rds_iam TO {found.master} WITH ADMIN OPTION")
    execute(f'ALTER DATABASE "{found.url.database}" OWNER TO {found.master}')
    monkeypatch.setenv("DATABASE_OWNER_ROLE", found.owner)
    monkeypatch.setenv("DATABASE_FUNCTIONS_ROLE", found.functions)
    for _ in range(2):
        monkeypatch.setenv("DATABASE_URL", found.as_role(found.master))
        assert roles.make_roles({}, None) == {"status": "made"}
        for name in (found.owner, found.functions):
            execute(f"""ALTER ROLE "{name.replace('"', '""')}" PASSWORD '{PASSWORD}'""")
        monkeypatch.setenv("DATABASE_URL", found.as_role(found.owner))
        assert maintenance.migrate() == {"status": "migrated"}
    yield found
    execute(f'DROP DATABASE "{found.url.database}" WITH (FORCE)')
    for name in (found.functions, found.owner, found.master, "rds_iam"):
        execute(f"""DROP ROLE "{name.replace('"', '""')}\"""")


def test_what_rights_each_role_has(made: Roles) -> None:
    owners = made.run(made.functions, "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'campusg'")
    assert owners == [made.owner]
    for name in (made.owner, made.functions):
        assert made.run(name, "SELECT pg_has_role('rds_iam', 'MEMBER')") == ["True"], "it signs in by IAM"
    # It may read and write each table, other than the migrations' own.
    assert made.run(made.functions, LOCKED) == ["alembic_version"]
    # No statement of a role that may wait for ever would end where a function's time is over.
    for name, value in ROLE_SETTINGS.items():
        assert made.run(made.functions, f"SHOW {name}") == [value]


def test_the_functions_role_changes_no_table(made: Roles) -> None:
    for statement in FORBIDDEN:
        with pytest.raises(sa.exc.ProgrammingError) as refused:
            made.run(made.functions, statement)
        assert "42501" in str(refused.value), statement
