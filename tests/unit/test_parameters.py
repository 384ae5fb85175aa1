"""Query parameters: read, bounded, and refused by name, all that are wrong at once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.entrypoints.bodies import MOST_ERRORS
from chalicelib.entrypoints.cursors import Cursor
from chalicelib.entrypoints.parameters import (
    SAGA_NAMES,
    OrderList,
    Query,
    read_dead_letter_filters,
    read_order_list,
    read_saga_filters,
)
from chalicelib.errors import Invalid
from chalicelib.orders.lists import Filters
from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.state import SagaStatus


def test_without_parameters_the_first_ten_are_meant() -> None:
    assert read_order_list({}) == OrderList(Filters(), cursor=None, page=1, limit=10)


def test_an_empty_cursor_is_the_beginning_of_the_list() -> None:
    assert read_order_list({"cursor": [""]}).cursor == Cursor(None)


@pytest.mark.parametrize(
    ("page", "limit"),
    [("1", "1"), ("100000", "100"), ("007", "010")],
)
def test_page_and_limit_are_read_within_their_bounds(page: str, limit: str) -> None:
    asked = read_order_list({"page": [page], "limit": [limit]})
    assert (asked.page, asked.limit) == (int(page), int(limit))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("page", value) for value in ("0", "100001", "-1", "1.0", "", "x", " 1", "٣", "1" * 50)),
        *(("limit", value) for value in ("0", "101", "-1", "1e1", "", "all")),
    ],
)
def test_a_page_or_limit_out_of_bounds_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=f"parameter {name} must be a whole number") as raised:
        read_order_list({name: [value]})
    assert [error.place for error in raised.value.errors] == [name]


@pytest.mark.parametrize("name", ["page", "limit"])
def test_a_number_given_twice_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match=f"{name} may be given only once"):
        read_order_list({name: ["1", "2"]})


def test_a_parameter_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Invalid, match="parameter stauts is not a known parameter"):
        read_order_list({"stauts": ["CREATED"], "page": ["1"]})


def test_filters_are_read() -> None:
    asked = read_order_list(
        {
            "status": ["CREATED", "CANCELLED"],
            "paymentStatus": ["FAILED"],
            "customerId": ["cust_1"],
            "runnerId": ["run|1"],
            "createdAfter": ["2026-11-22T08:00:00Z"],
            "createdBefore": ["2026-11-22T16:00:00.5+08:00"],
        }
    )

    assert asked.filters == Filters(
        statuses=("CREATED", "CANCELLED"),
        payment_status="FAILED",
        customer_id="cust_1",
        runner_id="run|1",
        created_after=datetime(2026, 11, 22, 8, tzinfo=UTC),
        created_before=datetime(2026, 11, 22, 8, 0, 0, 500_000, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("status", "OPEN", "must be one of CREATED"),
        ("status", "created", "must be one of CREATED"),
        ("status", "", "must be one of CREATED"),
        ("paymentStatus", "PAID", "must be one of PENDING"),
        ("customerId", "", "must be an id"),
        ("customerId", "x" * 65, "must be an id"),
        ("runnerId", "a b", "must be an id"),
        ("runnerId", "a\n", "must be an id"),
        *(
            ("createdAfter", value, "must be a time")
            for value in (
                "",
                "yesterday",
                "2026-11-22",
                "2026-11-22T08:00:00",
                "2026-11-22 08:00:00Z",
                "2026-02-30T08:00:00Z",
                "2026-11-22T25:00:00Z",
                "2026-11-22T08:00:00+99:00",
                "0001-01-01T00:00:00+14:00",
                "9999-12-31T23:59:59-14:00",
                "٢٠٢٦-11-22T08:00:00Z",
                "2026-11-22T08:00:00.Z",
                "2026-11-22T08:00:00,5Z",
                "2026-11-22T24:00:00Z",
                "2026-11-22T08:60:00Z",
                "2026-11-22T08:00:61Z",
                "2026-11-22T08:00:00+25:00",
                "2026-11-22T08:00:00+24:00",
                "2026-11-22T08:00:00-12:60",
                "2026-11-22T08:00:00+0800",
                "2026-11-22T08:00:00+08",
                "2026-11-22T08:00:00Z+08:00",
                "2026-11-22T08:00:00Z\n",
                "2026-11-22T08:00Z",
                "0000-01-01T00:00:00Z",
                "9999-12-31T23:59:59.9999999Z",
                "2026-06-30T23:58:60Z",
                "2026-06-29T23:59:60Z",
                "2016-12-31T23:59:60+08:00",
                "9999-12-31T23:59:60Z",
            )
        ),
        ("createdBefore", "1700000000", "must be a time"),
    ],
)
def test_a_filter_that_can_not_be_read_is_refused_by_name(name: str, value: str, complaint: str) -> None:
    with pytest.raises(Invalid, match=f"the parameter {name} {complaint}") as raised:
        read_order_list({name: [value]})
    assert [error.place for error in raised.value.errors] == [name]


SECOND = datetime(2026, 11, 28, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-28T08:00:00Z", SECOND),
        ("2026-11-28t08:00:00z", SECOND),
        ("2026-11-28T08:00:00-00:00", SECOND),
        ("2026-11-28T07:59:00-00:01", SECOND),
        ("2026-11-29T07:59:00+23:59", SECOND),
        ("2026-11-28T08:00:00.5Z", SECOND + timedelta(microseconds=500_000)),
        ("2026-11-28T08:00:00.123456Z", SECOND + timedelta(microseconds=123_456)),
        ("2026-11-28T08:00:00.1234560000Z", SECOND + timedelta(microseconds=123_456)),
        # What .NET, Go and a long division write: of the moments that the database knows, the next one.
        ("2026-11-28T08:00:00.1234567Z", SECOND + timedelta(microseconds=123_457)),
        ("2026-11-28T08:00:00.000000001Z", SECOND + timedelta(microseconds=1)),
        ("2026-11-28T08:00:00.9999999Z", SECOND + timedelta(seconds=1)),
        (f"2026-11-28T08:00:00.{'3' * 5_000}Z", SECOND + timedelta(microseconds=333_334)),
        # A leap second: the second after it.
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2015-06-30T23:59:60.25Z", datetime(2015, 7, 1, tzinfo=UTC)),
        ("2017-01-01T07:59:60+08:00", datetime(2017, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_rfc_3339_has_it(text: str, moment: datetime) -> None:
    asked = read_order_list({"createdAfter": [text], "createdBefore": [text]}).filters
    # One moment for both: what is not before it is what came at it or later.
    assert (asked.created_after, asked.created_before) == (moment, moment)


def test_a_plus_that_arrived_as_a_space_is_told_how_to_write_it() -> None:
    with pytest.raises(Invalid, match=r"createdAfter must have its offset's \+ written as %2B: 2026-11-28T08:00:00%2B08:00"):
        read_order_list({"createdAfter": ["2026-11-28T08:00:00 08:00"]})
    with pytest.raises(Invalid) as raised:
        read_order_list({"createdAfter": [f"2026-11-28T08:00:00.{'0' * 5_000} 08:00"]})
    assert len(raised.value.detail) < 300


@pytest.mark.parametrize("name", ["paymentStatus", "customerId", "runnerId", "createdAfter", "createdBefore"])
def test_a_filter_given_twice_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="only once"):
        read_order_list({name: ["x", "y"]})


UNKNOWN, ONCE, NUMBER = "is not a known parameter", "may be given only once", "must be a whole number from 1 to 100"
SEVERAL: dict[str, tuple[Callable[[Query], object], Query, dict[str, str]]] = {
    "orders": (
        read_order_list,
        {
            "offset": ["3"],
            "status": ["OPEN", "CREATED", "SHUT"],
            "customerId": ["", ""],
            "createdAfter": ["now"],
            "limit": ["0"],
            "page": ["1"],
            "cursor": ["x"],
        },
        {
            "offset": UNKNOWN,
            "status": f"must be one of {', '.join(OrderStatus)}",
            "customerId": ONCE,
            "createdAfter": "must be a time such as 2026-01-31T08:00:00Z",
            "limit": NUMBER,
            "page": "can't be used together with cursor",
            "cursor": "is not one of ours",
        },
    ),
    "sagas": (
        read_saga_filters,
        {"page": ["1"], "name": ["x"], "status": ["x"], "orderId": ["x"], "cursor": ["x", "x"], "limit": ["101"]},
        {
            "page": UNKNOWN,
            "name": f"must be one of {', '.join(SAGA_NAMES)}",
            "status": f"must be one of {', '.join(SagaStatus)}",
            "orderId": "must be a UUID",
            "cursor": ONCE,
            "limit": NUMBER,
        },
    ),
    "dead letters": (
        read_dead_letter_filters,
        {"redriven": ["yes"], "errorClass": ["a b"], "sagaId": ["1"], "topic": [""], "cursor": ["x"], "limit": ["x"], "q": [""]},
        {
            "redriven": "must be one of true, false",
            "errorClass": "must be the name of an error's class",
            "sagaId": "must be a UUID",
            "topic": "must be the name of a topic",
            "cursor": "is not one of ours",
            "limit": NUMBER,
            "q": UNKNOWN,
        },
    ),
}


@pytest.mark.parametrize(("read", "query", "complaints"), SEVERAL.values(), ids=SEVERAL)
def test_all_that_is_wrong_is_told_at_once(read: Callable[[Query], object], query: Query, complaints: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="these parameters are not valid: ") as raised:
        read(query)
    assert {error.place: error.detail for error in raised.value.errors} == complaints
    assert len(raised.value.errors) == len(complaints)
    assert all(name in raised.value.detail for name in complaints)


def test_of_thousands_of_wrong_parameters_a_hundred_are_told() -> None:
    with pytest.raises(Invalid) as raised:
        read_order_list({f"p{number}": [""] for number in range(4000)})
    assert len(raised.value.errors) == MOST_ERRORS
