"""How long a command is waited for: a value that is asked, so nobody sleeps here."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.sagas.retry import RetryPolicy

POLICY = RetryPolicy(timedelta(seconds=10), 5)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300), (100, 300)])
def test_each_copy_is_waited_for_twice_as_long_up_to_five_minutes(attempt: int, seconds: float) -> None:
    assert POLICY.wait(attempt, jitter=0) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("jitter", "seconds"), [(-1, 8), (-0.5, 9), (0.5, 11), (1, 12)])
def test_chance_moves_a_wait_by_a_fifth_at_most(jitter: float, seconds: float) -> None:
    assert POLICY.wait(1, jitter) == timedelta(seconds=seconds)


def test_chance_never_moves_a_wait_beyond_five_minutes() -> None:
    assert POLICY.wait(6, jitter=1) == timedelta(seconds=300)


@given(attempt=st.integers(1, 10_000), jitter=st.floats(-1, 1), timeout=st.floats(0.001, 3600))
def test_a_wait_is_never_nothing_and_never_endless(attempt: int, jitter: float, timeout: float) -> None:
    wait = RetryPolicy(timedelta(seconds=timeout), 5).wait(attempt, jitter)

    assert timedelta(0) < wait <= timedelta(seconds=300)


def test_as_many_copies_go_out_as_there_are_attempts() -> None:
    assert [POLICY.exhausted(copies) for copies in range(1, 7)] == [False, False, False, False, True, True]
    assert RetryPolicy(timedelta(seconds=1), 1).exhausted(1)
