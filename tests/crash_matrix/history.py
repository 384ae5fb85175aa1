"""What must be true of an order when everything has come to rest, whoever was killed on the way."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chalicelib.operations.audit import RULES, violations
from infra.operator.books import BOOK_RULES
from tests.crash_matrix.lane import Lane
from tests.crash_matrix.paths import SagaPath
from tests.crash_matrix.walk import Told, Walk
from tests.support.order_events import first_copies

ORDERS = """
    SELECT o.*, (SELECT json_agg(s.saga_id) FROM campusg.sagas s WHERE s.order_id = o.order_id) AS saga_ids,
        (SELECT count(*) FROM campusg.sagas s WHERE s.order_id = o.order_id AND s.ended_at IS NULL) AS unended,
        (SELECT count(*) FROM campusg.outbox b WHERE b.ordering_key = o.order_id) AS unpublished,
        (SELECT count(*) FROM campusg.dead_letters d WHERE d.key = convert_to(CAST(o.order_id AS text), 'UTF8')) AS dead_letters,
        (SELECT count(*) FROM campusg.orders p WHERE p.customer_id = o.customer_id) AS placed
    FROM campusg.orders o WHERE o.order_id = ANY(CAST(:ids AS uuid[]))"""


def problems(lane: Lane, path: SagaPath, walks: Sequence[Walk]) -> Mapping[str, Sequence[str]]:
    """By order, what is wrong; only orders with which something is."""
    ids = {walk.order_id for walk in walks if walk.order_id}
    rows = {str(row["order_id"]): row for row in lane.rows(ORDERS, ids=list(ids))}
    sequences = lane.kafka.sequences()
    found: defaultdict[str, list[str]] = defaultdict(list)
    for walk in walks:
        row = rows.get(walk.order_id)
        if row is None:
            found[walk.order_id].append("the order that a client was told of is not there")
        else:
            found[walk.order_id] += [
                *_of_order(path, row),
                *_of_clients(row, walk.told),
                *_of_events(row, sequences.get(walk.order_id, [])),
            ]
    with lane.engine.begin() as session:
        for each in violations(session, (*RULES, *BOOK_RULES)):
            # One that names no order concerns all of them.
            for order_id in ids & {str(each.order_id)} or (ids if each.order_id is None else set()):
                found[order_id].append(f"{each.rule}: {each.detail}")
    return {order_id: wrong for order_id, wrong in found.items() if wrong}


def strangers(lane: Lane) -> list[str]:
    """Orders that `order-events` tells of and that are not there, each once."""
    said = list(lane.kafka.new_orders())
    there = lane.rows("SELECT order_id FROM campusg.orders WHERE order_id = ANY(CAST(:ids AS uuid[]))", ids=said)
    return sorted(set(said) - {str(row["order_id"]) for row in there})


def _of_order(path: SagaPath, row: Mapping[str, Any]) -> Iterator[str]:
    statuses = f"{row['order_status']} {row['payment_status']}"
    if statuses not in path.ends:
        yield f"the order is {statuses}, not {' or '.join(path.ends)}"
    if row["unended"] != int(path.suspended):
        yield f"{row['unended']} sagas have not ended"
    if row["unpublished"]:
        yield f"{row['unpublished']} messages wait in the outbox"
    if row["dead_letters"] != path.dead_letters:
        yield f"{row['dead_letters']} dead letters, not {path.dead_letters}"
    if row["placed"] != 1:
        yield f"the customer has {row['placed']} orders"


def _of_clients(row: Mapping[str, Any], told: Sequence[Told]) -> Iterator[str]:
    """What a client was told has happened."""
    for each in told:
        if not each.granted:
            continue
        order, saga = each.body.get("order", each.body), each.body.get("saga")
        if order.get("version", 0) > row["version"]:
            yield f"{each.what} told of version {order['version']}, the order is at {row['version']}"
        if saga and saga["sagaId"] not in row["saga_ids"]:
            yield f"{each.what} told of a saga that is not there"


def _of_events(row: Mapping[str, Any], sequences: Sequence[int]) -> Iterator[str]:
    """Each version was said, in order, without gaps."""
    seen = first_copies(list(sequences))
    if seen != list(range(1, row["version"] + 1)):
        yield f"order-events has the versions {list(sequences)}, the order is at {row['version']}"
