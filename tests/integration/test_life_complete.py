"""Completing an order: back before the pivot, only forward after it, and what a refused or silent payout means."""

import pytest

from chalicelib.errors import HeldBySaga, WrongStatus
from chalicelib.orders.order import OrderStatus
from tests.integration.conftest import RULES
from tests.support.interleaving import ADMIN, accept, cancel, check_at_rest, complete, falls_silent, give_back, patch, times_out
from tests.support.scene import Scene, Stage

ATTEMPTS = RULES.policy.attempts


@pytest.fixture
def scene(shared_stage: Stage) -> Scene:
    """A delivered order that is being completed."""
    scene = shared_stage.scene("DELIVERED")
    complete()(scene)
    return scene


def statuses(scene: Scene) -> tuple[str, str, str]:
    return scene.order["order_status"], scene.order["payment_status"], scene.saga("complete_order")["status"]


def captured(scene: Scene) -> None:
    """The runner is validated and the payment captured."""
    scene.answer_next()
    scene.answer_next()
    assert statuses(scene) == ("DELIVERED", "CAPTURED", "RUNNING")


def refuse_payout(scene: Scene) -> str:
    """The escrow service refuses the payout that is under way; the command's id."""
    command = scene.sent[scene.unworked()[0]]
    assert command.type == "escrow.release"
    scene.unwilling["escrow.release"] = 1
    scene.answer_next()
    return command.id


def test_each_outcome_of_a_completion_is_one_version(scene: Scene) -> None:
    begun = scene.order["version"]
    scene.settle()
    entries = scene.history()[begun - 1 :]
    said = [(entry["event"], entry["actor"], entry["status_to"], entry["payment_to"]) for entry in entries]
    # The validated runner changes nothing on the order, so it is no version.
    assert said == [
        ("order.updated", "customer:cust_1", "DELIVERED", "AUTHORIZED"),
        ("order.payment_status_changed", "partner:payment", "DELIVERED", "CAPTURED"),
        ("order.status_changed", "partner:escrow", "COMPLETED", "CAPTURED"),
    ]
    assert scene.order["completed_at"] == entries[-1]["at"]
    told = [message.data["recipientId"] for message in scene.sent if message.type == "notification.send"][-2:]
    assert told == ["cust_1", "runner_1"]
    check_at_rest(scene)


@pytest.mark.parametrize("refusals", range(1, ATTEMPTS))
def test_a_refused_payout_is_tried_again_by_new_commands_with_growing_waits(scene: Scene, refusals: int) -> None:
    captured(scene)
    ids = set()
    for number in range(1, refusals + 1):
        before = scene.stage.world.now()
        ids.add(refuse_payout(scene))
        assert scene.unworked() == [], "the next try goes out only after the wait"
        usual = RULES.policy.timeout * 2 ** (number - 1)
        assert before + usual * 0.8 <= scene.holder["due_at"] <= scene.stage.world.now() + usual * 1.2
        times_out(scene)
    assert len(ids) == refusals
    scene.settle()
    assert statuses(scene) == ("COMPLETED", "CAPTURED", "COMPLETED")
    check_at_rest(scene)


def test_copies_of_a_payout_and_refusals_of_it_are_counted_apart(scene: Scene) -> None:
    captured(scene)
    for _ in range(ATTEMPTS - 1):
        # All but the last copy of each try are lost.
        for _ in range(ATTEMPTS - 1):
            times_out(scene)
        scene.lose_copies()
        refuse_payout(scene)
        times_out(scene)
        assert statuses(scene) == ("DELIVERED", "CAPTURED", "RUNNING")
    refuse_payout(scene)
    assert statuses(scene) == ("DELIVERED", "CAPTURED", "FAILED")


def test_a_payout_refused_to_the_last_try_suspends_the_saga_and_holds_the_order(scene: Scene) -> None:
    captured(scene)
    version = scene.order["version"]
    for number in range(ATTEMPTS):
        if number:
            times_out(scene)
        refuse_payout(scene)
    saga = scene.saga("complete_order")
    assert statuses(scene) == ("DELIVERED", "CAPTURED", "FAILED")
    assert (saga["error"]["code"], saga["awaited_id"], saga["due_at"], saga["ended_at"]) == ("refused", None, None, None)
    assert (scene.order["active_saga_id"], scene.order["version"]) == (saga["saga_id"], version)
    with pytest.raises(HeldBySaga):
        cancel(ADMIN, "too late")(scene)
    with pytest.raises(HeldBySaga):
        patch(OrderStatus.DELIVERED, ADMIN)(scene)
    assert complete()(scene) is None, "the same request joins"
    assert len([saga for saga in scene.sagas() if saga["name"] == "complete_order"]) == 1


@pytest.mark.parametrize("step", ["capture", "payout"])
def test_a_time_out_from_the_pivot_on_suspends_the_saga_until_the_late_reply_heals_it(scene: Scene, step: str) -> None:
    scene.answer_next()
    if step == "payout":
        scene.answer_next()
    command = scene.unworked()[0]
    falls_silent(scene)
    saga = scene.holder
    assert (saga["status"], saga["error"]["code"], saga["due_at"]) == ("FAILED", "silent", None)
    copies = [message for message in scene.sent if message.id == saga["awaited_id"]]
    assert (len(copies), len(set(copies))) == (ATTEMPTS, 1)
    late = scene.work(command)
    assert late
    scene.take(late)
    assert scene.saga("complete_order")["error"] is None
    scene.settle()
    assert statuses(scene) == ("COMPLETED", "CAPTURED", "COMPLETED")
    check_at_rest(scene)


def test_a_late_refusal_of_the_silent_payout_counts_as_one(scene: Scene) -> None:
    captured(scene)
    falls_silent(scene)
    refuse_payout(scene)
    assert statuses(scene) == ("DELIVERED", "CAPTURED", "RUNNING")
    times_out(scene)
    scene.settle()
    assert statuses(scene) == ("COMPLETED", "CAPTURED", "COMPLETED")
    check_at_rest(scene)


@pytest.mark.parametrize("silent_before", [False, True])
def test_a_refused_capture_is_compensated_however_late_and_the_order_can_be_completed_again(scene: Scene, *, silent_before: bool) -> None:
    scene.answer_next()
    if silent_before:
        falls_silent(scene)
    scene.unwilling["payment.capture"] = 1
    scene.answer_next()
    assert statuses(scene) == ("DELIVERED", "AUTHORIZED", "COMPENSATED")
    assert scene.order["active_saga_id"] is None
    complete()(scene)
    scene.settle()
    assert statuses(scene) == ("COMPLETED", "CAPTURED", "COMPLETED")
    check_at_rest(scene)


@pytest.mark.parametrize("how", ["rejected", "silent"])
def test_before_the_pivot_a_rejected_or_silent_runner_check_leaves_the_order_delivered(scene: Scene, how: str) -> None:
    if how == "silent":
        falls_silent(scene)
    else:
        scene.unwilling["user.validate_runner"] = 1
        scene.answer_next()
    assert statuses(scene) == ("DELIVERED", "AUTHORIZED", "COMPENSATED")
    assert scene.saga("complete_order")["error"]["code"] == how
    check_at_rest(scene)


def test_an_order_completed_twice_in_a_row_answers_with_the_saga_that_did_it(scene: Scene) -> None:
    scene.settle()
    state = scene.state()
    assert complete()(scene) is None
    assert scene.state() == state


def test_only_a_delivered_order_can_be_completed(shared_stage: Stage) -> None:
    for status in ("READY_FOR_PICKUP", "ACCEPTED", "COLLECTED", "ON_THE_WAY"):
        with pytest.raises(WrongStatus):
            complete(ADMIN)(shared_stage.scene(status, pool=1))


def test_the_runner_an_order_was_cancelled_under_stays_and_each_time_is_that_of_its_status(shared_stage: Stage) -> None:
    scene = shared_stage.scene()
    accept()(scene)
    scene.settle()
    give_back()(scene)
    scene.settle()
    reopened = scene.order
    assert (reopened["order_status"], reopened["runner_id"]) == ("READY_FOR_PICKUP", None)
    assert reopened["accept_by"] - reopened["updated_at"] == RULES.timeouts.accept
    accept("runner_2")(scene)
    scene.settle()
    cancel()(scene)
    scene.settle()
    order, entries = scene.order, scene.history()
    entered = {entry["status_to"]: entry["at"] for entry in entries if entry["event"] == "order.status_changed"}
    assert (order["order_status"], order["runner_id"]) == ("CANCELLED", "runner_2")
    assert (order["accepted_at"], order["cancelled_at"]) == (entered["ACCEPTED"], entered["CANCELLED"])
    assert [order[name] for name in ("collected_at", "on_the_way_at", "delivered_at", "completed_at")] == [None] * 4
    told = [
        (message.data["recipientId"], message.data["notificationType"]) for message in scene.sent if message.type == "notification.send"
    ]
    assert told[-2:] == [("cust_1", "ORDER_CANCELLED"), ("runner_2", "ORDER_CANCELLED")]
    assert ("cust_1", "ORDER_REOPENED") in told
    check_at_rest(scene)
