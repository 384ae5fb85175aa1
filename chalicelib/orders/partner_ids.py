"""Whose a partner's payment or hold is: an id belongs to one order, whoever says otherwise, and however many say so at once."""

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages.replies import Reply
from chalicelib.orders.order import Order

# In id order, so that of two transactions that claim the same ids one waits for the other and never both.
CLAIM = sa.text("""
    INSERT INTO campusg.partner_ids AS known (kind, id, order_id)
    SELECT kind, id, order_id FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(kind text, id text, order_id uuid) ORDER BY kind, id
    ON CONFLICT (kind, id) DO UPDATE SET order_id = excluded.order_id WHERE known.order_id = excluded.order_id
    RETURNING kind, id""")


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


def claim(session: sa.Connection, wanted: Iterable[Claim]) -> set[Claim]:
    """Take the ids that no other order has, and return those claims; of several orders that want one, the first gets it.

    Waits for another transaction that takes the same ids. Sends nothing where nothing is wanted.
    """
    first: dict[tuple[str, str], Claim] = {}
    for each in wanted:
        first.setdefault((each.kind, each.id), each)
    if not first:
        return set()
    rows = json.dumps([{**each._asdict(), "order_id": str(each.order_id)} for each in first.values()])
    return {first[row.kind, row.id] for row in session.execute(CLAIM, {"rows": rows})}
