"""A saga's definition checks itself: one that could get stuck half done is refused when it is made."""

import dataclasses
from collections.abc import Callable

import pytest

from chalicelib.messages import commands, replies
from chalicelib.sagas import registry
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.definition import AnyStep, Definition, DefinitionError, Exchange, Local, Step, Undone, unchanged

UNDONE = Undone(lambda order, _data, _error, _moment: order, lambda _order, _error: ())


def exchange(*, can_be_refused: bool = False) -> Exchange:
    refused = replies.PaymentDeclined if can_be_refused else None
    return Exchange(commands.ReleasePayment, lambda order, _: commands.ReleasePayment(order_id="o"), replies.PaymentReleased, refused)


def without_reply() -> Exchange:
    return dataclasses.replace(exchange(), done=None)  # type: ignore[arg-type] - what a type checker would refuse, too


def from_escrow() -> Exchange:
    """A reply that somebody else gives settles nothing."""
    return dataclasses.replace(exchange(), done=replies.EscrowRefunded)


def a_notice() -> Exchange:
    """A command that nobody answers."""
    return dataclasses.replace(exchange(), command=commands.SendNotification)


def a_step(name: str, *, undo: bool = True, refusable: bool = False, pivot: bool = False, **options: bool) -> Step:
    return Step(name, exchange(can_be_refused=refusable), undo=exchange() if undo else None, pivot=pivot, **options)


def define(*steps: AnyStep, undone: Undone | None = UNDONE) -> Definition:
    return Definition("pay", 1, steps, undone)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: define(a_step("one"), Local("two", unchanged), a_step("one")), "names the step one twice"),
        (lambda: define(a_step("one", undo=False)), "step one comes before the pivot and has no undo"),
        (lambda: define(a_step("one", undo=False), a_step("two", pivot=True)), "step one comes before the pivot and has no undo"),
        (lambda: define(Step("one", exchange(), undo=exchange(can_be_refused=True))), "the undo of one can be refused"),
        (
            lambda: define(a_step("one", pivot=True), a_step("two", refusable=True)),
            "step two comes after the pivot, can be refused and does not try again",
        ),
        (lambda: define(a_step("one", refusable=True), undone=None), "step one .*can be refused and does not try again"),
        (lambda: define(a_step("one", pivot=True), a_step("two", pivot=True)), "more than one pivot"),
        (
            lambda: define(a_step("one", pivot=True), Step("two", exchange(), undo=exchange(can_be_refused=True))),
            "the undo of two can be refused",
        ),
        (lambda: define(Step("one", without_reply(), harmless=True)), "step one sends payment.release without a reply"),
        (lambda: define(Step("one", exchange(), undo=without_reply())), "step one sends payment.release without a reply"),
        (lambda: define(Step("one", from_escrow(), harmless=True)), "step one sends payment.release without a reply"),
        (lambda: define(Step("one", a_notice(), harmless=True)), "step one sends notification.send without a reply"),
        (lambda: define(Step("one", without_reply()), undone=None), "step one sends payment.release without a reply"),
    ],
)
def test_a_saga_that_could_neither_be_undone_nor_finished_is_refused(make: Callable[[], Definition], complaint: str) -> None:
    with pytest.raises(DefinitionError, match=f"pay.*{complaint}"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: define(a_step("one", undo=False, harmless=True, refusable=True), a_step("two", refusable=True)),
        lambda: define(a_step("one"), a_step("two", undo=False, pivot=True, refusable=True), a_step("three", undo=False)),
        lambda: define(a_step("one"), a_step("two", undo=False, pivot=True), a_step("three", undo=False, refusable=True, tries_again=True)),
        lambda: define(a_step("one", undo=False), a_step("two", undo=False), undone=None),
    ],
)
def test_a_saga_that_can_always_be_undone_or_finished_is_accepted(make: Callable[[], Definition]) -> None:
    assert make().name == "pay"


def test_steps_are_found_by_name_and_an_unknown_name_is_an_error() -> None:
    saga = define(a_step("one"), a_step("two"))

    assert saga.find("two").name == "two"
    with pytest.raises(KeyError, match="pay version 1 has no step three"):
        saga.find("three")


def test_the_steps_after_one_are_known_and_none_stands_for_the_beginning() -> None:
    saga = define(a_step("one"), a_step("two"), a_step("three"))

    assert [step.name for step in saga.after("one")] == ["two", "three"]
    assert [step.name for step in saga.after(None)] == ["one", "two", "three"]
    assert saga.after("three") == ()


def test_every_definition_is_registered_under_its_own_name_and_version() -> None:
    assert all(key == (definition.name, definition.version) for key, definition in registry.DEFINITIONS.items())
    assert registry.definition_of("create_order", 1) is CREATE_ORDER


@pytest.mark.parametrize(("name", "version"), [("create_order", 99), ("create_order", 0), ("make_tea", 1)])
def test_a_version_that_this_code_does_not_know_is_none(name: str, version: int) -> None:
    assert registry.definition_of(name, version) is None


@pytest.mark.parametrize("definition", registry.DEFINITIONS.values(), ids=lambda definition: f"{definition.name}-{definition.version}")
def test_what_a_step_keeps_is_a_field_of_its_reply(definition: Definition) -> None:
    for step in definition.steps:
        if isinstance(step, Step):
            assert set(step.keep) <= set(step.ask.done.model_fields)


def test_create_order_has_the_steps_of_the_contract() -> None:
    steps = [
        (step.name, step.ask.command.TYPE, step.undo and step.undo.command.TYPE) for step in CREATE_ORDER.steps if isinstance(step, Step)
    ]

    assert steps == [
        ("validate_customer", "user.validate_customer", None),
        ("authorize_payment", "payment.authorize", "payment.release"),
        ("hold_escrow", "escrow.hold", "escrow.refund"),
    ]
    assert [step.name for step in CREATE_ORDER.after("hold_escrow")] == ["open_order", "notify_customer"]
