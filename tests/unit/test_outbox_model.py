"""Whatever is killed, stalled or late: first copies arrive in order and none is lost; and each rule of the protocol is needed for that."""

import pytest

from tests.support.outbox_model import Protocol, Rule, explore


@pytest.mark.parametrize(
    ("writers", "reads", "most"), [(2, (1, 1), 100_000), (3, (1,), 100_000)], ids=["two writers, two relays", "three writers"]
)
def test_no_moment_is_wrong(writers: int, reads: tuple[int, ...], most: int) -> None:
    explored = explore(Protocol(), writers=writers, reads=reads)

    assert explored.trace == ()
    assert 1_000 < explored.moments < most


@pytest.mark.parametrize("rule", Rule)
def test_without_any_one_rule_a_short_way_leads_to_a_wrong_moment(rule: Rule) -> None:
    explored = explore(Protocol(without=rule), writers=2, reads=(2,))

    assert explored.trace, f"not needed: {rule.value}"
    assert len(explored.trace) <= 10, explored.trace
