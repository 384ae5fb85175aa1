"""The body of POST /api/orders: every limit of the contract on both sides, and each error with its pointer."""

from decimal import Decimal
from typing import Any

import pytest

from chalicelib.entrypoints.bodies import CreateOrderBody, read_body
from chalicelib.errors import Invalid
from chalicelib.messages.envelope import from_json

ITEM: dict[str, Any] = {"name": "Chicken rice", "price": "4.50", "quantity": 2}


def body(**changes: Any) -> dict[str, Any]:
    """A valid body; `changes` go to the item, the details or the top, wherever a field has its place."""
    item = {**ITEM, **{name: changes.pop(name) for name in list(changes) if name in ITEM}}
    details = {"foodItems": [item], "storeLocation": "Koufu", "deliveryLocation": "Hall 5"}
    details |= {name: changes.pop(name) for name in list(changes) if name in (*details, "deliveryFee")}
    return {"orderDetails": details, **changes}


def read(data: Any) -> CreateOrderBody:
    return read_body(CreateOrderBody, data)


def refused(data: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as raised:
        read(data)
    assert raised.value.errors
    return {error.pointer: error.detail for error in raised.value.errors}


def test_a_body_is_read() -> None:
    order = read({**body(deliveryFee="1.00"), "customerId": "cust_1"})

    assert order.customer_id == "cust_1"
    assert order.order_details.delivery_fee == Decimal("1.00")
    assert [(item.name, item.price, item.quantity) for item in order.order_details.food_items] == [("Chicken rice", Decimal("4.50"), 2)]


def test_customer_and_delivery_fee_may_be_left_out() -> None:
    order = read(body())

    assert order.customer_id is None
    assert order.order_details.delivery_fee == Decimal("3.99")


ACCEPTED: list[tuple[str, Any]] = [
    ("price", "0.01"),
    ("price", "999.99"),
    ("price", "5"),
    ("price", "5.5"),
    ("price", 5),
    ("price", Decimal("4.50")),
    ("quantity", 1),
    ("quantity", 99),
    ("name", "x"),
    ("name", "x" * 120),
    ("name", "😀" * 120),
    ("storeLocation", "x" * 255),
    ("deliveryLocation", "x" * 255),
    ("deliveryFee", "0"),
    ("deliveryFee", 0),
    ("deliveryFee", "99.99"),
    ("customerId", "x"),
    ("customerId", "aZ0_.:@|-" + "x" * 55),
    ("foodItems", [ITEM] * 50),
]


@pytest.mark.parametrize(("name", "value"), ACCEPTED, ids=lambda value: str(value)[:20])
def test_what_lies_within_the_limits_is_accepted(name: str, value: Any) -> None:
    read(body(**{name: value}))


AN_ITEM = "/orderDetails/foodItems/0"
MONEY = [
    "0.001",
    "4.500",
    "1e1",
    "+1.00",
    "-1.00",
    "",
    " 1.00",
    "1.00\n",
    ".50",
    "1.",
    "1,00",
    "1_0",
    "٣.00",
    "NaN",
    "Infinity",
    "0x10",
    True,
    False,
    None,
    1.5,
    Decimal("1E+1"),
    Decimal("0.001"),
    Decimal("NaN"),
    [],
    {},
    "9" * 400,
    10**400,
]
REFUSED: list[tuple[str, Any, str]] = [
    *(("price", value, f"{AN_ITEM}/price") for value in (*MONEY, "0", "0.00", 0, "1000.00", -1, Decimal("-4.50"))),
    *(("deliveryFee", value, "/orderDetails/deliveryFee") for value in (*MONEY, "100.00", -1, "-0.01")),
    *(("quantity", value, f"{AN_ITEM}/quantity") for value in (0, 100, -1, True, "2", Decimal("2"), Decimal("2.5"), 2.0, None, 10**30)),
    *(("name", value, f"{AN_ITEM}/name") for value in ("", "   ", "x" * 121, "a\x00", "a\ud800", "\x00", 5, True, None, ["x"])),
    *(
        (name, value, f"/orderDetails/{name}")
        for name in ("storeLocation", "deliveryLocation")
        for value in ("", " \t\n ", "x" * 256, "\x00", "\udfff", 5, None)
    ),
    *(("customerId", value, "/customerId") for value in ("", "x" * 65, "a b", "a\n", "é", "a/b", "٣", "a\x00", "\ud800", 5, True)),
    *(("foodItems", value, "/orderDetails/foodItems") for value in ([], [ITEM] * 51, None, {}, "x")),
    *(("foodItems", [value], AN_ITEM) for value in (None, "x", 5, [])),
    *(("orderDetails", value, "/orderDetails") for value in (None, [], "x", 5)),
]


@pytest.mark.parametrize(("name", "value", "pointer"), REFUSED, ids=lambda value: repr(value)[:24])
def test_what_lies_beyond_the_limits_is_refused_where_it_stands(name: str, value: Any, pointer: str) -> None:
    assert set(refused(body(**{name: value}))) == {pointer}


@pytest.mark.parametrize("name", ["name", "price", "quantity"])
def test_a_field_missing_from_an_item_is_named(name: str) -> None:
    item = {field: value for field, value in ITEM.items() if field != name}

    assert refused(body(foodItems=[ITEM, item])) == {f"/orderDetails/foodItems/1/{name}": "is missing"}


@pytest.mark.parametrize("name", ["foodItems", "storeLocation", "deliveryLocation"])
def test_a_detail_that_is_missing_is_named(name: str) -> None:
    details = {field: value for field, value in body()["orderDetails"].items() if field != name}

    assert refused({"orderDetails": details}) == {f"/orderDetails/{name}": "is missing"}


def test_missing_details_are_named() -> None:
    assert refused({"customerId": "cust_1"}) == {"/orderDetails": "is missing"}


def test_fields_that_nobody_knows_are_errors_and_their_names_are_escaped() -> None:
    data = body(status="OPEN")
    data["orderDetails"]["total"] = "0.01"
    data["orderDetails"]["foodItems"][0]["a/b~c"] = 1
    data["orderDetails"]["foodItems"][0]["store_location"] = 1

    assert refused(data) == dict.fromkeys(
        ["/status", "/orderDetails/total", f"{AN_ITEM}/a~1b~0c", f"{AN_ITEM}/store_location"], "is not a known field"
    )


def test_a_python_name_is_not_a_field() -> None:
    assert "/customer_id" in refused({**body(), "customer_id": "cust_1"})


@pytest.mark.parametrize("data", [None, [], "text", 5, True, [body()]])
def test_a_body_is_an_object(data: Any) -> None:
    assert refused(data) == {"": "must be an object"}


def test_every_wrong_field_is_named_at_once() -> None:
    assert set(refused(body(name="", price="-1", quantity=0, storeLocation=""))) == {
        f"{AN_ITEM}/name",
        f"{AN_ITEM}/price",
        f"{AN_ITEM}/quantity",
        "/orderDetails/storeLocation",
    }


def test_a_refusal_can_be_told_whatever_the_body_was() -> None:
    for name in ("\ud800", "\x00", "x" * 60_000):
        errors = refused({**body(), name: 1})
        assert all(pointer.encode() is not None for pointer in errors)


@pytest.mark.parametrize(("field", "limit"), [("name", 120), ("storeLocation", 255), ("deliveryLocation", 255)])
def test_text_is_trimmed_before_it_is_measured(field: str, limit: int) -> None:
    order = read(body(**{field: f" \n{'x' * limit}\t "})).order_details

    values = {"name": order.food_items[0].name, "storeLocation": order.store_location, "deliveryLocation": order.delivery_location}
    assert values[field] == "x" * limit


def test_numbers_of_json_are_read_as_decimals() -> None:
    order = read(
        from_json('{"orderDetails":{"foodItems":[{"name":"x","price":0.10,"quantity":3}],"storeLocation":"s","deliveryLocation":"d"}}')
    )

    assert order.order_details.food_items[0].price == Decimal("0.10")


@pytest.mark.parametrize(
    ("price", "quantity", "fee", "over"),
    [("101.00", 99, "0.99", False), ("101.00", 99, "1.00", True), ("999.99", 99, "0", True), ("100.00", 99, "99.99", False)],
)
def test_the_total_is_at_most_9999_99(price: str, quantity: int, fee: str, over: bool) -> None:
    assert read(body(price=price, quantity=quantity, deliveryFee=fee)).order_details.over_limit() is over
