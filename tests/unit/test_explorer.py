"""Whatever partners, people, sweeps, operators and the bank do, in whichever order: no state of any world breaks a rule.

`make explore` visits larger worlds.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.explorer.explore import explore
from tests.explorer.faults import FAULTS, Fault
from tests.explorer.worlds import WORLDS, World


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_no_state_is_wrong_and_from_each_an_end_can_be_reached(world: World, figure: Callable[[str], None]) -> None:
    explored = explore(world)

    figure(f"explored the world {world.name!r}: {explored.states:,} states, {explored.moves:,} moves")
    assert explored.story == ()
    assert explored.complete
    assert explored.states >= 10_000


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_each_planted_fault_is_found_by_a_short_story(fault: Fault) -> None:
    with fault.there():
        explored = explore(WORLDS[fault.world])

    *moves, broken = explored.story
    assert (len(moves), broken) == (fault.moves, fault.broken), moves


def test_a_story_tells_who_did_what_and_what_came_of_it() -> None:
    [fault] = [fault for fault in FAULTS if fault.what == "a step that timed out counts as not done"]
    with fault.there():
        explored = explore(WORLDS[fault.world])

    assert explored.story == (
        "the user service takes create_order's validate_customer and says user.customer_validated",
        "user.customer_validated comes for create_order's validate_customer: "
        "order PENDING_PAYMENT, payment PENDING; create_order RUNNING at authorize_payment",
        "the payment service takes create_order's authorize_payment and says payment.authorized",
        "the customer cancels: order CANCELLED, payment FAILED; create_order COMPENSATED",
        "the order is CANCELLED and a payment AUTHORIZED",
    )


def test_a_state_from_which_no_end_can_be_reached_is_found() -> None:
    """Nobody may accept and time stands still: an open order stays open."""
    world = replace(WORLDS["accept"], may={}, enough=())

    assert explore(world).story == ("from here no end can be reached",)
