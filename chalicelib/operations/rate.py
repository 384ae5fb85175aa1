"""How many requests a caller has made this minute: one statement a request, and only where a limit is set."""

import sqlalchemy as sa

# A fixed window of a minute. Refused requests count too, so that hammering does not pay.
COUNT = sa.text("""
    INSERT INTO campusg.request_rates AS r (sub, minute, requests) VALUES (:sub, date_trunc('minute', clock_timestamp()), 1)
    ON CONFLICT (sub, minute) DO UPDATE SET requests = r.requests + 1
    RETURNING requests, ceil(extract(epoch FROM minute + interval '1 minute' - clock_timestamp()))::int AS seconds_left""")

PURGE = sa.text("""
    DELETE FROM campusg.request_rates WHERE (sub, minute) IN (
        SELECT sub, minute FROM campusg.request_rates
        WHERE minute < (SELECT clock_timestamp() - interval '2 minutes') ORDER BY minute LIMIT :most)""")


def count_request(session: sa.Connection, sub: str) -> tuple[int, int]:
    """Count one more request of `sub`; return how many that makes this minute, and how many seconds of it are left."""
    row = session.execute(COUNT, {"sub": sub}).one()
    return row.requests, max(row.seconds_left, 1)


def purge(session: sa.Connection, most: int) -> int:
    """Delete up to `most` counts of minutes long past, and return how many there were."""
    return session.execute(PURGE, {"most": most}).rowcount
