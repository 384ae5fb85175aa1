"""Lists of orders, newest first: one statement a page, which reads about as many rows as it shows, however many orders there are.

Each scope of the viewer is read by itself, in the order of an index, and no further than the page reaches. Every index that serves has the
order's id last: what somebody owns, what is in one pair of statuses, or else all. A page by number also counts, but not without end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.db.lists import CLOCKS_APART, first_id_of, given
from chalicelib.orders.access import Scope, Viewer
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.orders.store import AS_JSON, order_of

# So many orders are counted; of more it is only said that there are more.
MOST_COUNTED = 10_000
CONDITIONS: dict[str, str] = {
    "customer_id": "customer_id = :customer_id",
    "runner_id": "runner_id = :runner_id",
    "created_after": "created_at >= :created_after",
    "created_before": "created_at < :created_before",
}
LOWEST, HIGHEST = UUID(int=0), UUID(int=2**128 - 1)

# Templates of a branch; `columns` and `most` are filled in later.
ONE_WALK = """
    SELECT {{columns}} FROM campusg.orders WHERE {where} AND order_id >= :lowest AND order_id < :behind
    ORDER BY order_id DESC LIMIT {{most}}"""
IN_ONE_WALK = ONE_WALK.replace(
    "{where}",
    "{where} AND order_status = ANY(CAST(:statuses_{number} AS text[])) AND payment_status = ANY(CAST(:payments_{number} AS text[]))",
)
# Each pair of statuses is one stretch of the index. The second is compared in a row with the id, so that no other way is cheaper for the
# planner, which expects as much of a pair that nobody has as of any; the first is not, as before PostgreSQL 18 only the first column of a
# row ends a stretch.
BY_PAIR = """
    SELECT of_pair.*
    FROM unnest(CAST(:statuses_{number} AS text[])) s (status), unnest(CAST(:payments_{number} AS text[])) p (status), LATERAL (
        SELECT {{columns}} FROM campusg.orders
        WHERE {where} AND order_status = s.status AND (payment_status, order_id) >= (p.status, CAST(:lowest AS uuid))
            AND (payment_status, order_id) < (p.status, CAST(:behind AS uuid))
        ORDER BY payment_status DESC, order_id DESC LIMIT {{most}}) of_pair
    ORDER BY order_id DESC LIMIT {{most}}"""


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to; None or empty: not at all."""

    statuses: tuple[str, ...] = ()
    payment_status: str | None = None
    customer_id: str | None = None
    runner_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Orders, how many there are of them, whether that is all, and whether more follow."""

    orders: list[Order]
    total: int
    counted: bool
    goes_on: bool


def list_orders(
    session: sa.Connection, viewer: Viewer, filters: Filters, *, page: int, limit: int, most_counted: int = MOST_COUNTED
) -> Page:
    """One page of the orders that `viewer` may see, newest first, with the number of all of them, up to `most_counted`.

    A page far behind costs what reading all pages before it costs.
    """
    found = _Selection(viewer, filters)
    statement = sa.text(f"""
        SELECT total.number, page.order FROM (SELECT count(*) AS number FROM ({found.newest("order_id", ":counted")}) counted) total
        LEFT JOIN LATERAL (
            SELECT order_id, CAST({AS_JSON} AS text) AS "order" FROM ({found.newest("*", ":reach")}) o
            ORDER BY order_id DESC LIMIT :limit OFFSET :offset) page ON true
        ORDER BY page.order_id DESC""")  # noqa: S608 - conditions are literals of ours, values are parameters
    offset = (page - 1) * limit
    places = {"counted": most_counted + 1, "offset": offset, "limit": limit + 1, "reach": offset + limit + 1}
    rows = session.execute(statement, {**found.parameters, **places}).mappings().all()
    orders = [order_of(bulk.from_json(row["order"])) for row in rows[:limit] if row["order"] is not None]
    number = rows[0]["number"]
    return Page(orders, min(number, most_counted), counted=number <= most_counted, goes_on=len(rows) > limit)


def list_orders_after(session: sa.Connection, viewer: Viewer, filters: Filters, *, after: UUID | None, limit: int) -> list[Order]:
    """Up to `limit` orders that `viewer` may see, newest first, behind the order `after`; what is inserted meanwhile shifts nothing."""
    found = _Selection(viewer, filters, after)
    statement = sa.text(f"""
        SELECT CAST({AS_JSON} AS text) FROM ({found.newest("*", ":limit")}) o ORDER BY order_id DESC""")  # noqa: S608 - as above
    return [order_of(bulk.from_json(row)) for row in session.execute(statement, {**found.parameters, "limit": limit}).scalars()]


class _Selection:
    """The orders that a viewer may see and asks for, as a query and its parameters."""

    def __init__(self, viewer: Viewer, filters: Filters, after: UUID | None = None) -> None:
        self.parameters = {**given(filters, CONDITIONS), "sub": viewer.sub, "lowest": LOWEST, "behind": after or HIGHEST}
        self._filters = filters
        self._conditions = [CONDITIONS[name] for name in CONDITIONS if name in self.parameters]
        if filters.created_after:
            self.parameters["lowest"] = first_id_of(filters.created_after, -CLOCKS_APART)
        if filters.created_before:
            self.parameters["behind"] = min(self.parameters["behind"], first_id_of(filters.created_before, CLOCKS_APART))
        branches = [self._branch(number, scope) for number, scope in enumerate(viewer.scopes)]
        self._branches = [branch for branch in branches if branch]

    def newest(self, columns: str, most: str) -> str:
        """A query for these columns of the newest orders, as many as the parameter `most` says."""
        branches = [branch.format(columns=columns, most=most) for branch in self._branches]
        if len(branches) == 1:
            return branches[0]
        together = " UNION ALL ".join(f"({branch})" for branch in branches)
        return f"SELECT DISTINCT ON (order_id) * FROM ({together}) either ORDER BY order_id DESC LIMIT {most}"  # noqa: S608 - as above

    def _branch(self, number: int, scope: Scope) -> str | None:
        """The query for the orders of one scope, with places for columns and number; None where the filters leave none of its statuses."""
        asked = self._filters.statuses or tuple(OrderStatus)
        statuses = [status for status in OrderStatus if status in asked and status in scope.statuses]
        payments = [status for status in PaymentStatus if self._filters.payment_status in (None, status)]
        if not statuses:
            return None
        where = " AND ".join([scope.condition, *self._conditions])
        if len(statuses) == len(OrderStatus) and len(payments) == len(PaymentStatus):
            return ONE_WALK.format(where=where)
        self.parameters[f"statuses_{number}"] = _names(statuses)
        self.parameters[f"payments_{number}"] = _names(payments)
        owned = scope.owned or self._filters.customer_id or self._filters.runner_id
        return (IN_ONE_WALK if owned else BY_PAIR).format(where=where, number=number)


def _names(statuses: Sequence[Any]) -> str:
    return "{" + ",".join(statuses) + "}"
