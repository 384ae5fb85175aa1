"""What the simulated partners' books of an order must say where no saga holds the order."""

from collections.abc import Iterator, Sequence

from chalicelib.orders.order import Order, OrderStatus
from infra.partners.accounts import Account
from infra.partners.decisions import payout_account

OVER = (OrderStatus.CANCELLED, OrderStatus.TIMED_OUT)
NOT_YET_COLLECTED = (OrderStatus.READY_FOR_PICKUP, OrderStatus.ACCEPTED)


def disagreements(order: Order, account: Account) -> Iterator[str]:
    """Where the books are not what the order's statuses say."""
    if order.order_status in OVER:
        yield from _given_back(order, account)
        return
    if order.authorization_expired and order.order_status in NOT_YET_COLLECTED:
        yield f"the order is {order.order_status}, though its authorization expired"
    payment, hold = {
        ("COMPLETED", "CAPTURED"): ("CAPTURED", "RELEASED"),
        ("DELIVERED", "REFUNDED"): ("REFUNDED", "REFUNDED"),
    }.get((order.order_status.value, order.payment_status.value), ("AUTHORIZED", "HELD"))
    if order.payment_status != payment:
        yield f"an order that is {order.order_status} has its payment {order.payment_status}"
    payments = [(each.payment_id, each.status, each.amount) for each in account.payments]
    if payments != [(order.payment_id, payment, order.total)]:
        yield f"the order is {order.order_status} and the payment service has {_shown(payments)}"
    paid_to = payout_account(order.runner_id) if hold == "RELEASED" and order.runner_id else None
    holds = [(each.escrow_id, each.status, each.amount, each.runner_id, each.payout_account_id) for each in account.holds]
    if holds != [(order.escrow_id, hold, order.total, order.runner_id, paid_to)]:
        yield f"the order is {order.order_status} with runner {order.runner_id} and the escrow service has {_shown(holds)}"


def _given_back(order: Order, account: Account) -> Iterator[str]:
    if order.payment_status not in ("RELEASED", "FAILED"):
        yield f"an order that is {order.order_status} has its payment {order.payment_status}"
    yield from (f"the order is {order.order_status} and a payment {each.status}" for each in account.payments if each.status != "RELEASED")
    yield from (f"the order is {order.order_status} and a hold {each.status}" for each in account.holds if each.status != "REFUNDED")


def _shown(rows: Sequence[tuple[object, ...]]) -> str:
    return "; ".join(" ".join(str(each) for each in row if each is not None) for row in rows) or "nothing"
