"""Whose a partner's payment or hold is: an id belongs to one order, whoever says otherwise, and however many say so at once."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.db.connection import send_ahead
from chalicelib.messages.replies import Reply
from chalicelib.orders.order import Order

COLUMNS: bulk.Columns = {"kind": "text", "id": "text", "order_id": "uuid"}
READ = f"""
    SELECT json_agg(json_build_array(kind, id, known.order_id)) FROM campusg.partner_ids known
    JOIN {bulk.recordset({"kind": "text", "id": "text"}, "$1")} USING (kind, id)"""  # noqa: S608 - names are literals of ours


class Claim(NamedTuple):
    """An id of that kind (`payment`, `escrow`) that a reply names for an order."""

    kind: str
    id: str
    order_id: UUID


def claims(order: Order, reply: Reply) -> Iterator[Claim]:
    """The ids in a reply that the order does not have already."""
    for kind, known in (("payment", order.payment_id), ("escrow", order.escrow_id)):
        said = getattr(reply, f"{kind}_id", None)
        if said and said != known:
            yield Claim(kind, said, order.order_id)


def ids_in(reply: Reply) -> Iterator[tuple[str, str]]:
    """The ids that a reply names, each behind its kind."""
    for kind in ("payment", "escrow"):
        said = getattr(reply, f"{kind}_id", None)
        if said:
            yield kind, said


class Owners:
    """Whose partners' ids are: as they were read, and as they were claimed since in this transaction.

    Another transaction may claim the same id meanwhile. The table's key lets only one of both commit.
    """

    def __init__(self, session: sa.Connection, wanted: Iterable[tuple[str, str]]) -> None:
        """Asks for those of the ids `wanted` by a statement that goes along with the next one; nothing is sent for none."""
        rows = [{"kind": kind, "id": id} for kind, id in set(wanted)]
        self._read = send_ahead(session, READ, bulk.to_json(rows)) if rows else None
        self._claimed: dict[tuple[str, str], UUID] = {}

    @cached_property
    def _known(self) -> dict[tuple[str, str], UUID]:
        rows = bulk.from_json(self._read.value) if self._read else None
        return {(kind, id): UUID(order_id) for kind, id, order_id in rows or ()}

    def foreign(self, claim: Claim) -> bool:
        """Whether the id is another order's."""
        owner = self._known.get((claim.kind, claim.id)) or self._claimed.get((claim.kind, claim.id))
        return owner not in (None, claim.order_id)

    def take(self, claim: Claim) -> list[Claim]:
        """Have the id be the order's from now on; what is new with that must be written."""
        if (claim.kind, claim.id) in self._known:
            return []
        self._claimed[claim.kind, claim.id] = claim.order_id
        return [claim]
