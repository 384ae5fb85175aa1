"""The roles: one that owns the tables and migrates them, and one as which the functions work, which can't change a table's form.

With one role for both, as at home, the migration sets up whatever role it runs as.
"""

from collections.abc import Mapping

import sqlalchemy as sa

# What a role may wait for, and what the code rests on whatever the server's defaults: each statement's own snapshot, durable commits,
# any text, values as the driver reads and writes them, and no compiler, which takes seconds for the audit's statements and gains nothing by
# any. What can't be set here is asked by `chalicelib.db.server`.
ROLE_SETTINGS: Mapping[str, str] = {
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "8s",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "jit": "off",
}
# RDS has it: who is granted it signs in by IAM, and no longer by password.
IAM_ROLE = "rds_iam"

EXISTS = sa.text("SELECT count(*) > 0 FROM pg_roles WHERE rolname = :name")
HERE = sa.text("SELECT quote_ident(current_database())")
RIGHTS = (
    "GRANT USAGE ON SCHEMA campusg TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA campusg TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA campusg TO {role}",
    "REVOKE ALL ON campusg.alembic_version FROM {role}",
)


def make_roles(session: sa.Connection, owner: str, functions: str) -> None:
    """Make both roles, or set up those that are there; safe to run again. The session's role must own the database and may make roles.

    They have no password: where there is no IAM, they need one before they can sign in.
    """
    database = session.execute(HERE).scalar_one()
    by_iam = session.execute(EXISTS, {"name": IAM_ROLE}).scalar_one()
    for name in (owner, functions):
        role = quoted(session, name)
        if not session.execute(EXISTS, {"name": name}).scalar_one():
            session.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        if by_iam:
            session.execute(sa.text(f"GRANT {IAM_ROLE} TO {role}"))
        session.execute(sa.text(f"GRANT CONNECT ON DATABASE {database} TO {role}"))
    session.execute(sa.text(f"GRANT CREATE ON DATABASE {database} TO {quoted(session, owner)}"))
    set_up(session, quoted(session, functions))


def grant(session: sa.Connection, functions: str) -> None:
    """Let the functions' role read and write every table there is now; the session's role must own them."""
    role = quoted(session, functions)
    for right in RIGHTS:
        session.execute(sa.text(right.format(role=role)))


def set_up(session: sa.Connection, role: str) -> None:
    """Set a role, given in quotes, up in this database: RDS Proxy takes no start-up options, and a SET would pin its session."""
    database = session.execute(HERE).scalar_one()
    for name, value in ROLE_SETTINGS.items():
        session.execute(sa.text(f"ALTER ROLE {role} IN DATABASE {database} SET {name} = '{value}'"))


def quoted(session: sa.Connection, name: str) -> str:
    """A role's name as it stands in a statement."""
    return str(session.execute(sa.text("SELECT quote_ident(:name)"), {"name": name}).scalar_one())
