"""What an operator may do to a saga: the contract's table, row by row, for every saga in every state; everything else is refused."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from chalicelib.errors import NotFound, WrongStatus
from chalicelib.ids import new_id_source
from chalicelib.operations import operate
from chalicelib.operations.call import Call
from chalicelib.operations.explain import explain
from chalicelib.orders.access import Viewer
from chalicelib.sagas.retry import RetryPolicy
from tests.integration.conftest import RULES
from tests.support.database import World
from tests.support.interleaving import ADMIN, CONTEXT, Move, accept, cancel, check_at_rest, complete, falls_silent, give_back, times_out
from tests.support.scene import Scene, Stage

OPERATOR = Viewer("adm_7", frozenset({"admin"}))
POLICY = RetryPolicy(timedelta(seconds=10), 2)
REFUSED = "409"

ACTIONS: dict[str, Callable[[Scene], object]] = {
    "answered": lambda scene: scene.answer_next(scene.holder["saga_id"]),
    "silent": falls_silent,
    "waits": times_out,
    "cancelled": cancel(),
    "retried": lambda scene: scene.do(
        lambda session, rules, _: operate.retry(session, Call(rules, OPERATOR, CONTEXT, new_id_source()), scene.holder["saga_id"])
    ),
    "compensated": lambda scene: scene.do(
        lambda session, rules, _: operate.compensate(session, Call(rules, OPERATOR, CONTEXT, new_id_source()), scene.holder["saga_id"])
    ),
}


def refused(scene: Scene) -> None:
    """The partner refuses the pending command."""
    place = scene.unworked(scene.holder["saga_id"])[0]
    scene.unwilling[scene.sent[place].type] += 1
    scene.answer_next(scene.holder["saga_id"])


ACTIONS["refused"] = refused


STARTS: dict[str, tuple[str, Move]] = {
    "create_order": ("NEW", lambda scene: scene.publish()),
    "accept_order": ("READY_FOR_PICKUP", accept()),
    "complete_order": ("DELIVERED", complete()),
    "cancel_acceptance": ("ACCEPTED", give_back()),
    "cancel_order": ("ACCEPTED", cancel(ADMIN)),
}
PAYOUT_REFUSED = "answered answered refused waits refused"

# saga, how it got there, its status there, and the order's two statuses after a retry and after a compensation.
TABLE: list[tuple[str, str, str, str, str]] = [
    ("create_order", "", "RUNNING", REFUSED, "CANCELLED FAILED"),
    ("create_order", "waits", "RUNNING", REFUSED, "CANCELLED FAILED"),
    ("create_order", "answered", "RUNNING", REFUSED, "CANCELLED FAILED"),
    ("create_order", "answered answered", "RUNNING", REFUSED, "CANCELLED RELEASED"),
    ("create_order", "answered silent", "COMPENSATING", REFUSED, REFUSED),
    ("create_order", "answered answered refused", "COMPENSATING", REFUSED, REFUSED),
    ("create_order", "answered cancelled", "COMPENSATING", REFUSED, REFUSED),
    ("create_order", "answered silent silent", "FAILED", "CANCELLED FAILED", REFUSED),
    ("create_order", "answered answered silent silent", "FAILED", "CANCELLED RELEASED", REFUSED),
    ("create_order", "answered answered refused silent retried", "COMPENSATING", REFUSED, REFUSED),
    ("create_order", "answered answered answered", "COMPLETED", REFUSED, REFUSED),
    ("create_order", "refused", "COMPENSATED", REFUSED, REFUSED),
    ("accept_order", "", "RUNNING", REFUSED, "READY_FOR_PICKUP AUTHORIZED"),
    ("accept_order", "answered", "RUNNING", REFUSED, "READY_FOR_PICKUP AUTHORIZED"),
    ("accept_order", "answered compensated", "COMPENSATING", REFUSED, REFUSED),
    ("accept_order", "answered silent", "COMPENSATING", REFUSED, REFUSED),
    ("accept_order", "answered silent silent", "FAILED", "READY_FOR_PICKUP AUTHORIZED", REFUSED),
    ("accept_order", "answered answered", "COMPLETED", REFUSED, REFUSED),
    ("accept_order", "refused", "COMPENSATED", REFUSED, REFUSED),
    ("complete_order", "", "RUNNING", REFUSED, "DELIVERED AUTHORIZED"),
    ("complete_order", "answered", "RUNNING", REFUSED, REFUSED),
    ("complete_order", "answered silent", "FAILED", "COMPLETED CAPTURED", REFUSED),
    ("complete_order", "answered silent retried", "RUNNING", REFUSED, REFUSED),
    ("complete_order", "answered answered", "RUNNING", REFUSED, REFUSED),
    ("complete_order", "answered answered refused", "RUNNING", REFUSED, REFUSED),
    ("complete_order", "answered answered refused waits", "RUNNING", REFUSED, REFUSED),
    ("complete_order", "answered answered silent", "FAILED", "COMPLETED CAPTURED", REFUSED),
    ("complete_order", "answered answered refused waits silent", "FAILED", "COMPLETED CAPTURED", REFUSED),
    ("complete_order", PAYOUT_REFUSED, "FAILED", "COMPLETED CAPTURED", "DELIVERED REFUNDED"),
    ("complete_order", f"{PAYOUT_REFUSED} retried", "RUNNING", REFUSED, REFUSED),
    ("complete_order", f"{PAYOUT_REFUSED} retried silent", "FAILED", "COMPLETED CAPTURED", REFUSED),
    ("complete_order", f"{PAYOUT_REFUSED} retried answered refused waits refused", "FAILED", "COMPLETED CAPTURED", "DELIVERED REFUNDED"),
    ("complete_order", f"{PAYOUT_REFUSED} retried refused", "FAILED", "COMPLETED CAPTURED", "DELIVERED REFUNDED"),
    ("complete_order", f"{PAYOUT_REFUSED} compensated", "COMPENSATING", REFUSED, REFUSED),
    ("complete_order", f"{PAYOUT_REFUSED} compensated silent", "FAILED", "DELIVERED REFUNDED", REFUSED),
    ("complete_order", f"{PAYOUT_REFUSED} compensated answered silent", "FAILED", "DELIVERED REFUNDED", REFUSED),
    ("complete_order", f"{PAYOUT_REFUSED} compensated answered answered", "COMPENSATED", REFUSED, REFUSED),
    ("complete_order", "answered refused", "COMPENSATED", REFUSED, REFUSED),
    ("complete_order", "silent", "COMPENSATED", REFUSED, REFUSED),
    ("complete_order", "answered answered answered", "COMPLETED", REFUSED, REFUSED),
    ("cancel_acceptance", "", "RUNNING", REFUSED, REFUSED),
    ("cancel_acceptance", "silent", "FAILED", "READY_FOR_PICKUP AUTHORIZED", REFUSED),
    ("cancel_acceptance", "answered", "COMPLETED", REFUSED, REFUSED),
    ("cancel_order", "", "RUNNING", REFUSED, REFUSED),
    ("cancel_order", "answered answered", "RUNNING", REFUSED, REFUSED),
    ("cancel_order", "silent", "FAILED", "CANCELLED RELEASED", REFUSED),
    ("cancel_order", "answered silent", "FAILED", "CANCELLED RELEASED", REFUSED),
    ("cancel_order", "answered answered silent", "FAILED", "CANCELLED RELEASED", REFUSED),
    ("cancel_order", "answered answered answered", "COMPLETED", REFUSED, REFUSED),
]
VERBS = {"retry": operate.retry, "compensate": operate.compensate}


@pytest.fixture(scope="module")
def stage(engine: sa.Engine) -> Iterator[Stage]:
    """One for all rows, as each row has an order of its own."""
    with closing(Stage(World(engine, replace(RULES, policy=POLICY)))) as stage:
        yield stage


def reach(stage: Stage, saga: str, path: str, status: str) -> Scene:
    """An order of its own whose saga went that path, and is now in that status."""
    start, request = STARTS[saga]
    scene = stage.scene(start)
    request(scene)
    for action in path.split():
        ACTIONS[action](scene)
    assert scene.saga(saga)["status"] == status
    return scene


def operate_on(scene: Scene, saga: str, verb: str) -> None:
    saga_id = scene.saga(saga)["saga_id"]
    scene.do(lambda session, rules, _: VERBS[verb](session, Call(rules, OPERATOR, CONTEXT, new_id_source()), saga_id))


def offered(scene: Scene, saga: str) -> dict[str, bool]:
    """Which actions the saga's explanation offers to the operator."""
    with scene.world.engine.begin() as session:
        told = explain(session, scene.world.rules.policy, OPERATOR, scene.saga(saga)["saga_id"])
    return {action.name: action.allowed for action in told.actions}


@pytest.mark.parametrize(
    ("saga", "path", "status", "retried", "compensated"), TABLE, ids=[f"{row[0]}: {row[1] or 'just begun'}" for row in TABLE]
)
def test_the_operators_table(stage: Stage, saga: str, path: str, status: str, retried: str, compensated: str) -> None:
    ends = {"retry": retried, "compensate": compensated}
    scene = reach(stage, saga, path, status)
    state = scene.state()
    for verb in (verb for verb, end in ends.items() if end == REFUSED):
        with pytest.raises(WrongStatus):
            operate_on(scene, saga, verb)
        assert scene.state() == state
    assert offered(scene, saga) == {verb: end != REFUSED for verb, end in ends.items()}
    allowed = {verb: end for verb, end in ends.items() if end != REFUSED}
    scenes = [scene, *(reach(stage, saga, path, status) for _ in range(len(allowed) - 1))]
    for (verb, end), each in zip(allowed.items(), scenes, strict=False):
        goes_on(each, saga, verb)
        each.settle()
        assert f"{each.order['order_status']} {each.order['payment_status']}" == end
        check_at_rest(each)


def goes_on(scene: Scene, saga: str, verb: str) -> None:
    """The operator's word is taken, noted, and what was silent is sent once more, to the byte."""
    before, version, sent = scene.saga(saga), scene.order["version"], len(scene.sent)
    operate_on(scene, saga, verb)
    check_the_note(scene, version, verb)
    after = scene.saga(saga)
    assert after["status"] in {"retry": ("RUNNING", "COMPENSATING"), "compensate": ("COMPENSATING", "COMPENSATED")}[verb]
    if verb == "retry" and before["awaited_id"]:
        [repeated] = [message for message in scene.sent[sent:] if message.topic != "order-events"]
        assert repeated == next(message for message in scene.sent if message.id == before["awaited_id"])
        assert after["pending"]["attempts"] == 1


def check_the_note(scene: Scene, version: int, verb: str) -> None:
    """One version more, one entry that names the operator, one event."""
    order, entry = scene.order, scene.history()[-1]
    assert (order["version"], entry["version"]) == (version + 1, version + 1)
    assert (entry["actor"], entry["detail"]["operator"]) == (OPERATOR.actor(), verb)
    events = [message.header("ce_sequence") for message in scene.sent if message.topic == "order-events"]
    assert events[-1] == str(version + 1)


def test_a_refused_payout_is_retried_from_the_runners_account_on_and_paid_by_a_new_command(stage: Stage) -> None:
    scene = stage.scene("DELIVERED")
    complete()(scene)
    for action in f"{PAYOUT_REFUSED} retried".split():
        ACTIONS[action](scene)
    scene.settle()
    types = [message.type for message in scene.sent if message.topic != "order-events"]
    assert types.count("payment.capture") == 1
    assert types[-3:] == ["escrow.release", "notification.send", "notification.send"]
    releases = {message.id for message in scene.sent if message.type == "escrow.release"}
    assert (types.count("user.validate_runner"), len(releases)) == (2, 3)


def test_an_old_answer_about_the_runner_does_not_settle_the_question_asked_again(stage: Stage) -> None:
    scene = reach(stage, "complete_order", f"{PAYOUT_REFUSED} retried", "RUNNING")
    state = scene.state()
    assert scene.replies[0].topic == "user-events"
    scene.take(scene.replies[0].again())
    assert scene.state() == state


def test_an_order_whose_money_was_given_back_can_neither_be_completed_nor_cancelled(stage: Stage) -> None:
    scene = reach(stage, "complete_order", f"{PAYOUT_REFUSED} compensated answered answered", "COMPENSATED")
    state = scene.state()
    for move in (complete(), complete(ADMIN), cancel(ADMIN, "for good")):
        with pytest.raises(WrongStatus):
            move(scene)
    assert scene.state() == state


def test_a_saga_that_does_not_exist_is_not_found(stage: Stage) -> None:
    scene = stage.scene("NEW")
    for verb in VERBS.values():
        with pytest.raises(NotFound):
            scene.do(lambda session, rules, _, verb=verb: verb(session, Call(rules, OPERATOR, CONTEXT, new_id_source()), uuid4()))


def test_a_saga_of_a_release_that_this_code_does_not_know_is_left_alone(stage: Stage) -> None:
    scene = stage.scene("NEW")
    stage.rows("UPDATE campusg.sagas SET definition_version = 99 WHERE saga_id = :id", id=scene.saga_id)
    state = scene.state()
    for verb in VERBS.values():
        with pytest.raises(WrongStatus):
            scene.do(lambda session, rules, _, verb=verb: verb(session, Call(rules, OPERATOR, CONTEXT, new_id_source()), scene.saga_id))
    assert scene.state() == state
