"""Sagas that an earlier release left in the middle: today's code reads their rows and brings every one of them to a clean end."""

from collections.abc import Callable

import pytest

from chalicelib.messages.envelope import from_json
from chalicelib.messages.replies import REPLIES
from chalicelib.sagas.definition import Step
from chalicelib.sagas.registry import DEFINITIONS, definition_of
from chalicelib.sagas.state import SagaStatus
from chalicelib.sagas.verdict import Verdict
from infra.documents.saga_map import REFUSED, TIMED_OUT, explore, place_of
from tests.support.released_sagas import FOLDER, Frozen, frozen
from tests.support.saga_language import UNWILLING, WILLING, Story, header

ROWS = list(frozen())
EACH = pytest.mark.parametrize("row", ROWS, ids=str)
# From the contract: how a saga leaves the order (status, payment), where it completes and where it is undone.
COMPLETED = {
    "create_order": {("READY_FOR_PICKUP", "AUTHORIZED")},
    "accept_order": {("ACCEPTED", "AUTHORIZED")},
    "complete_order": {("COMPLETED", "CAPTURED")},
    "cancel_acceptance": {("READY_FOR_PICKUP", "AUTHORIZED")},
    "cancel_order": {("CANCELLED", "RELEASED"), ("TIMED_OUT", "RELEASED")},
}
UNDONE = {
    "create_order": {("CANCELLED", "FAILED"), ("CANCELLED", "RELEASED")},
    "accept_order": {("READY_FOR_PICKUP", "AUTHORIZED")},
    "complete_order": {("DELIVERED", "AUTHORIZED"), ("DELIVERED", "REFUNDED")},
}


def resumed(row: Frozen) -> Story:
    saga = row.saga
    definition = definition_of(saga.name, saga.definition_version)
    assert definition, f"{saga.name} version {saga.definition_version} is still under way somewhere, and no longer known"
    return Story.resumed(definition, row.order, saga)


def finish(story: Story) -> None:
    """Everybody is willing from now on, and an operator retries what a refusal has suspended."""
    for _ in range(30):
        if story.saga.ended:
            return
        if story.saga.pending is None:
            story.is_retried()
        elif story.saga.pending.attempts == 0:
            story.times_out()
        else:
            story.is_done()
    raise AssertionError(f"the saga is stuck: {story.saga}")


def as_it_is(_story: Story) -> None:
    """Nothing happens before everybody is willing."""


def resent(story: Story) -> None:
    """The next copy is to the byte the command that the old release has written down."""
    written = story.saga.pending.message if story.saga.pending else None
    if story.saga.due_at:
        sent = len(story.sent)
        story.times_out()
        assert story.sent[sent:] == [written]


def silent(story: Story) -> None:
    while story.saga.due_at:
        story.times_out()


def refused(story: Story) -> None:
    """Whatever can be refused is, until the saga ends or is suspended."""
    while story.saga.pending and story.saga.status is not SagaStatus.FAILED:
        if story.saga.pending.attempts == 0:
            story.times_out()
        asked = header(story.awaited, "ce_type")
        story.is_refused() if asked in UNWILLING else story.is_done()


def deferred(story: Story) -> None:
    if story.saga.due_at:
        story.is_deferred()


def by_an_operator(story: Story) -> None:
    if story.saga.status is SagaStatus.FAILED:
        story.is_retried()


def compensating(story: Story) -> None:
    """Where it may be: by the operator's table of the contract."""
    saga = story.saga
    capturing = saga.name == "complete_order" and saga.step("capture_payment").status != "PENDING"
    suspended_by_refusal = saga.status is SagaStatus.FAILED and saga.pending is None
    if saga.name in UNDONE and (suspended_by_refusal or (saga.status is SagaStatus.RUNNING and not capturing)):
        story.is_cancelled()
        assert story.saga.status in (SagaStatus.COMPENSATING, SagaStatus.COMPENSATED)


FATES = (as_it_is, resent, silent, refused, deferred, by_an_operator, compensating)


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: fate.__name__)
@EACH
def test_a_frozen_saga_comes_to_its_end_whatever_happens_first(row: Frozen, fate: Callable[[Story], None]) -> None:
    story = resumed(row)
    before = story.order.version

    fate(story)
    finish(story)

    statuses = (story.order.order_status.value, story.order.payment_status.value)
    assert statuses in (COMPLETED if story.saga.status is SagaStatus.COMPLETED else UNDONE)[story.saga.name]
    assert [int(header(event, "ce_sequence")) for event in story.events] == list(range(before + 1, story.order.version + 1))


@EACH
def test_with_willing_partners_a_frozen_saga_ends_in_the_direction_it_was_going(row: Frozen) -> None:
    story = resumed(row)
    undoing = story.saga.status is SagaStatus.COMPENSATING or (story.saga.pending is not None and story.saga.pending.undo)

    finish(story)

    assert story.saga.status is (SagaStatus.COMPENSATED if undoing else SagaStatus.COMPLETED)


@EACH
def test_replies_that_the_old_release_has_taken_are_stale(row: Frozen) -> None:
    story = resumed(row)
    for attempt in (attempt for step in story.saga.steps for attempt in step.tries):
        if attempt.reply:
            reply = REPLIES[attempt.reply["type"]].read(attempt.reply["data"])
            assert story.judges(reply, attempt.command_id) is Verdict.STALE


@EACH
def test_a_frozen_command_is_one_that_partners_know(row: Frozen) -> None:
    pending = row.saga.pending
    if pending:
        assert header(pending.message, "ce_type") in WILLING
        assert header(pending.message, "ce_id") == pending.command_id
        assert from_json(pending.message.value or b"")


@pytest.mark.parametrize(("name", "version"), DEFINITIONS)
def test_every_released_version_has_rows_at_every_place_where_it_can_rest(name: str, version: int) -> None:
    definition = DEFINITIONS[name, version]
    rows = [row for row in ROWS if row.file == f"{name}-{version}"]
    found = explore(definition).arrows
    steps = {step.name for step in definition.steps if isinstance(step, Step)}
    places = {place for arrow in found for place in (arrow.before, arrow.after)}
    resting = {place for place in places if place == REFUSED or place.removeprefix("undo_").removesuffix("_again") in steps}
    suspended = {f"{TIMED_OUT} at {arrow.after}" for arrow in found if arrow.before == TIMED_OUT}

    frozen_places = {row.place.split(",")[0] for row in rows}

    assert frozen_places == resting | suspended, f"see {FOLDER.name}/README.md"
    assert all(row.place.startswith(place_of(row.saga)) for row in rows)
    assert {(row.saga.name, row.saga.definition_version) for row in rows} == {(name, version)}


def test_no_file_is_left_of_a_version_that_is_gone() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == {f"{name}-{version}" for name, version in DEFINITIONS}
