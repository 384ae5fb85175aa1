"""Consumers, publishers, sweeps and an operator on a virtual clock, with kills, stalls, losses and delays: nothing is lost, nothing twice.

`make soak` runs as long as it is asked to.
"""

import time
from collections.abc import Callable
from itertools import count

import pytest

from tests.simulation.faults import FAULTS, Fault
from tests.simulation.run import shrink, simulate
from tests.simulation.world import Settings

SECONDS = 8.0
LEAST_ORDERS = 40
MOST_SEEDS = 40


def test_whatever_goes_wrong_orders_and_money_come_out_right(figure: Callable[[str], None]) -> None:
    began, orders, points, killed = time.process_time(), 0, 0, 0
    for seed in count():
        outcome = simulate(Settings(seed))
        assert outcome.wrong is None, f"{outcome.wrong}; `make soak SEED={seed}` shows it"
        orders, points, killed = orders + outcome.orders, points + outcome.points, killed + outcome.killed
        if time.process_time() - began > SECONDS and orders >= LEAST_ORDERS:
            break

    assert killed > 0
    a_minute = orders / (time.process_time() - began) * 60
    figure(f"simulated {orders} orders over {points:,} points, {killed} kills: {a_minute:,.0f} orders a minute of a processor")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_each_planted_fault_is_found_by_what_it_does_and_not_by_an_exception(fault: Fault) -> None:
    outcomes = (simulate(Settings(seed, trouble=fault.trouble), fault.planted) for seed in range(MOST_SEEDS))
    found = next((outcome.wrong for outcome in outcomes if outcome.wrong), None)

    assert found is not None
    assert " fails: " not in found


def test_a_seed_is_a_run() -> None:
    assert simulate(Settings(5)).trace == simulate(Settings(5)).trace


def test_a_failing_run_is_made_smaller_and_fails_still() -> None:
    fault = next(fault for fault in FAULTS if fault.what == "rows that were not acknowledged are deleted")
    found = next(outcome for outcome in (simulate(Settings(seed), fault.planted) for seed in range(MOST_SEEDS)) if outcome.wrong)

    smaller = shrink(found, fault.planted, tries=2)

    assert smaller.wrong
    assert smaller.settings.orders < found.settings.orders
    assert simulate(smaller.settings, fault.planted) == smaller
    assert simulate(smaller.settings).wrong is None
