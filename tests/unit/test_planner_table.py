"""Every place at which create_order can rest, against everything that can happen there."""

from collections.abc import Callable

import pytest

from chalicelib.messages.envelope import from_json
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.state import SagaStatus
from chalicelib.sagas.verdict import Verdict
from tests.support.examples import an_order
from tests.support.saga_language import Story, header

# For each command: the reply that it asks for, and the refusal, where it can be refused.
DONE = {
    "user.validate_customer": "user.customer_validated",
    "payment.authorize": "payment.authorized",
    "escrow.hold": "escrow.held",
    "payment.release": "payment.released",
    "escrow.refund": "escrow.refunded",
}
REFUSED = {
    "user.validate_customer": "user.customer_rejected",
    "payment.authorize": "payment.declined",
    "escrow.hold": "escrow.hold_failed",
}
CARRIED = ("orderId", "customerId", "paymentId", "escrowId", "amount")


def asked(story: Story) -> str:
    return header(story.awaited, "ce_type")


def answer(story: Story) -> None:
    story.answers(DONE[asked(story)])


def refuse(story: Story) -> None:
    story.answers(REFUSED[asked(story)])


def cancel(story: Story) -> None:
    story.is_cancelled()


def no_reply(story: Story) -> None:
    for _ in range(story.policy.attempts):
        story.times_out()


PLACES: dict[str, tuple[Callable[[Story], None], ...]] = {
    "validating": (),
    "authorizing": (answer,),
    "holding": (answer, answer),
    "refunding, cancelled": (answer, answer, cancel),
    "refunding, after a time-out": (answer, answer, no_reply),
    "releasing a payment never answered": (answer, no_reply),
    "releasing after a refused hold": (answer, answer, refuse),
    "releasing after the refund": (answer, answer, cancel, answer),
    "suspended at the refund": (answer, answer, cancel, no_reply),
    "suspended at the release": (answer, cancel, no_reply),
}
ENDS: dict[str, tuple[Callable[[Story], None], ...]] = {
    "opened": (answer, answer, answer),
    "rejected": (refuse,),
    "declined": (answer, refuse),
    "cancelled": (answer, answer, cancel, answer, answer),
}


def told(acts: tuple[Callable[[Story], None], ...]) -> Story:
    story = Story(CREATE_ORDER, an_order())
    for act in acts:
        act(story)
    return story


def wrong_type(story: Story) -> None:
    for type in {*DONE.values(), *REFUSED.values(), "payment.captured", "payment.authorization_expired"}:
        if type not in (DONE[asked(story)], REFUSED.get(asked(story))):
            story.finds(type, Verdict.MISFIT)


def wrong_content(story: Story) -> None:
    """Each field that command and reply have in common, changed."""
    command = from_json(story.awaited.value or b"")
    for type in {DONE[asked(story)], REFUSED.get(asked(story), DONE[asked(story)])}:
        story.finds(type, Verdict.TAKEN)
        for name in CARRIED:
            if name in command and (name, type) in COMPARED:
                story.finds(type, Verdict.MISFIT, **{name: "12.98" if name == "amount" else "another"})


COMPARED = {
    ("customerId", "user.customer_validated"),
    ("customerId", "user.customer_rejected"),
    *(("orderId", type) for type in (*DONE.values(), *REFUSED.values()) if not type.startswith("user.")),
    ("amount", "payment.authorized"),
    ("amount", "escrow.held"),
    ("paymentId", "payment.released"),
    ("escrowId", "escrow.refunded"),
}


def old_news(story: Story) -> None:
    """Every settled command is answered again: as before, which is stale, and otherwise, which is a contradiction."""
    for command in story.sent:
        tries = [attempt for step in story.saga.steps for attempt in step.tries if attempt.command_id == header(command, "ce_id")]
        for attempt in tries:
            type = header(command, "ce_type")
            if attempt.reply:
                story.finds(attempt.reply["type"], Verdict.STALE, to=type, **attempt.reply["data"])
                if type in REFUSED:
                    other = REFUSED[type] if attempt.reply["type"] == DONE[type] else DONE[type]
                    story.finds(other, Verdict.CONTRADICTS, to=type)
            elif not story.saga.pending or attempt.command_id != story.saga.pending.command_id:
                story.finds(DONE[type], Verdict.STALE, to=type)


def stays_suspended(story: Story) -> bool:
    """Whether the saga is suspended. No sweep finds it then, and one that found it before changes nothing."""
    before, sent = story.saga, list(story.sent)
    if before.status is not SagaStatus.FAILED:
        return False
    assert before.due_at is None
    story.is_swept_late()
    assert (story.saga, story.sent) == (before, sent)
    return True


def time_out_once(story: Story) -> None:
    pending = story.saga.pending
    if not stays_suspended(story):
        story.times_out()
        assert pending and story.saga.pending
        assert (story.saga.pending.command_id, story.saga.pending.attempts) == (pending.command_id, 2)


def time_out_for_good(story: Story) -> None:
    if not stays_suspended(story):
        no_reply(story)


def defer(story: Story) -> None:
    if not stays_suspended(story):
        before = story.saga
        story.is_deferred()
        assert story.saga.pending == before.pending


def compensate(story: Story) -> None:
    if story.saga.status is SagaStatus.RUNNING:
        story.is_cancelled()
        return
    with pytest.raises(ValueError, match="can't be compensated"):
        story.is_cancelled()


def refuse_if_possible(story: Story) -> None:
    if asked(story) in REFUSED:
        refuse(story)


OUTCOMES = (
    answer,
    refuse_if_possible,
    wrong_type,
    wrong_content,
    old_news,
    time_out_once,
    time_out_for_good,
    defer,
    compensate,
)


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_whatever_happens_at_any_place_the_saga_still_comes_to_a_clean_end(place: str, outcome: Callable[[Story], None]) -> None:
    story = told(PLACES[place])
    before, events = story.saga, len(story.events)

    outcome(story)

    if outcome in (wrong_type, wrong_content, old_news):
        assert story.saga is before
        assert len(story.events) == events
    while not story.saga.ended:
        answer(story)
    opened = story.saga.status is SagaStatus.COMPLETED
    assert story.order.order_status == ("READY_FOR_PICKUP" if opened else "CANCELLED")
    assert story.order.payment_status in (("AUTHORIZED",) if opened else ("FAILED", "RELEASED"))
    if opened:
        assert_nothing_undone(story)
    else:
        assert_undone(story)


@pytest.mark.parametrize("end", ENDS)
def test_nothing_happens_to_a_saga_that_has_ended(end: str) -> None:
    story = told(ENDS[end])
    before, order = story.saga, story.order

    old_news(story)
    compensate(story)

    assert before.ended
    assert (story.saga, story.order) == (before, order)


def assert_undone(story: Story) -> None:
    """Every authorize and hold that may have happened was followed by its undo; what was refused was not."""
    for action, undo in (("authorize_payment", "payment.release"), ("hold_escrow", "escrow.refund")):
        step = story.saga.step(action)
        sent = [header(message, "ce_type") for message in story.sent]
        asked_for = any(not attempt.undo for attempt in step.tries)
        assert (undo in sent) == (asked_for and step.status != "FAILED")
        assert step.status in ("COMPENSATED", "FAILED", "SKIPPED")


def assert_nothing_undone(story: Story) -> None:
    assert not {"payment.release", "escrow.refund"} & {header(message, "ce_type") for message in story.sent}
