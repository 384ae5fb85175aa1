"""`payment.authorization_expired`, unasked: what it means in each status, under each saga, and when it is no news."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.support.interleaving import (
    ADMIN,
    Move,
    accept,
    acceptance_timeout,
    cancel,
    check_at_rest,
    complete,
    expire,
    falls_silent,
    give_back,
    is_late,
)
from tests.support.scene import Scene, Stage


def answered(times: int) -> Move:
    def move(scene: Scene) -> None:
        for _ in range(times):
            scene.answer_next()

    return move


def settled(scene: Scene) -> None:
    scene.settle()


def timed_out(scene: Scene) -> None:
    for move in acceptance_timeout():
        move(scene)
    scene.settle()


def refused(type: str) -> Move:
    def move(scene: Scene) -> None:
        scene.unwilling[type] = 1
        scene.answer_next()

    return move


# The order's status, what was done before the expiry came, what the expiry does, and the order's end.
# cancels: cancel_order begins at once. compensates: create_order is compensated. notes: an entry, and whoever ends the saga acts on it.
# dead_letters: an entry and a dead letter. ignored: nothing at all.
TABLE: dict[str, tuple[str, list[Move], str, str]] = {
    "open, held by nobody": ("READY_FOR_PICKUP", [], "cancels", "CANCELLED RELEASED"),
    "open, its time over": ("READY_FOR_PICKUP", [is_late], "cancels", "CANCELLED RELEASED"),
    "accepted, held by nobody": ("ACCEPTED", [], "cancels", "CANCELLED RELEASED"),
    "collected": ("COLLECTED", [], "dead-letters", "COLLECTED AUTHORIZED"),
    "on the way": ("ON_THE_WAY", [], "dead-letters", "ON_THE_WAY AUTHORIZED"),
    "delivered": ("DELIVERED", [], "dead-letters", "DELIVERED AUTHORIZED"),
    "completed": ("DELIVERED", [complete(), settled], "ignored", "COMPLETED CAPTURED"),
    "cancelled": ("ACCEPTED", [cancel(), settled], "ignored", "CANCELLED RELEASED"),
    "timed out": ("READY_FOR_PICKUP", [timed_out], "ignored", "TIMED_OUT RELEASED"),
    "refused": ("NEW", [refused("user.validate_customer")], "ignored", "CANCELLED FAILED"),
    "create_order, nothing asked of the bank": ("NEW", [Scene.publish], "compensates", "CANCELLED FAILED"),
    "create_order, authorizing": ("NEW", [Scene.publish, answered(1)], "compensates", "CANCELLED FAILED"),
    "create_order, authorized": ("NEW", [Scene.publish, answered(2)], "compensates", "CANCELLED RELEASED"),
    "create_order, undoing": ("NEW", [Scene.publish, answered(2), refused("escrow.hold")], "notes", "CANCELLED RELEASED"),
    "create_order, suspended while undoing": (
        "NEW",
        [Scene.publish, answered(2), refused("escrow.hold"), falls_silent],
        "notes",
        "CANCELLED RELEASED",
    ),
    "accept_order, begun": ("READY_FOR_PICKUP", [accept()], "notes", "CANCELLED RELEASED"),
    "accept_order, assigning": ("READY_FOR_PICKUP", [accept(), answered(1)], "notes", "CANCELLED RELEASED"),
    "accept_order, undoing": ("READY_FOR_PICKUP", [accept(), answered(1), falls_silent], "notes", "CANCELLED RELEASED"),
    "accept_order, suspended": ("READY_FOR_PICKUP", [accept(), answered(1), falls_silent, falls_silent], "notes", "CANCELLED RELEASED"),
    "cancel_acceptance": ("ACCEPTED", [give_back()], "notes", "CANCELLED RELEASED"),
    "cancel_acceptance, suspended": ("ACCEPTED", [give_back(), falls_silent], "notes", "CANCELLED RELEASED"),
    "cancel_order": ("ACCEPTED", [cancel()], "notes", "CANCELLED RELEASED"),
    "cancel_order for the clock": ("READY_FOR_PICKUP", list(acceptance_timeout()), "notes", "TIMED_OUT RELEASED"),
    "cancel_order of a delivered order": ("DELIVERED", [cancel(ADMIN, "lost")], "dead-letters", "CANCELLED RELEASED"),
    "complete_order, before the capture": ("DELIVERED", [complete()], "dead-letters", "DELIVERED AUTHORIZED"),
    "complete_order, capturing": ("DELIVERED", [complete(), answered(1)], "dead-letters", "DELIVERED AUTHORIZED"),
    "complete_order, captured": ("DELIVERED", [complete(), answered(2)], "ignored", "COMPLETED CAPTURED"),
}


def begin(stage: Stage, status: str, moves: list[Move]) -> Scene:
    scene = stage.scene(status)
    scene.publish()
    for move in moves:
        move(scene)
    return scene


@pytest.mark.parametrize(("status", "moves", "effect", "end"), TABLE.values(), ids=TABLE.keys())
def test_an_expired_authorization(shared_stage: Stage, status: str, moves: list[Move], effect: str, end: str) -> None:
    scene = begin(shared_stage, status, moves)
    EFFECTS[effect](scene)
    check_that_it_is_taken_once(scene)
    letters = len(scene.dead_letters())
    scene.settle()
    assert f"{scene.order['order_status']} {scene.order['payment_status']}" == end
    assert len(scene.dead_letters()) == letters == (effect == "dead-letters")
    cancelling = [saga for saga in scene.sagas() if saga["name"] == "cancel_order"]
    assert len(cancelling) == ("cancel" in effect or (end.endswith("RELEASED") and status != "NEW"))
    if effect != "dead-letters":
        check_at_rest(scene)


def cancels(scene: Scene) -> None:
    """One version: the entry of the expiry is that of the saga's start."""
    version = scene.order["version"]
    expire(scene)
    order, entry, saga = scene.order, scene.history()[-1], scene.saga("cancel_order")
    assert (order["version"], entry["saga_id"], order["active_saga_id"]) == (version + 1, saga["saga_id"], saga["saga_id"])
    check_the_entry(scene)


def compensates(scene: Scene) -> None:
    version = scene.order["version"]
    expire(scene)
    saga = scene.saga("create_order")
    assert (saga["status"] in ("COMPENSATING", "COMPENSATED"), saga["error"]["code"]) == (True, "expired")
    assert scene.order["version"] == version + 1
    check_the_entry(scene)


def notes(scene: Scene) -> None:
    """The saga goes on as it was; the transaction that ends it begins the cancellation, by the same version."""
    version, holder = scene.order["version"], scene.holder
    expire(scene)
    assert (scene.holder, scene.order["version"]) == (holder, version + 1)
    check_the_entry(scene)
    while scene.order["active_saga_id"] == holder["saga_id"]:
        before = scene.order["version"]
        scene.answer_next()
    assert scene.order["version"] == before + 1, "ending one saga and beginning the next is one outcome"
    if scene.order["active_saga_id"]:
        assert scene.order["active_saga_id"] == scene.saga("cancel_order")["saga_id"]
        held = [message.data["order"]["activeSagaId"] for message in scene.sent if message.topic == "order-events"]
        assert None not in held[version:], "the order is never free in between"


def dead_letters(scene: Scene) -> None:
    version, holder = scene.order["version"], scene.order["active_saga_id"]
    expire(scene)
    assert (scene.order["version"], scene.order["active_saga_id"]) == (version + 1, holder)
    check_the_entry(scene)
    [letter] = scene.dead_letters()
    assert (letter["error_class"], letter["type"]) == ("AuthorizationExpired", "payment.authorization_expired")


def ignored(scene: Scene) -> None:
    state = scene.state()
    expire(scene)
    assert scene.state() == state


EFFECTS: dict[str, Callable[[Scene], None]] = {
    "cancels": cancels,
    "compensates": compensates,
    "notes": notes,
    "dead-letters": dead_letters,
    "ignored": ignored,
}


def check_the_entry(scene: Scene) -> None:
    entry = scene.history()[-1]
    assert (entry["actor"], entry["detail"]) == ("partner:payment", {"cause": "payment.authorization_expired"})


def check_that_it_is_taken_once(scene: Scene) -> None:
    state = scene.state()
    expire(scene)
    assert scene.state() == state


@pytest.mark.parametrize("status", ["READY_FOR_PICKUP", "ACCEPTED", "DELIVERED"])
def test_the_expiry_of_another_payment_is_none_of_the_orders_business(shared_stage: Stage, status: str) -> None:
    scene = begin(shared_stage, status, [])
    state = scene.state()
    scene.take(scene.partners.expire(scene.order_id, "pay_of_somebody_else"))
    assert scene.state() == state


def test_the_expiry_for_an_order_that_does_not_exist_is_a_dead_letter(shared_stage: Stage) -> None:
    scene = begin(shared_stage, "READY_FOR_PICKUP", [])
    unknown = uuid4()
    scene.take(scene.partners.expire(unknown))
    letters = shared_stage.rows("SELECT * FROM campusg.dead_letters WHERE order_id = :id", id=unknown)
    assert [letter["error_class"] for letter in letters] == ["UnknownOrder"]


def test_an_order_whose_authorization_expired_on_the_way_is_not_completed_but_can_be_cancelled(shared_stage: Stage) -> None:
    scene = begin(shared_stage, "DELIVERED", [expire, complete(), settled])
    assert (scene.order["order_status"], scene.order["payment_status"]) == ("DELIVERED", "AUTHORIZED")
    assert scene.saga("complete_order")["status"] == "COMPENSATED"
    cancel(ADMIN, "the bank gave the money back")(scene)
    scene.settle()
    assert (scene.order["order_status"], scene.order["payment_status"]) == ("CANCELLED", "RELEASED")
    assert scene.partners.disagreements(scene.order) == []
