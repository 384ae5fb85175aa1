"""The body of POST /api/orders: every limit of the contract on both sides, and each error with its pointer."""

import time
import unicodedata
from decimal import Decimal
from typing import Any

import pytest

from chalicelib.entrypoints.bodies import VISIBLE, Body, CancelBody, CreateOrderBody, OperateBody, read_body
from chalicelib.entrypoints.problems import pointer_to
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
    return {pointer_to(error.place): error.detail for error in raised.value.errors}


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
    *(("price", Decimal(text)) for text in ("1E+2", "450E-2", "4.5E0", "4.500", "10." + "0" * 60)),
    ("quantity", 1),
    ("quantity", 99),
    *(("quantity", Decimal(text)) for text in ("2", "2.0", "1E+1", "9900E-2", "2." + "0" * 60)),
    ("name", "x"),
    ("name", "x" * 120),
    ("name", "😀" * 120),
    *(("name", value) for value in ("é", "e\u0301", "中", "!", "+", "😀\ufe0f", "\u200b粥", "अ", "\ue000")),
    ("storeLocation", "x" * 255),
    ("deliveryLocation", "x" * 255),
    ("deliveryFee", "0"),
    ("deliveryFee", 0),
    ("deliveryFee", "99.99"),
    *(("deliveryFee", Decimal(text)) for text in ("-0", "-0.0", "0E5", "0E+999999999", "0E-999999999", "9999E-2")),
    ("deliveryFee", None),
    ("customerId", None),
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
    "1E+2",
    "-0",
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
    1.5,
    *(Decimal(text) for text in ("0.001", "4.5" + "0" * 60 + "1", "1E+4", "1E+999999999", "1E-999999999", "1E-7", "NaN")),
    [],
    {},
    "9" * 400,
    10**400,
]
# Spaces, controls, what has no width, what sets the direction, fillers, marks with nothing below them, tags.
BLANK = [
    *("\xa0", "\u3000", "\x07", "\x1b\x7f", "\u200b", "\u200b \u200d", "\u2060", "\ufeff", "\xad", "\u202e", "\u2066\u2069"),
    *("\u115f", "\u3164", "\uffa0", "\u2800", "\u0301", "\u034f", "\ufe0f", "\u20e3", "\U000e0001", "\U000e0100", "\U0001d173"),
]
REFUSED: list[tuple[str, Any, str]] = [
    *(
        ("price", value, f"{AN_ITEM}/price")
        for value in (*MONEY, None, "0", "0.00", 0, Decimal("-0.0"), Decimal("0E5"), "1000.00", -1, Decimal("-4.50"))
    ),
    *(("deliveryFee", value, "/orderDetails/deliveryFee") for value in (*MONEY, "100.00", -1, "-0.01")),
    *(("quantity", value, f"{AN_ITEM}/quantity") for value in (0, 100, -1, True, "2", 2.0, None, 10**30, [])),
    *(
        ("quantity", Decimal(text), f"{AN_ITEM}/quantity")
        for text in ("2.5", "-2.0", "0E3", "1E+2", "1E+999999999", "2." + "0" * 60 + "1", "NaN")
    ),
    *(("name", value, f"{AN_ITEM}/name") for value in ("", "   ", "x" * 121, "a\x00", "a\ud800", "\x00", 5, True, None, ["x"])),
    *(("name", value, f"{AN_ITEM}/name") for value in BLANK),
    *(
        (name, value, f"/orderDetails/{name}")
        for name in ("storeLocation", "deliveryLocation")
        for value in ("", " \t\n ", "x" * 256, "\x00", "\udfff", 5, None, "\u200b", "\u3164")
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


def in_json(price: str, quantity: str, fee: str) -> Any:
    item = f'{{"name":"x","price":{price},"quantity":{quantity}}}'
    return from_json(f'{{"orderDetails":{{"foodItems":[{item}],"storeLocation":"s","deliveryLocation":"d","deliveryFee":{fee}}}}}')


@pytest.mark.parametrize(
    ("price", "quantity", "fee", "values"),
    [
        ("0.10", "3", "0", ("0.10", 3, "0.00")),
        ("1E+2", "2.0", "-0.0", ("100.00", 2, "0.00")),
        ("450e-2", "1e1", "-0", ("4.50", 10, "0.00")),
        ("4.5e0", "20E-1", "0E5", ("4.50", 2, "0.00")),
        ("0.1e1", "2." + "0" * 10_000, "0e-999999999", ("1.00", 2, "0.00")),
        ("99999e-2", "99", "0e999999999", ("999.99", 99, "0.00")),
    ],
)
def test_a_number_of_json_counts_by_its_value_however_it_is_written(
    price: str, quantity: str, fee: str, values: tuple[str, int, str]
) -> None:
    details = read(in_json(price, quantity, fee)).order_details

    # As texts, because two decimals and no sign are what the database and the messages get.
    assert (str(details.food_items[0].price), details.food_items[0].quantity, str(details.delivery_fee)) == values


@pytest.mark.parametrize("number", ["1e999999999", "1e-999999999", "1e" + "9" * 30, "1e-" + "9" * 30, "1" * 20_000, "0." + "1" * 20_000])
def test_a_number_beyond_all_bounds_is_refused_in_no_time(number: str) -> None:
    begun = time.process_time()
    assert set(refused(in_json(number, number, number))) == {f"{AN_ITEM}/price", f"{AN_ITEM}/quantity", "/orderDetails/deliveryFee"}
    assert time.process_time() - begun < 0.2


@pytest.mark.parametrize("model", [CancelBody, OperateBody], ids=lambda model: model.__name__)
def test_an_optional_field_that_is_null_counts_as_absent(model: type[Body]) -> None:
    names = [str(field.alias) for field in model.model_fields.values()]
    assert read_body(model, dict.fromkeys(names)) == read_body(model, {})


def test_null_is_no_value_of_a_required_field_and_makes_no_unknown_field_known() -> None:
    assert refused({**body(name=None), "orderId": None}) == {f"{AN_ITEM}/name": "must be text", "/orderId": "is not a known field"}


def test_blank_text_is_what_unicode_calls_so() -> None:
    """White space, controls and format characters, but not the numbers of Arabic and other scripts' signs that are drawn around others."""
    drawn = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
    letters = [chr(code) for code in range(0x110000) if code not in drawn]
    visible = {letter for letter in letters if VISIBLE.match(letter)}

    assert not [letter for letter in visible if unicodedata.category(letter) in ("Zs", "Zl", "Zp", "Cc", "Cf")]
    hidden = {letter for letter in letters if letter not in visible and unicodedata.category(letter)[0] in "LNPS"}
    assert hidden == set("\u115f\u1160\u2800\u3164\uffa0")


@pytest.mark.parametrize(
    ("price", "quantity", "fee", "over"),
    [("101.00", 99, "0.99", False), ("101.00", 99, "1.00", True), ("999.99", 99, "0", True), ("100.00", 99, "99.99", False)],
)
def test_the_total_is_at_most_9999_99(price: str, quantity: int, fee: str, over: bool) -> None:
    assert read(body(price=price, quantity=quantity, deliveryFee=fee)).order_details.over_limit() is over
