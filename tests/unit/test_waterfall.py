"""How a saga's milliseconds are drawn, from traces that are all there, or not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from infra.console import Styled, plain
from infra.stack.waterfall import BAR_WIDTH, Exchange, Request, Run, picture, spans

A_MILLISECOND = timedelta(milliseconds=1)
BEGUN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def at(milliseconds: float) -> datetime:
    return BEGUN + timedelta(milliseconds=milliseconds)


RUN = Run(
    "create_order COMPLETED",
    at(5),
    at(40),
    [at(5), at(20), at(40)],
    [
        Exchange("user.validate_customer", "user.customer_validated", at(8), worked=at(12), replied=at(14)),
        Exchange("payment.authorize", "payment.authorized", at(24), 2, at(26), at(30)),
    ],
    Request("POST", "/api/orders", "201", at(0), at(50)),
)


def drawn(run: Run) -> list[tuple[float, float, str]]:
    """Each span: from, took, what."""
    return [((span.begun - BEGUN) / A_MILLISECOND, (span.ended - span.begun) / A_MILLISECOND, span.says) for span in spans(run)]


def test_the_spans_of_a_saga_follow_each_other_from_the_request_to_its_answer() -> None:
    found = drawn(RUN)

    assert [begun for begun, _, _ in found] == [0, 5, 8, 12, 14, 20, 24, 26, 30, 40]
    assert sum(took for _, took, _ in found) == 50
    assert found[0][2].startswith("POST /api/orders: ")
    assert found[4][2] == "user.customer_validated: acknowledged, taken by the saga"
    assert found[5][2].endswith("handed to Kafka, 2 copies")
    assert found[-1][2] == "written, committed, answered 201"


def test_what_has_left_no_trace_is_part_of_what_follows() -> None:
    """Partners of somebody else's, and a saga that no request of the log began."""
    silent = [replace(exchange, worked=None) for exchange in RUN.exchanges]
    found = drawn(replace(RUN, exchanges=silent, request=None))

    assert [begun for begun, _, _ in found] == [5, 8, 14, 20, 24, 30]
    assert sum(took for _, took, _ in found) == 35


def test_where_kafka_has_dropped_the_records_the_partners_books_remain() -> None:
    dropped = [replace(exchange, sent=None, replied=None) for exchange in RUN.exchanges]
    found = drawn(replace(RUN, exchanges=dropped, request=None))

    assert [(begun, took) for begun, took, _ in found] == [(5, 7), (12, 8), (20, 6), (26, 14)]
    assert found[1][2] == "user.customer_validated: sent, taken by the saga"


def test_a_command_that_nobody_has_answered_yet_ends_with_its_sending() -> None:
    waiting = [Exchange("user.validate_customer", sent=at(8)), Exchange("payment.authorize")]

    assert drawn(replace(RUN, ended=None, request=None, changes=[at(5)], exchanges=waiting)) == [
        (5, 3, "user.validate_customer: written, committed, handed to Kafka")
    ]


def test_bars_stand_where_their_time_is_and_the_longest_stands_out() -> None:
    title, heading, *lines = picture(RUN)
    first, last = plain(lines[0]), plain(lines[-1])

    assert plain(title) == "create_order COMPLETED, 50 ms"
    assert (plain(heading).split(), first.split()[:2], last.split()[:2]) == (["from", "ms", "took", "ms"], ["0", "5"], ["40", "10"])
    width = BAR_WIDTH // 10
    assert first.count("█") == width
    assert plain(lines[-1])[: last.rindex("█") + 1].endswith("█" * (2 * width))
    assert last.index("█") - first.index("█") == round(BAR_WIDTH * 0.8)
    longest = [plain(line) for line in lines if any(isinstance(part, Styled) and part.style == "bad" for part in line)]
    assert [line.split()[:2] for line in longest] == [["30", "10"], ["40", "10"]]


def test_a_saga_without_any_trace_has_its_title() -> None:
    title, *_ = picture(Run("create_order COMPLETED", at(5), at(40)))
    assert plain(title) == "create_order COMPLETED, 35 ms"
