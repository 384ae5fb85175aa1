"""Whether the database takes a write."""

import sqlalchemy as sa

# However many ask, one of them writes five times a second at most; nobody waits for another's lock. Where nothing may be written (a
# replica, a read-only database) the statement is refused whether the row is due or not. A new version of a row finds room in its page
# even where the disk is full, so the function has more rows than work_mem holds go to a temporary file. Nothing of either grows.
WRITE = sa.text("""
    WITH due AS (
        SELECT one FROM campusg.readiness WHERE checked_at <= clock_timestamp() - interval '0.2 seconds' FOR UPDATE SKIP LOCKED)
    UPDATE campusg.readiness r SET checked_at = clock_timestamp() FROM due WHERE r.one = due.one
    RETURNING campusg.write_temporary_file()""")


def write(session: sa.Connection) -> None:
    """Write a row and a temporary file, unless somebody else has just done so; raises what the database says where it takes no writes."""
    session.execute(WRITE)
