"""Whether a PostgreSQL server and database can be used: what the code rests on and the migrations can't set for its role.

What they can set stands in `ROLE_SETTINGS` of `chalicelib/db/roles.py`; infra/docs/operations.md has both lists with their reasons.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

OLDEST_POSTGRES = 15

READ = sa.text("""
    SELECT CAST(current_setting('server_version_num') AS int) / 10000 AS version, current_setting('server_encoding') AS encoding,
        current_setting('session_replication_role') AS replication_role, current_setting('default_transaction_read_only') AS read_only,
        pg_is_in_recovery() AS is_replica, quote_ident(current_database()) AS database, quote_ident(session_user) AS role""")


def unfit(session: sa.Connection, *, writes: bool = True) -> str | None:
    """Why this database can't be used, and what to do about it, in a sentence; None where it can. Without `writes` reading will do."""
    found = session.execute(READ).mappings().one()
    return _unreadable(found) or (_unwritable(found) if writes else None)


def _unreadable(found: Mapping[Any, Any]) -> str | None:
    if found["version"] < OLDEST_POSTGRES:
        return f"PostgreSQL {found['version']} is too old, {OLDEST_POSTGRES} or newer is needed"
    if found["encoding"] != "UTF8":
        return (
            f"the database {found['database']} is encoded in {found['encoding']}, so that names could be refused or garbled; "
            "make another one by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 and name that"
        )
    return None


def _unwritable(found: Mapping[Any, Any]) -> str | None:
    role, database = found["role"], found["database"]
    if found["is_replica"]:
        return "the server is a replica and takes no writes; name the primary"
    if found["read_only"] == "on":
        return (
            f"default_transaction_read_only is on, so that nothing could be written; take it back by ALTER ROLE {role} RESET …, "
            f"ALTER ROLE {role} IN DATABASE {database} RESET …, ALTER DATABASE {database} RESET … or in postgresql.conf, wherever it is set"
        )
    if found["replication_role"] != "origin":
        return (
            f"session_replication_role is {found['replication_role']}, so that foreign keys and triggers would not hold; "
            f"take it back by ALTER ROLE {role} RESET session_replication_role, or wherever else it is set"
        )
    return None
