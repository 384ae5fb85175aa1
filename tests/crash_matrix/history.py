"""What must be true of orders when everything has come to rest, whoever was killed on the way."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.operations.audit import RELAY_PERIOD
from infra.operator.audit import examine
from tests.crash_matrix.board import Instant
from tests.crash_matrix.lane import Lane
from tests.crash_matrix.paths import SagaPath
from tests.crash_matrix.walk import Walk
from tests.support.history import Event, Finding, Run, violations
from tests.support.history.reading import tables

ORDERS = """
    SELECT o.order_id, o.order_status, o.payment_status,
        (SELECT count(*) FROM campusg.sagas s WHERE s.order_id = o.order_id AND s.ended_at IS NULL) AS unended,
        (SELECT count(*) FROM campusg.outbox b WHERE b.ordering_key = o.order_id) AS unpublished,
        (SELECT count(*) FROM campusg.dead_letters d WHERE d.key = convert_to(CAST(o.order_id AS text), 'UTF8')) AS dead_letters
    FROM campusg.orders o"""


@dataclass
class Outcome:
    """What became of a walk: nothing wrong, or what was. `point` is where somebody was to be killed (None: nobody)."""

    path: SagaPath
    point: Instant | None
    walk: Walk
    wrong: list[str] = field(default_factory=list)
    reached: bool = True
    seconds: float = 0.0


def judge(lane: Lane, outcomes: Sequence[Outcome]) -> None:
    """Add to each of these outcomes, which are all since the lane began anew, what is wrong with its order."""
    rows = {str(row["order_id"]): row for row in lane.rows(ORDERS)}
    for outcome in outcomes:
        outcome.wrong += _of_order(outcome.path, rows.get(outcome.walk.order_id))
    events = lane.kafka.new_events()
    requests = [each for outcome in outcomes for each in outcome.walk.requests if each.path.startswith("/api/orders")]
    run = Run(requests=requests, readings=[events], **tables(lane.database_url))
    audited, _ = examine(lane.database_url, RELAY_PERIOD)
    findings = [*violations(run), *(Finding(each.rule, str(each.order_id), each.detail) for each in audited)]
    for rule, order_id, detail in findings:
        for outcome in _concerned(outcomes, order_id, events):
            outcome.wrong.append(f"{rule}: {detail}")


def _concerned(outcomes: Sequence[Outcome], order_id: str | None, events: Iterable[Event]) -> Sequence[Outcome]:
    """Whose order it is; of one that nobody knows, whoever asked for what its events say; else all."""
    asked = {event.correlation_id for event in events if event.order_id == order_id}
    return (
        [outcome for outcome in outcomes if outcome.walk.order_id == order_id]
        or [outcome for outcome in outcomes if asked & {request.correlation_id for request in outcome.walk.requests}]
        or outcomes
    )


def _of_order(path: SagaPath, row: Mapping[str, Any] | None) -> Iterator[str]:
    if row is None:
        yield "the order is not there"
        return
    statuses = f"{row['order_status']} {row['payment_status']}"
    if statuses not in path.ends:
        yield f"the order is {statuses}, not {' or '.join(path.ends)}"
    if row["unended"] != int(path.suspended):
        yield f"{row['unended']} sagas have not ended"
    if row["unpublished"]:
        yield f"{row['unpublished']} messages wait in the outbox"
    if row["dead_letters"] != path.dead_letters:
        yield f"{row['dead_letters']} dead letters, not {path.dead_letters}"
