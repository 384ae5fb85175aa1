"""Any life of an order, with random fates, comes to rest with its money where its statuses say."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.sagas.retry import RetryPolicy
from tests.support.examples import POLICY, RULES
from tests.support.life import TOPICS, Life
from tests.support.memory_tables import in_memory

SECOND = timedelta(seconds=1)

topics = st.sampled_from(TOPICS)
ACTS = st.one_of(
    st.tuples(st.sampled_from(["rest", "rest", "move_on", "move_on", "complete", "give_back"])),
    st.tuples(st.just("accept"), st.sampled_from(["run_1", "run_1", "run_2", "rejected_1", "noescrow_1", "cust_1"])),
    st.tuples(st.sampled_from(["work", "work", "refuse", "work_again"]), topics),
    st.tuples(st.just("deliver"), st.integers(0, 30)),
    st.tuples(st.sampled_from(["go_on", "go_on", "balk", "balk", "fall_silent"])),
    st.tuples(st.sampled_from(["time_out", "time_out", "defer", "nobody_accepts", "nobody_completes"])),
    st.tuples(st.sampled_from(["retry", "compensate", "cancel", "cancel_by_admin", "expire"])),
)
# So far an order comes before anything goes wrong: random acts alone seldom bring it to its door.
Acts = list[tuple[str, ...]]
OPEN: Acts = [("rest",)]
ACCEPTED: Acts = [*OPEN, ("accept", "run_1"), ("rest",)]
DELIVERED: Acts = [*ACCEPTED, ("move_on",), ("move_on",), ("move_on",)]
PAYING: Acts = [*DELIVERED, ("complete",), ("go_on",), ("go_on",)]
UNPAYABLE: Acts = [*PAYING, ("balk",), ("time_out",), ("balk",), ("time_out",), ("balk",)]
WAYS: list[Acts] = [
    [],
    OPEN,
    [*OPEN, ("accept", "run_1"), ("expire",)],
    ACCEPTED,
    [*ACCEPTED, ("expire",)],
    DELIVERED,
    [*DELIVERED, ("complete",), ("go_on",)],
    [*DELIVERED, ("complete",), ("go_on",), ("fall_silent",)],
    [*DELIVERED, ("complete",), ("go_on",), ("balk",)],
    PAYING,
    UNPAYABLE,
    [*UNPAYABLE, ("compensate",)],
]


def live(acts: Acts, attempts: int) -> None:
    """Live through the acts, come to rest, and hear everything once more."""
    with in_memory() as tables:
        life = Life(tables, replace(RULES, policy=RetryPolicy(POLICY.timeout, attempts)))
        for name, *arguments in acts:
            tables.now += SECOND
            getattr(life, name)(*arguments)
            life.check()

        life.rest()

        life.check()
        life.check_books()
        before = life.order, dict(tables.sagas), len(tables.sent)
        for number in range(len(life.under_way)):
            life.deliver(number)
        assert (life.order, dict(tables.sagas), len(tables.sent)) == before, "what comes late or twice changes nothing"


@pytest.mark.parametrize("attempts", [1, 2, 3])
@pytest.mark.parametrize("way", WAYS)
def test_the_ways_from_which_fates_part_come_to_rest_by_themselves(way: Acts, attempts: int) -> None:
    live(way, attempts)


@settings(max_examples=150, deadline=None)
@given(way=st.sampled_from(WAYS), attempts=st.integers(1, 3), acts=st.lists(ACTS, max_size=30))
def test_any_life_comes_to_rest_with_its_money_where_its_statuses_say(way: Acts, attempts: int, acts: Acts) -> None:
    live([*way, *acts], attempts)
