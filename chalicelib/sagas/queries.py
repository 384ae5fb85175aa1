"""Reading sagas for people and for waiting requests; nothing here locks."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.bulk import array, from_json
from chalicelib.db.connection import send_ahead
from chalicelib.db.driver import Later
from chalicelib.db.lists import first_id_of, given, newest_first
from chalicelib.messages.wire import id_of
from chalicelib.orders import store as order_store
from chalicelib.orders.order import Order
from chalicelib.sagas import store as saga_store
from chalicelib.sagas.state import RESTING, Saga

READ = sa.text(f"""
    SELECT CAST({saga_store.AS_JSON} AS text) AS saga, CAST({order_store.AS_JSON} AS text) AS "order"
    FROM campusg.sagas s JOIN campusg.orders o USING (order_id)
    WHERE s.saga_id = :saga_id""")  # noqa: S608 - literals of ours
READ_RESTING = f"""
    SELECT json_agg(json_build_array({saga_store.AS_JSON}, {order_store.AS_JSON}))
    FROM campusg.sagas s JOIN campusg.orders o USING (order_id)
    WHERE s.saga_id = ANY(CAST($1 AS uuid[])) AND s.status IN ({", ".join(f"'{status}'" for status in sorted(RESTING))})"""  # noqa: S608 - as above
# No index has correlation ids, as each saga would have to write an entry: so some sagas are read through, in the order of their ids.
READ_CORRELATED = """
    SELECT CAST(json_agg(json_build_array({saga}, {order}) ORDER BY s.saga_id DESC) AS text)
    FROM (SELECT saga_id FROM (
            SELECT saga_id, correlation_id FROM campusg.sagas
            WHERE saga_id >= :lowest AND saga_id < :behind ORDER BY saga_id {direction} LIMIT :most_read) near
        WHERE correlation_id = :correlation_id LIMIT :most) found
    JOIN campusg.sagas s USING (saga_id) JOIN campusg.orders o USING (order_id)"""
OLDEST_FIRST = sa.text(READ_CORRELATED.format(saga=saga_store.AS_JSON, order=order_store.AS_JSON, direction="ASC"))
NEWEST_FIRST = sa.text(READ_CORRELATED.format(saga=saga_store.AS_JSON, order=order_store.AS_JSON, direction="DESC"))
MOST_READ = 20_000
# An id that the service made is made right before its saga's, by a clock that is hardly off; a later saga may have it from a caller.
BEFORE, BEHIND = timedelta(minutes=1), timedelta(hours=1)
SELECT = f"SELECT CAST({saga_store.AS_JSON} AS text) AS saga FROM campusg.sagas s"  # noqa: S608 - literals of ours
CONDITIONS: dict[str, str] = {
    "statuses": "s.status = ANY(CAST(:statuses AS text[]))",
    "names": "s.name = ANY(CAST(:names AS text[]))",
    "order_id": "s.order_id = :order_id",
    "after": "s.saga_id < :after",
}


@dataclass(frozen=True)
class SagaFilters:
    """What a list of sagas is narrowed to; `after` is the last saga of the page before."""

    statuses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    order_id: UUID | None = None
    after: UUID | None = None


@dataclass(frozen=True)
class SagaWithOrder:
    """A saga and its order, read together: one snapshot."""

    saga: Saga
    order: Order


def read_with_order(session: sa.Connection, saga_id: UUID) -> SagaWithOrder | None:
    """The saga and its order by one statement; None where there is no such saga."""
    row = session.execute(READ, {"saga_id": saga_id}).one_or_none()
    if row is None:
        return None
    return SagaWithOrder(saga_store.saga_of(from_json(row.saga)), order_store.order_of(from_json(row.order)))


def read_resting(session: sa.Connection, saga_ids: Iterable[UUID]) -> Later:
    """Those of these sagas that rest, each with its order; the statement goes along with the next one, `resting` reads the answer."""
    return send_ahead(session, READ_RESTING, array(saga_ids))


def resting(answer: Later) -> list[SagaWithOrder]:
    """The sagas that were read, and their orders."""
    rows = from_json(answer.value) or ()
    return [SagaWithOrder(saga_store.saga_of(saga), order_store.order_of(order)) for saga, order in rows]


def list_correlated(session: sa.Connection, correlation_id: str, most: int) -> list[SagaWithOrder]:
    """Up to `most` sagas that were begun by a request with that correlation id, with their orders.

    An id that tells when it was made, as all do that the service made, is looked for among up to 20,000 sagas from a minute before to an
    hour after that; any other among the newest 20,000.
    """
    made_at = _time_of(correlation_id)
    lowest, behind = (first_id_of(made_at, -BEFORE), first_id_of(made_at, BEHIND)) if made_at else (UUID(int=0), UUID(int=2**128 - 1))
    bounds = {"lowest": lowest, "behind": behind, "most_read": MOST_READ, "most": most}
    statement = OLDEST_FIRST if made_at else NEWEST_FIRST
    found = session.execute(statement, {**bounds, "correlation_id": correlation_id}).scalar_one()
    return [SagaWithOrder(saga_store.saga_of(saga), order_store.order_of(order)) for saga, order in from_json(found) or ()]


def list_sagas(session: sa.Connection, filters: SagaFilters, limit: int) -> list[Saga]:
    """Up to `limit` sagas, newest first."""
    parameters = given(filters, CONDITIONS)
    rows = newest_first(session, SELECT, "s.saga_id", map(CONDITIONS.__getitem__, parameters), {**parameters, "limit": limit})
    return [saga_store.saga_of(from_json(row["saga"])) for row in rows]


def _time_of(text: str) -> datetime | None:
    """When a UUIDv7 was made; None of any other text."""
    try:
        id = id_of(text)
    except ValueError:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=id.int >> 80) if id.version == 7 else None
