"""Idempotency keys: the claim is a row in the order's own transaction, so a request with a key takes effect once.

Source: the Idempotency-Key draft (draft-ietf-httpapi-idempotency-key-header-07), and Stripe's practice of keeping the first answer.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import sqlalchemy as sa

from chalicelib.errors import InFlight, KeyReused, Replayed

LIFETIME = timedelta(hours=24)
# A first answer mostly comes long before it is due: whoever repeats looks again this soon, in seconds.
LONGEST_RETRY_AFTER = 5

CLAIM = sa.text("""
    INSERT INTO campusg.idempotency_keys AS k (sub, key, fingerprint, response, in_flight_until, expires_at)
    VALUES (:sub, :key, :fingerprint, '{}', clock_timestamp() + make_interval(secs => :in_flight),
            clock_timestamp() + make_interval(secs => :lifetime))
    ON CONFLICT (sub, key) DO UPDATE SET fingerprint = excluded.fingerprint, response = excluded.response,
        in_flight_until = excluded.in_flight_until, expires_at = excluded.expires_at
        WHERE k.expires_at <= clock_timestamp()
    RETURNING 1""")

READ = sa.text("""
    SELECT fingerprint, response, extract(epoch FROM in_flight_until - clock_timestamp()) AS in_flight
    FROM campusg.idempotency_keys WHERE sub = :sub AND key = :key""")

KEEP = sa.text("""
    UPDATE campusg.idempotency_keys
    SET response = CAST(:response AS jsonb), in_flight_until = CASE WHEN :final THEN NULL ELSE in_flight_until END
    WHERE sub = :sub AND key = :key AND fingerprint = :fingerprint""")

# Behind the row's lock, which a repeat takes as well: one that came late was given the first answer, and this one comes too late then.
REPLACE = sa.text("""
    WITH held AS MATERIALIZED (
        SELECT sub, key, in_flight_until FROM campusg.idempotency_keys
        WHERE sub = :sub AND key = :key AND fingerprint = :fingerprint FOR NO KEY UPDATE)
    UPDATE campusg.idempotency_keys k SET response = CAST(:response AS jsonb), in_flight_until = NULL
    FROM held WHERE k.sub = held.sub AND k.key = held.key AND held.in_flight_until > clock_timestamp()
    RETURNING 1""")

DROP = sa.text("DELETE FROM campusg.idempotency_keys WHERE sub = :sub AND key = :key")

PURGE = sa.text("""
    DELETE FROM campusg.idempotency_keys WHERE (sub, key) IN (
        SELECT sub, key FROM campusg.idempotency_keys WHERE expires_at <= (SELECT clock_timestamp()) ORDER BY expires_at LIMIT :most)""")


Once: TypeAlias = Callable[[sa.Connection], None]


@dataclass(frozen=True)
class Claim:
    """A caller's key for one request; `fingerprint` stands for all that makes it the same request.

    `in_flight` seconds at most the final answer is on its way; until then a repeat is told when to come again.
    """

    sub: str
    key: str
    fingerprint: bytes
    in_flight: float

    def begin(self, session: sa.Connection) -> None:
        """Take the key, waiting for whoever is just taking it.

        Raises Replayed with the first answer, KeyReused where the key was used for something else, InFlight.
        """
        parameters = {
            "sub": self.sub,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "in_flight": self.in_flight,
            "lifetime": LIFETIME.total_seconds(),
        }
        if session.execute(CLAIM, parameters).scalar_one_or_none():
            return
        row = session.execute(READ, {"sub": self.sub, "key": self.key}).one()
        if bytes(row.fingerprint) != self.fingerprint:
            raise KeyReused("the Idempotency-Key was used for another request")
        if row.in_flight is not None and row.in_flight > 0:
            retry_after = min(math.ceil(row.in_flight), LONGEST_RETRY_AFTER)
            raise InFlight("the first request with this Idempotency-Key is still being answered", retry_after=retry_after)
        raise Replayed(row.response)

    def keep(self, session: sa.Connection, answer: Mapping[str, Any], *, final: bool) -> None:
        """Keep the answer, whatever JSON holds it, for repeats; one that is not final makes repeats wait for the one that is."""
        session.execute(KEEP, {**self._answered(answer), "final": final})

    def replace(self, session: sa.Connection, answer: Mapping[str, Any]) -> bool:
        """Keep the final answer in place of the first; False where the time for it is over, as a repeat may have been given the first."""
        return session.execute(REPLACE, self._answered(answer)).scalar_one_or_none() is not None

    def drop(self, session: sa.Connection) -> None:
        """Give the key back: the request started nothing."""
        session.execute(DROP, {"sub": self.sub, "key": self.key})

    def _answered(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {"sub": self.sub, "key": self.key, "fingerprint": self.fingerprint, "response": json.dumps(answer)}


def unclaimed(_session: sa.Connection) -> None:
    """For a request without a key."""


def purge(session: sa.Connection, most: int) -> int:
    """Delete up to `most` keys that have expired, and return how many there were."""
    return session.execute(PURGE, {"most": most}).rowcount
