"""Commands that more than one saga sends, built from the order."""

from chalicelib.messages import commands
from chalicelib.orders.order import Order
from chalicelib.sagas.definition import SagaData


def validate_runner(order: Order, data: SagaData) -> commands.ValidateRunner:
    return commands.ValidateRunner(runner_id=data.get("runner_id") or order.runner_id or "")


def release_payment(order: Order, _data: SagaData) -> commands.ReleasePayment:
    """Without a payment id it undoes whatever stands for the order."""
    return commands.ReleasePayment(order_id=str(order.order_id), payment_id=order.payment_id)


def refund_escrow(order: Order, _data: SagaData) -> commands.RefundEscrow:
    """Without an escrow id it undoes whatever stands for the order."""
    return commands.RefundEscrow(order_id=str(order.order_id), escrow_id=order.escrow_id)


def unassign_runner(order: Order, _data: SagaData) -> commands.UnassignRunner:
    return commands.UnassignRunner(order_id=str(order.order_id), escrow_id=order.escrow_id or "")
