"""Reading sagas for people and for waiting requests; nothing here locks."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.bulk import array, from_json
from chalicelib.db.connection import send_ahead
from chalicelib.db.driver import Later
from chalicelib.db.lists import given, newest_first
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


def list_sagas(session: sa.Connection, filters: SagaFilters, limit: int) -> list[Saga]:
    """Up to `limit` sagas, newest first."""
    parameters = given(filters, CONDITIONS)
    rows = newest_first(session, SELECT, "s.saga_id", map(CONDITIONS.__getitem__, parameters), {**parameters, "limit": limit})
    return [saga_store.saga_of(from_json(row["saga"])) for row in rows]
