"""What an order costs. The customer quotes the shop's prices; the sum is ours."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from chalicelib.orders.order import FoodItem

CURRENCY = "SGD"
DEFAULT_DELIVERY_FEE = Decimal("3.99")
HIGHEST_TOTAL = Decimal("9999.99")


@dataclass(frozen=True)
class Price:
    food_fee: Decimal
    delivery_fee: Decimal

    @property
    def total(self) -> Decimal:
        return self.food_fee + self.delivery_fee


def price(items: Iterable[FoodItem], delivery_fee: Decimal) -> Price:
    """Add up the items, exactly, in cents."""
    return Price(sum((item.price * item.quantity for item in items), Decimal("0.00")), delivery_fee)
