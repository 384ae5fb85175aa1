"""The path of a saga and what it waits for, told from its state: nothing invented, and what is rebuilt is what was sent."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.messages.envelope import from_json, timestamp
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.accept_order import ACCEPT_ORDER
from chalicelib.sagas.awaited import WAITS_FOR, WaitsFor, what_it_waits_for
from chalicelib.sagas.cancel_order import CANCEL_ORDER
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.definition import Definition, Step
from chalicelib.sagas.path import PATH_STEP, CommandSent, path_of
from chalicelib.sagas.waits import Unpublished
from tests.support.examples import POLICY, an_order, an_order_in
from tests.support.saga_language import Story, header

DELIVERED = an_order_in(OrderStatus.DELIVERED)


def path(story: Story, *, whole: bool = True) -> dict[str, dict[str, Any]]:
    """The steps by name, as HTTP answers show them."""
    return {step.step.name: PATH_STEP.document(step) for step in path_of(story.saga, story.order, whole=whole)}


def tries(story: Story) -> list[CommandSent]:
    exchanges = [exchange for step in path_of(story.saga, story.order, whole=True) for exchange in (step.action, step.compensation)]
    return [attempt for exchange in exchanges if exchange for attempt in exchange.tries]


def waiting(story: Story, unpublished: Unpublished | None = None) -> WaitsFor:
    found = what_it_waits_for(story.saga, POLICY, unpublished, whole=True)
    assert found
    return found


@pytest.fixture
def creating() -> Story:
    return Story(CREATE_ORDER, an_order())


def test_every_step_of_the_definition_is_on_the_path_with_its_exchanges(creating: Story) -> None:
    steps = path(creating)

    assert list(steps) == [step.name for step in CREATE_ORDER.steps]
    assert [(step["kind"], step["status"]) for step in steps.values()] == [
        ("command", "RUNNING"),
        ("command", "PENDING"),
        ("command", "PENDING"),
        ("local", "PENDING"),
        ("notice", "PENDING"),
    ]
    payment = steps["authorize_payment"]
    named = {"command": "payment.authorize", "topic": "payment-commands", "partner": "payment"}
    assert payment["action"] == {**named, "replies": ["payment.authorized", "payment.declined"], "tries": []}
    assert (payment["compensation"]["command"], payment["compensation"]["replies"]) == ("payment.release", ["payment.released"])
    assert steps["validate_customer"]["compensation"] is None
    assert steps["notify_customer"]["action"]["replies"] == []
    assert not any(step["pivot"] for step in steps.values())
    assert path(Story(COMPLETE_ORDER, DELIVERED))["capture_payment"]["pivot"]


def test_a_command_that_was_answered_has_its_times_and_its_reply(creating: Story) -> None:
    begun = timestamp(creating.now)
    creating.is_done()
    answered = timestamp(creating.now)

    [sent] = path(creating)["validate_customer"]["action"]["tries"]

    assert (sent["sentAt"], sent["copies"], sent["rebuilt"], sent["data"]) == (begun, 1, True, {"customerId": "cust_1"})
    said = {"type": "user.customer_validated", "at": answered, "data": {"customerId": "cust_1", "paymentMethodId": "pm_1"}}
    assert sent["reply"] == said


def test_data_are_shown_only_where_all_is_to_be_shown(creating: Story) -> None:
    creating.is_done()

    steps = path(creating, whole=False)
    hidden = what_it_waits_for(creating.saga, POLICY, None, whole=False)

    [sent] = steps["validate_customer"]["action"]["tries"]
    assert (sent["data"], sent["reply"]["data"], sent["reply"]["type"]) == (None, None, "user.customer_validated")
    assert hidden
    assert "pm_1" not in str((steps, WAITS_FOR.document(hidden)))


def undone_payment() -> Story:
    story = Story(CREATE_ORDER, an_order())
    for happens in (story.is_done, story.is_done, story.is_refused, story.is_done):
        happens()
    return story


def timed_out_and_cancelled() -> Story:
    story = Story(CREATE_ORDER, an_order())
    story.is_done()
    for _ in range(POLICY.attempts):
        story.times_out()
    story.is_done()
    return story


def refused_payout() -> Story:
    story = Story(COMPLETE_ORDER, DELIVERED)
    for happens in (story.is_done, story.is_done, story.is_refused, story.times_out, story.is_refused, story.times_out):
        happens()
    return story


def of_another_runner() -> Story:
    """The order has meanwhile got another runner."""
    story = Story(ACCEPT_ORDER, an_order_in(OrderStatus.READY_FOR_PICKUP), data={"runner_id": "run_7"})
    story.is_done()
    story.is_done()
    story._order = replace(story.order, runner_id="run_8")
    return story


def cancelled() -> Story:
    story = Story(CANCEL_ORDER, an_order_in(OrderStatus.ACCEPTED), data={"ending": "CANCELLED"})
    for _ in range(3):
        story.is_done()
    return story


@pytest.mark.parametrize("tell", [undone_payment, timed_out_and_cancelled, refused_payout, of_another_runner, cancelled])
def test_what_is_rebuilt_is_what_was_sent(tell: Any) -> None:
    story = tell()
    sent = {header(message, "ce_id"): from_json(message.value or b"") for message in story.sent}

    shown = tries(story)

    assert len(shown) >= 2
    assert [each.data for each in shown] == [sent[each.command_id] for each in shown]
    awaited = story.saga.pending.command_id if story.saga.pending else None
    assert [each.rebuilt for each in shown] == [each.command_id != awaited for each in shown]


def moments(definition: Definition, order: Order, *happenings: str) -> tuple[Story, dict[str, str], dict[str, str]]:
    """A story in which each happening is a method's name, and when each command was sent first, and answered."""
    story = Story(definition, order)
    sent, answered = {header(story.awaited, "ce_id"): timestamp(story.now)}, {}
    for happening in happenings:
        awaited = header(story.awaited, "ce_id")
        getattr(story, happening)()
        if happening in ("is_done", "is_refused"):
            answered[awaited] = timestamp(story.now)
        if story.saga.pending and story.saga.pending.attempts:
            sent.setdefault(story.saga.pending.command_id, timestamp(story.now))
    return story, sent, answered


ENDINGS = {
    "goes well": (CREATE_ORDER, an_order(), ("is_done", "is_done", "is_done")),
    "is refused": (CREATE_ORDER, an_order(), ("is_done", "is_done", "is_refused", "is_done")),
    "times out": (CREATE_ORDER, an_order(), ("is_done", "is_done", *["times_out"] * 5, "is_done", "is_done")),
    "is cancelled": (CREATE_ORDER, an_order(), ("is_done", "is_cancelled", "is_done")),
    "payout is tried again": (COMPLETE_ORDER, DELIVERED, ("is_done", "is_done", "is_refused", "times_out", "is_done")),
    "payout is refused for good": (COMPLETE_ORDER, DELIVERED, ("is_done", "is_done", *["is_refused", "times_out"] * 4, "is_refused")),
    "capture is refused": (COMPLETE_ORDER, DELIVERED, ("is_done", "is_refused")),
}


@pytest.mark.parametrize(("definition", "order", "happenings"), ENDINGS.values(), ids=ENDINGS.keys())
def test_a_time_is_the_true_one_or_null(definition: Definition, order: Order, happenings: tuple[str, ...]) -> None:
    story, sent, answered = moments(definition, order, *happenings)

    shown = tries(story)

    for each in shown:
        assert each.sent_at in (None, sent[each.command_id])
        assert each.reply is None or each.reply.at in (None, answered[each.command_id])
    known = sum(each.sent_at is not None for each in shown)
    assert known >= len([step for step in definition.steps if isinstance(step, Step) and story.saga.step(step.name).tries])


def test_when_the_undos_were_sent_follows_from_what_came_before(creating: Story) -> None:
    story, sent, answered = moments(CREATE_ORDER, an_order(), "is_done", "is_done", "is_refused", "is_done")
    release = story.command("payment.release")

    [undo] = path(story)["authorize_payment"]["compensation"]["tries"]
    [action] = path(story)["authorize_payment"]["action"]["tries"]

    assert undo["sentAt"] == sent[header(release, "ce_id")]
    assert undo["reply"]["at"] == answered[header(release, "ce_id")]
    assert action["reply"]["at"] == path(story)["hold_escrow"]["startedAt"]


def test_copies_are_counted_for_the_latest_command_only() -> None:
    story = refused_payout()
    story.times_out()

    assert [each["copies"] for each in path(story)["release_escrow"]["action"]["tries"]] == [None, None, 2]


def test_what_follows_if_nobody_answers(creating: Story) -> None:
    nexts = [waiting(creating).next]
    for _ in range(4):
        creating.times_out()
        nexts.append(waiting(creating).next)
    creating.times_out()
    assert nexts == ["resend"] * 4 + ["compensate"]
    assert creating.saga.ended

    forward = Story(CANCEL_ORDER, an_order_in(OrderStatus.ACCEPTED), data={"ending": "CANCELLED"})
    for _ in range(4):
        forward.times_out()
    assert waiting(forward).next == "suspend"
    forward.times_out()
    assert (waiting(forward).next, waiting(forward).due_at, waiting(forward).last_sent_at) == ("none", None, None)


def test_a_refused_payout_waits_to_be_tried_again() -> None:
    story = Story(COMPLETE_ORDER, DELIVERED)
    for happens in (story.is_done, story.is_done, story.is_refused):
        happens()

    document = WAITS_FOR.document(waiting(story))

    assert (document["next"], document["attempt"], document["firstSentAt"], document["lastSentAt"]) == ("try-again", 0, None, None)
    assert document["dueAt"] == timestamp(story.saga.due_at) if story.saga.due_at else False


def test_the_first_copys_time_is_known_and_a_later_ones_is_estimated(creating: Story) -> None:
    begun = creating.now
    first = waiting(creating)
    assert (first.first_sent_at, first.last_sent_at, first.last_sent_estimated) == (begun, begun, False)
    creating.times_out()
    second = waiting(creating)
    assert (second.first_sent_at, second.last_sent_estimated, second.pending.attempts) == (begun, True, 2)
    assert abs((second.last_sent_at or begun) - creating.now) < timedelta(seconds=1)


def test_a_command_in_the_outbox_was_not_sent_yet(creating: Story) -> None:
    found = waiting(creating, Unpublished(creating.now, 3))
    assert (found.unpublished_since, found.first_sent_at, found.last_sent_at) == (creating.now, None, None)


def test_the_pending_command_is_shown_whole(creating: Story) -> None:
    document = WAITS_FOR.document(waiting(creating))
    assert (document["command"], document["value"]) == ("user.validate_customer", {"customerId": "cust_1"})
    assert ["ce_type", "user.validate_customer"] in document["headers"]
    assert datetime.fromisoformat(document["firstSentAt"]) == creating.now


def test_a_saga_of_an_unknown_definition_shows_its_own_steps(creating: Story) -> None:
    creating.saga = replace(creating.saga, definition_version=99)

    steps = path(creating)

    assert [(step["kind"], step["status"]) for step in steps.values()][:2] == [("command", "RUNNING"), ("local", "PENDING")]
    assert all(step["action"] is None for step in steps.values())
    assert (waiting(creating).next, list(waiting(creating).replies), waiting(creating).partner) == ("none", [], "user")


def test_a_saga_that_awaits_nothing_waits_for_nothing() -> None:
    assert what_it_waits_for(undone_payment().saga, POLICY, None, whole=True) is None
