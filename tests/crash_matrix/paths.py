"""The paths: how an order comes to where the path begins, what then happens to it under fire, and how it must end.

What stands in `before` is done for the orders of many points at once, and nothing is killed meanwhile. After each act of it, and at the end
of a path, all come to rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tests.crash_matrix import scenes
from tests.crash_matrix.refusals import refuse, refuse_nothing
from tests.crash_matrix.walk import ADMIN, CUSTOMER, OVERDUE, RUNNER, UNACCEPTED, UNCOMPLETED, Walk

Act: TypeAlias = Callable[[Walk], None]
RUNNER_1, RUNNER_2 = "run_1", "run_2"
CANCELLED, FAILED = "CANCELLED RELEASED", "CANCELLED FAILED"


@dataclass(frozen=True)
class SagaPath:
    """`ends` are the order's statuses that are right, `suspended` says that a saga waits for an operator then."""

    name: str
    acts: Act
    ends: Sequence[str]
    before: Sequence[Act] = ()
    customer: str = "cust_"
    suspended: bool = False
    dead_letters: int = 0


# What is asked, without waiting for what comes of it.


def accept(walk: Walk, runner: str = RUNNER_1, *, granted: bool = True) -> None:
    walk.act("accept", RUNNER, runner, {"runnerId": runner}, granted=granted)


def move(walk: Walk) -> None:
    for status in ("COLLECTED", "ON_THE_WAY", "DELIVERED"):
        walk.move(RUNNER_1, status)


def complete(walk: Walk) -> None:
    walk.act("complete", CUSTOMER, walk.customer)


def complete_unpaid(walk: Walk) -> None:
    refuse(walk.lane.folder, "escrow.release", walk.order_id)
    complete(walk)


def overdue(walk: Walk) -> None:
    walk.time_passes(OVERDUE)
    walk.sweep()


def cancel(walk: Walk) -> None:
    walk.act("cancel", CUSTOMER, walk.customer, {"reason": "changed my mind"})


# Paths of several acts


def two_runners(walk: Walk) -> None:
    accept(walk, RUNNER_1)
    accept(walk, RUNNER_2, granted=False)


def not_captured(walk: Walk) -> None:
    refuse(walk.lane.folder, "payment.capture", walk.order_id)
    complete(walk)


def not_paid_out(walk: Walk) -> None:
    complete_unpaid(walk)
    walk.settle()
    overdue(walk)


def paid_out_after_all(walk: Walk) -> None:
    refuse_nothing(walk.lane.folder)
    walk.operate("retry")


def compensate(walk: Walk) -> None:
    walk.operate("compensate")


def cancel_on_its_way(walk: Walk) -> None:
    walk.act("cancel", ADMIN, "adm_1", {"reason": "the store burnt down"})


def cancel_while_checked(walk: Walk) -> None:
    walk.create()
    cancel(walk)


def cancel_while_paid(walk: Walk) -> None:
    walk.create()
    walk.settle(rounds=2)
    cancel(walk)


def give_back(walk: Walk) -> None:
    walk.act("cancel-acceptance", RUNNER, RUNNER_1)


def silence(walk: Walk) -> None:
    walk.create()
    for _ in range(2):
        walk.settle()
        overdue(walk)


def unaccepted(walk: Walk) -> None:
    walk.time_passes(UNACCEPTED)
    walk.sweep()


def uncompleted(walk: Walk) -> None:
    walk.time_passes(UNCOMPLETED)
    walk.sweep()


def redrive(walk: Walk) -> None:
    walk.operate_on_letter(scenes.letter_of(walk), "redrive", {})


def dismiss(walk: Walk) -> None:
    walk.operate_on_letter(scenes.letter_of(walk), "dismiss", {"reason": "it was a trial"})


def left_to_the_relay(walk: Walk) -> None:
    # Not before: the relay takes whatever waits.
    scenes.leave(walk)
    walk.relay()


def purge(walk: Walk) -> None:
    walk.schedule("purge_expired")


def audit(walk: Walk) -> None:
    walk.schedule("audit_invariants")


ACCEPTED: tuple[Act, ...] = (Walk.create, accept)
DELIVERED: tuple[Act, ...] = (*ACCEPTED, move)

PATHS: tuple[SagaPath, ...] = (
    SagaPath("create", Walk.create, ["READY_FOR_PICKUP AUTHORIZED"]),
    SagaPath("create-waited", Walk.create_and_wait, ["READY_FOR_PICKUP AUTHORIZED"]),
    SagaPath("create-declined", Walk.create, [FAILED], customer="declined_"),
    SagaPath("create-rejected", Walk.create, [FAILED], customer="rejected_"),
    SagaPath("create-no-escrow", Walk.create, [CANCELLED], customer="noescrow_"),
    SagaPath("create-silent", silence, [FAILED, CANCELLED], customer="silent_"),
    SagaPath("cancel-while-checked", cancel_while_checked, [FAILED, CANCELLED]),
    SagaPath("cancel-while-paid", cancel_while_paid, [FAILED, CANCELLED]),
    SagaPath("accept", accept, ["ACCEPTED AUTHORIZED"], [Walk.create]),
    SagaPath("accept-rejected", lambda walk: accept(walk, "rejected_1"), ["READY_FOR_PICKUP AUTHORIZED"], [Walk.create]),
    SagaPath("accept-no-escrow", lambda walk: accept(walk, "noescrow_1"), ["READY_FOR_PICKUP AUTHORIZED"], [Walk.create]),
    SagaPath("accept-two-runners", two_runners, ["ACCEPTED AUTHORIZED"], [Walk.create]),
    SagaPath("cancel-acceptance", give_back, ["READY_FOR_PICKUP AUTHORIZED"], ACCEPTED),
    SagaPath("cancel-open", cancel, [CANCELLED], [Walk.create]),
    SagaPath("cancel-accepted", cancel, [CANCELLED], ACCEPTED),
    SagaPath("cancel-on-its-way", cancel_on_its_way, [CANCELLED], DELIVERED),
    SagaPath("accept-timeout", unaccepted, ["TIMED_OUT RELEASED"], [Walk.create]),
    SagaPath("expiry", scenes.expire, [CANCELLED], [Walk.create]),
    SagaPath("status", move, ["DELIVERED AUTHORIZED"], ACCEPTED),
    SagaPath("complete", complete, ["COMPLETED CAPTURED"], DELIVERED),
    SagaPath("complete-capture-failed", not_captured, ["DELIVERED AUTHORIZED"], DELIVERED),
    SagaPath("complete-payout-refused", not_paid_out, ["DELIVERED CAPTURED"], DELIVERED, suspended=True),
    SagaPath("complete-by-clock", uncompleted, ["COMPLETED CAPTURED"], DELIVERED),
    SagaPath("operator-retry", paid_out_after_all, ["COMPLETED CAPTURED"], [*DELIVERED, complete_unpaid, overdue]),
    SagaPath("operator-compensate", compensate, ["DELIVERED REFUNDED"], [*DELIVERED, complete_unpaid, overdue]),
    SagaPath("operator-compensate-silent", compensate, [FAILED, CANCELLED], [Walk.create], customer="silent_"),
    SagaPath("poison", scenes.poison, ["READY_FOR_PICKUP AUTHORIZED"], [Walk.create], dead_letters=1),
    SagaPath("redrive", redrive, ["READY_FOR_PICKUP AUTHORIZED"], [Walk.create, scenes.lose_reply], customer="silent_", dead_letters=1),
    SagaPath("dismissal", dismiss, ["READY_FOR_PICKUP AUTHORIZED"], [Walk.create, scenes.poison], dead_letters=1),
    SagaPath("relay", left_to_the_relay, ["READY_FOR_PICKUP AUTHORIZED"]),
    SagaPath("purge", purge, ["READY_FOR_PICKUP AUTHORIZED"], [Walk.create]),
    SagaPath("audit", audit, ["READY_FOR_PICKUP AUTHORIZED"], [Walk.create]),
)
