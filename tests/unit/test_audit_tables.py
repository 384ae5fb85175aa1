"""The audit's own tables, written without the code that they judge, say what that code says."""

from chalicelib.operations.audit.history import MOVES, PAYMENT_MOVES
from chalicelib.operations.audit.sagas import KEPT, STEPS
from chalicelib.operations.audit.statuses import ENDS, OPEN, STATUSES
from chalicelib.orders.lifecycle import ORDER_MOVES
from chalicelib.orders.lifecycle import PAYMENT_MOVES as MOVES_OF_PAYMENT
from chalicelib.orders.order import OrderStatus, PaymentStatus
from chalicelib.sagas.definition import Step
from chalicelib.sagas.registry import DEFINITIONS


def test_every_status_of_an_order_and_of_a_payment_is_in_a_pair() -> None:
    assert {order for order, _ in STATUSES} == set(OPEN) | set(ENDS) == {status.value for status in OrderStatus}
    assert {payment for _, payment in STATUSES} == {status.value for status in PaymentStatus}


def test_the_moves_of_a_history_are_those_that_there_are() -> None:
    assert set(MOVES) == {(one, other) for one, others in ORDER_MOVES.items() for other in others}
    assert set(PAYMENT_MOVES) == {(one, other) for one, others in MOVES_OF_PAYMENT.items() for other in others}


def test_the_steps_and_what_they_keep_are_those_of_the_definitions() -> None:
    assert {key: tuple(step.name for step in definition.steps) for key, definition in DEFINITIONS.items()} == STEPS
    kept = {
        (name, step.name, step.ask.done.TYPE, step.ask.done.model_fields[fact].alias, fact)
        for (name, _), definition in DEFINITIONS.items()
        for step in definition.steps
        if isinstance(step, Step)
        for fact in step.keep
    }
    assert kept == set(KEPT)
