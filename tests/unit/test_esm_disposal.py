"""What becomes of a batch: delivered again, given up, committed. Pure rules, without a broker or a clock."""

from collections.abc import Iterable
from typing import Any

import pytest

from infra.esm.batch import Batch, Tries
from infra.esm.disposal import Disposal, Failed, GivenUp, NotDelivered, Reported, Rules, commits
from infra.esm.event import EncodedRecord
from infra.esm.failures import RETRIES_EXHAUSTED, TOO_LARGE
from infra.esm.mapping import EventSourceMapping
from infra.esm.partial import FailedItem
from infra.esm.readings import DEFAULT, Readings
from infra.esm.retry import Backoff

NOW_MS = 1_000_000_000
HOUR_MS = 3_600_000
Place = tuple[int, int]


def rules(readings: Readings = DEFAULT, **parameters: Any) -> Rules:
    mapping = EventSourceMapping("f", ("orders",), "TRIM_HORIZON", **parameters)
    return Rules(mapping, readings, Backoff(first_seconds=1, longest_seconds=60))


def records(*places: Place, age_ms: int = 0) -> tuple[EncodedRecord, ...]:
    return tuple(EncodedRecord(partition, offset, "{}", NOW_MS - age_ms) for partition, offset in places)


def batch(*places: Place, filtered: dict[int, int] | None = None, **fields: Any) -> Batch:
    """A batch of these records; `filtered` are ends of partitions whose last records no filter passed."""
    ends = {partition: offset + 1 for partition, offset in places} | (filtered or {})
    return Batch(records(*places), ends, **fields)


def places(them: Iterable[EncodedRecord]) -> list[Place]:
    return [(record.partition, record.offset) for record in them]


def reported(*items: Place) -> Reported:
    return Reported(frozenset(FailedItem(*item) for item in items))


def fail_until_given_up(rules: Rules, first: Batch, most: int = 50) -> tuple[list[list[Place]], list[GivenUp]]:
    """What a function that always fails is given, and what is given up."""
    queue, given, given_up = [first], [], []
    while queue and len(given) < most:
        batch = queue.pop(0)
        given.append(places(batch.records))
        disposal = rules.after(batch, Failed("Unhandled"), 0.0)
        queue[:0] = disposal.again
        given_up += disposal.given_up
    return given, given_up


@pytest.mark.rule("commit-after-success")
def test_after_success_nothing_comes_again_and_every_partition_is_committed_behind_its_last_record() -> None:
    done = batch((0, 4), (1, 7), (0, 5), filtered={2: 9})

    disposal = rules().after(done, Reported(), 0.0)

    assert disposal == Disposal()
    assert commits(done, disposal.again) == {0: 6, 1: 8, 2: 9}


@pytest.mark.rule("retry-whole-batch")
@pytest.mark.rule("commit-filtered")
def test_after_a_function_error_the_whole_batch_comes_again_and_nothing_is_committed_not_even_what_was_filtered() -> None:
    failing = batch((0, 4), (1, 7), filtered={2: 9})

    disposal = rules().after(failing, Failed("Unhandled"), 100.0)

    assert [places(again.records) for again in disposal.again] == [[(0, 4), (1, 7)]]
    assert disposal.again[0].due == 101.0
    assert disposal.again[0].partitions == {0, 1, 2}
    assert commits(failing, disposal.again) == {}


@pytest.mark.rule("retry-without-end")
def test_without_limits_a_batch_is_never_given_up() -> None:
    given, given_up = fail_until_given_up(rules(), batch((0, 1)), most=1000)

    assert (len(given), given_up) == (1000, [])


@pytest.mark.rule("retry-limit")
@pytest.mark.parametrize("retries", [0, 1, 5])
def test_a_limit_of_retries_does_not_count_the_first_invocation(retries: int) -> None:
    failing = batch((0, 1), (0, 2))

    given, given_up = fail_until_given_up(rules(maximum_retry_attempts=retries), failing)

    assert given == [[(0, 1), (0, 2)]] * (retries + 1)
    assert given_up == [GivenUp(failing.records, RETRIES_EXHAUSTED, retries + 1, "Unhandled")]


@pytest.mark.rule("retry-ten-with-destination")
def test_a_destination_ends_retries_without_end_after_ten() -> None:
    given, given_up = fail_until_given_up(rules(on_failure="kafka://dead"), batch((0, 1)))

    assert (len(given), len(given_up)) == (11, 1)


@pytest.mark.rule("retry-ten-with-destination")
def test_a_destination_does_not_change_a_limit_that_was_chosen() -> None:
    given, _ = fail_until_given_up(rules(on_failure="kafka://dead", maximum_retry_attempts=20), batch((0, 1)))

    assert len(given) == 21


@pytest.mark.rule("retry-backoff")
def test_waits_get_longer_with_each_failure() -> None:
    first = rules().after(batch((0, 1)), Failed("Unhandled"), 0.0).again[0]
    second = rules().after(first, Failed("Unhandled"), 10.0).again[0]

    assert (first.due, second.due) == (1.0, 12.0)


@pytest.mark.rule("retry-backoff")
def test_the_halves_of_a_batch_wait_no_longer_than_after_a_first_failure() -> None:
    halving = rules(bisect_batch_on_function_error=True)
    halves = halving.after(batch(*((0, offset) for offset in range(4))), Failed("Unhandled"), 0.0).again
    quarters = halving.after(halves[0], Failed("Unhandled"), 10.0).again

    assert [half.due for half in halves] == [1.0, 1.0]
    assert [quarter.due for quarter in quarters] == [11.0, 11.0]


@pytest.mark.rule("bisect")
def test_a_failing_batch_is_halved_until_the_failing_record_stands_alone_and_the_halves_come_in_order() -> None:
    halving = rules(bisect_batch_on_function_error=True, maximum_retry_attempts=0)

    given, given_up = fail_until_given_up(halving, batch(*((0, offset) for offset in range(4))))

    assert given == [[(0, 0), (0, 1), (0, 2), (0, 3)], [(0, 0), (0, 1)], [(0, 0)], [(0, 1)], [(0, 2), (0, 3)], [(0, 2)], [(0, 3)]]
    assert [places(each.records) for each in given_up] == [[(0, 0)], [(0, 1)], [(0, 2)], [(0, 3)]]


@pytest.mark.rule("bisect")
def test_each_half_is_committed_by_itself_and_filtered_records_with_the_last() -> None:
    failing = batch((0, 0), (0, 1), (1, 5), (0, 2), filtered={0: 8, 2: 3})

    first, second = rules(bisect_batch_on_function_error=True).after(failing, Failed("Unhandled"), 0.0).again

    assert (places(first.records), dict(first.ends)) == ([(0, 0), (0, 1)], {0: 2})
    assert (places(second.records), dict(second.ends)) == ([(1, 5), (0, 2)], {0: 8, 1: 6, 2: 3})
    assert commits(failing, [first, second]) == {}
    assert commits(first, []) == {0: 2}


@pytest.mark.rule("bisect")
def test_a_partial_failure_is_no_function_error_and_halves_nothing() -> None:
    halving = rules(bisect_batch_on_function_error=True, function_response_types=("ReportBatchItemFailures",))

    disposal = halving.after(batch((0, 0), (0, 1)), reported((0, 0)), 0.0)

    assert [places(again.records) for again in disposal.again] == [[(0, 0), (0, 1)]]


@pytest.mark.rule("bisect-counts")
@pytest.mark.parametrize(("counts", "invocations"), [("no", 3), ("yes", 2)])
def test_a_split_uses_up_an_attempt_of_the_halves_or_not(counts: Any, invocations: int) -> None:
    halving = rules(Readings(bisect_counts=counts), bisect_batch_on_function_error=True, maximum_retry_attempts=1)

    given, given_up = fail_until_given_up(halving, batch((0, 0), (0, 1)))

    assert sum((0, 0) in delivery for delivery in given) == invocations
    assert [each.invocations for each in given_up] == [invocations] * 2


@pytest.mark.rule("partial-retry")
@pytest.mark.parametrize(("partial", "again"), [("checkpoint", [(0, 1), (0, 2), (0, 3), (1, 9)]), ("items", [(0, 1), (0, 3), (1, 9)])])
def test_after_a_partial_failure_all_from_the_lowest_failed_offset_on_or_just_what_was_reported_comes_again(
    partial: Any, again: list[Place]
) -> None:
    failing = batch((0, 0), (0, 1), (0, 2), (0, 3), (1, 8), (1, 9), (2, 5))

    disposal = rules(Readings(partial=partial)).after(failing, reported((0, 3), (0, 1), (1, 9)), 0.0)

    assert places(disposal.again[0].records) == again
    assert commits(failing, disposal.again) == {0: 1, 1: 9, 2: 6}


@pytest.mark.rule("partial-retry")
@pytest.mark.parametrize("partial", ["checkpoint", "items"])
def test_what_was_filtered_behind_a_reported_record_is_committed_with_it(partial: Any) -> None:
    failing = batch((0, 0), (0, 1), filtered={0: 7})
    again = rules(Readings(partial=partial)).after(failing, reported((0, 1)), 0.0).again

    assert commits(again[0], []) == {0: 7}


@pytest.mark.rule("partial-counts")
@pytest.mark.parametrize(("counts", "deliveries"), [("yes", 3), ("no", 5)])
def test_a_batch_that_gets_shorter_goes_on_counting_its_attempts_or_begins_anew(counts: Any, deliveries: int) -> None:
    partly = rules(Readings(partial_counts=counts), maximum_retry_attempts=2)
    failing, number = batch((0, 0), (0, 1), (0, 2)), 0
    while True:
        number += 1
        disposal = partly.after(failing, reported((0, min(number, 2))), 0.0)
        if not disposal.again:
            break
        failing = disposal.again[0]

    assert number == deliveries
    assert disposal.given_up[0].error is None


@pytest.mark.rule("partial-counts")
def test_progress_shortens_the_next_wait() -> None:
    stuck = batch((0, 0), (0, 1), tries=Tries(4, 4, 4))

    assert rules().after(stuck, reported((0, 0)), 0.0).again[0].due == 16.0
    assert rules().after(stuck, reported((0, 1)), 0.0).again[0].due == 1.0


@pytest.mark.rule("oversize")
def test_a_record_that_fits_in_no_event_is_given_up_without_an_invocation_and_its_neighbours_are_delivered() -> None:
    (giant,) = records((0, 1))

    delivered, given_up = rules().before(batch((0, 0), (0, 2), oversize=(giant,)), NOW_MS)

    assert places(delivered.records) == [(0, 0), (0, 2)]
    assert given_up == (GivenUp([giant], TOO_LARGE, 0),)


@pytest.mark.rule("record-age")
def test_a_record_that_is_too_old_is_given_up_and_the_others_are_delivered() -> None:
    aging = rules(maximum_record_age_in_seconds=3600)
    old, new = records((0, 1), age_ms=HOUR_MS + 1), records((0, 2), age_ms=HOUR_MS)

    delivered, given_up = aging.before(Batch(old + new, {0: 3}, tries=Tries(2, 2, 2)), NOW_MS)

    assert places(delivered.records) == [(0, 2)]
    assert delivered.ends == {0: 3}
    assert [(places(each.records), each.invocations) for each in given_up] == [([(0, 1)], 2)]


@pytest.mark.rule("record-age")
def test_what_was_given_up_for_its_age_is_committed_also_when_the_rest_fails() -> None:
    aging = rules(maximum_record_age_in_seconds=3600)
    mixed = Batch(records((0, 1), age_ms=HOUR_MS + 1) + records((0, 2)), {0: 3})
    delivered, _ = aging.before(mixed, NOW_MS)

    assert commits(mixed, aging.after(delivered, Failed("Unhandled"), 0.0).again) == {0: 2}


@pytest.mark.rule("record-age")
def test_without_a_maximum_age_no_record_is_too_old() -> None:
    ancient = Batch(records((0, 1), age_ms=NOW_MS), {0: 2})

    assert rules().before(ancient, NOW_MS) == (ancient, ())


@pytest.mark.rule("old-formats")
def test_a_record_without_time_is_never_too_old() -> None:
    timeless = Batch(records((0, 1), age_ms=NOW_MS + 1), {0: 2})

    assert timeless.records[0].timestamp == -1
    assert rules(maximum_record_age_in_seconds=3600).before(timeless, NOW_MS) == (timeless, ())


@pytest.mark.rule("record-age-first-delivery")
@pytest.mark.parametrize(("expiry", "is_given_up"), [("delivery", True), ("retry", False)])
def test_a_record_that_is_too_old_at_once_is_delivered_once_or_never(expiry: Any, is_given_up: bool) -> None:
    aging = rules(Readings(expiry=expiry), maximum_record_age_in_seconds=60)
    first = Batch(records((0, 1), age_ms=HOUR_MS), {0: 2})

    delivered, given_up = aging.before(first, NOW_MS)
    again, _ = aging.before(Batch(first.records, {0: 2}, tries=Tries(1, 1, 1)), NOW_MS)

    assert (not delivered.records, bool(given_up)) == (is_given_up, is_given_up)
    assert again.records == ()


@pytest.mark.rule("record-age-condition")
@pytest.mark.parametrize("condition", ["RecordAgeExceeded", "RetryAttemptsExhausted"])
def test_the_condition_of_a_record_that_was_too_old_is_as_it_is_read(condition: Any) -> None:
    aging = rules(Readings(expired_condition=condition), maximum_record_age_in_seconds=60)

    _, (given_up,) = aging.before(Batch(records((0, 1), age_ms=HOUR_MS), {0: 2}), NOW_MS)

    assert given_up.condition == condition


@pytest.mark.rule("endpoint-throttled")
def test_a_batch_that_was_not_delivered_waits_ever_longer_whole_and_counts_no_attempt() -> None:
    strict = rules(maximum_retry_attempts=0, bisect_batch_on_function_error=True)
    waiting, waits = batch((0, 1), (1, 1)), []
    for _ in range(8):
        [waiting] = strict.after(waiting, NotDelivered(), 0.0).again
        waits.append(waiting.due)

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert (places(waiting.records), waiting.tries) == ([(0, 1), (1, 1)], Tries(setbacks=8))


@pytest.mark.rule("endpoint-too-large")
def test_a_batch_that_is_too_large_is_split_until_a_single_record_is_given_up() -> None:
    too_large = NotDelivered(is_too_large=True)
    disposal = rules().after(batch((0, 1), (0, 2), (1, 7)), too_large, 5.0)

    assert [places(half.records) for half in disposal.again] == [[(0, 1), (0, 2)], [(1, 7)]]
    assert {half.due for half in disposal.again} == {5.0}
    [given_up] = rules().after(disposal.again[1], too_large, 5.0).given_up
    assert (places(given_up.records), given_up.condition, given_up.invocations) == ([(1, 7)], TOO_LARGE, 0)
