"""Failed batches in their order, and the batching window."""

import pytest

from infra.esm.batch import Batch
from infra.esm.waiting import Waiting
from infra.esm.window import Window


def batch(*partitions: int, due: float = 0.0) -> Batch:
    return Batch((), dict.fromkeys(partitions, 1), due=due)


@pytest.mark.rule("order-per-partition")
def test_of_batches_that_share_a_partition_only_the_first_is_delivered_however_long_the_others_are_due() -> None:
    waiting = Waiting()
    failing, first, second = batch(0, 1), batch(0, due=50), batch(0, 1, due=10)
    waiting.replace(failing, [failing])
    waiting.replace(failing, [first, second])

    assert waiting.due(40) is None
    assert waiting.next_due == 50
    assert waiting.due(60) is first
    waiting.replace(first, [])
    assert waiting.due(60) is second
    assert waiting.partitions == {0, 1}


@pytest.mark.rule("order-per-partition")
def test_what_is_left_of_a_batch_keeps_its_place_before_those_behind_it() -> None:
    waiting = Waiting()
    first, second, left = batch(0), batch(0), batch(0)
    for each in (first, second):
        waiting.replace(each, [each])
    waiting.replace(first, [left])

    assert waiting.due(0) is left


def test_batches_of_different_partitions_do_not_wait_for_each_other_and_the_longest_due_comes_first() -> None:
    waiting = Waiting()
    late, early = batch(0, due=20), batch(1, due=10)
    for each in (late, early):
        waiting.replace(each, [each])

    assert waiting.due(5) is None
    assert waiting.due(15) is early
    assert waiting.due(30) is early
    assert waiting.next_due == 10


def test_where_nothing_waits_nothing_is_due() -> None:
    waiting = Waiting()

    assert (waiting.next_due, waiting.due(1e9), waiting.partitions) == (None, None, frozenset())


@pytest.mark.rule("window-begins-with-first-record")
@pytest.mark.parametrize("is_provisioned", [False, True])
def test_a_window_begins_when_the_first_record_comes(is_provisioned: bool) -> None:
    window = Window(5, is_provisioned=is_provisioned)
    window.begin(100)
    assert window.ends == 105

    window.batch_completed(105)
    window.invocation_completed(129)
    window.begin(200)
    assert window.ends == 205


@pytest.mark.rule("window-restart-on-demand")
@pytest.mark.rule("window-restart-provisioned")
@pytest.mark.parametrize(("is_provisioned", "ends"), [(False, 134), (True, 105)])
def test_records_that_came_meanwhile_wait_since_the_previous_batch_in_provisioned_mode_and_since_its_invocation_on_demand(
    is_provisioned: bool, ends: float
) -> None:
    window = Window(5, is_provisioned=is_provisioned)
    window.batch_completed(100)
    window.invocation_completed(129)
    window.begin(129.01)

    assert window.ends == ends
