"""What an order costs, exactly."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.orders.order import FoodItem
from chalicelib.orders.pricing import DEFAULT_DELIVERY_FEE, price


def items(*lines: tuple[str, int]) -> list[FoodItem]:
    return [FoodItem("anything", Decimal(amount), quantity) for amount, quantity in lines]


def test_the_total_is_the_items_and_the_delivery() -> None:
    cost = price(items(("4.50", 2)), DEFAULT_DELIVERY_FEE)

    assert (cost.food_fee, cost.delivery_fee, cost.total) == (Decimal("9.00"), Decimal("3.99"), Decimal("12.99"))


def test_no_amount_of_cents_is_lost_on_the_way() -> None:
    for cents in range(1, 100_000, 7):
        amount = f"{cents // 100}.{cents % 100:02}"
        cost = price(items((amount, 99)), Decimal("0.01"))
        assert cost.total * 100 == cents * 99 + 1
        assert f"{cost.food_fee:.2f}" == f"{cents * 99 // 100}.{cents * 99 % 100:02}"


@given(
    lines=st.lists(st.tuples(st.integers(1, 99_999), st.integers(1, 99)), min_size=1, max_size=50),
    delivery=st.integers(0, 9_999),
)
def test_sums_are_those_of_whole_cents(lines: list[tuple[int, int]], delivery: int) -> None:
    cost = price([FoodItem("x", Decimal(cents).scaleb(-2), quantity) for cents, quantity in lines], Decimal(delivery).scaleb(-2))

    assert cost.total * 100 == sum(cents * quantity for cents, quantity in lines) + delivery
    assert cost.total == cost.food_fee + cost.delivery_fee


def test_prices_written_with_fewer_decimals_count_the_same() -> None:
    assert price(items(("4.5", 2), ("1", 1)), Decimal("0")).total == Decimal("10.00")
