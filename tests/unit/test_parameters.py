"""Query parameters: read, bounded, and refused by name."""

from datetime import UTC, datetime

import pytest

from chalicelib.entrypoints.parameters import read_filters, read_page
from chalicelib.errors import Invalid
from chalicelib.orders.queries import Filters


def test_without_parameters_the_first_ten_are_meant() -> None:
    assert read_page({}) == (1, 10)
    assert read_filters({}) == Filters()


@pytest.mark.parametrize(
    ("page", "limit"),
    [("1", "1"), ("100000", "100"), ("007", "010")],
)
def test_page_and_limit_are_read_within_their_bounds(page: str, limit: str) -> None:
    assert read_page({"page": [page], "limit": [limit]}) == (int(page), int(limit))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("page", value) for value in ("0", "100001", "-1", "1.0", "", "x", " 1", "٣", "1" * 50)),
        *(("limit", value) for value in ("0", "101", "-1", "1e1", "", "all")),
    ],
)
def test_a_page_or_limit_out_of_bounds_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=f"parameter {name} must be a whole number") as raised:
        read_page({name: [value]})
    assert [error.pointer for error in raised.value.errors] == [name]


@pytest.mark.parametrize("name", ["page", "limit"])
def test_a_number_given_twice_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match=f"{name} may be given only once"):
        read_page({name: ["1", "2"]})


def test_a_parameter_that_nobody_knows_is_refused() -> None:
    with pytest.raises(Invalid, match="parameter stauts is not a known parameter"):
        read_page({"stauts": ["CREATED"], "page": ["1"]})


def test_every_filter_is_known_to_the_page_too() -> None:
    names = ("status", "paymentStatus", "customerId", "runnerId", "createdAfter", "createdBefore")

    assert read_page({key: ["x"] for key in names}) == (1, 10)


def test_filters_are_read() -> None:
    filters = read_filters(
        {
            "status": ["CREATED", "CANCELLED"],
            "paymentStatus": ["FAILED"],
            "customerId": ["cust_1"],
            "runnerId": ["run|1"],
            "createdAfter": ["2026-11-22T08:00:00Z"],
            "createdBefore": ["2026-11-22T16:00:00.5+08:00"],
        }
    )

    assert filters == Filters(
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
            )
        ),
        ("createdBefore", "1700000000", "must be a time"),
    ],
)
def test_a_filter_that_can_not_be_read_is_refused_by_name(name: str, value: str, complaint: str) -> None:
    with pytest.raises(Invalid, match=f"the parameter {name} {complaint}") as raised:
        read_filters({name: [value]})
    assert [error.pointer for error in raised.value.errors] == [name]


@pytest.mark.parametrize("name", ["paymentStatus", "customerId", "runnerId", "createdAfter", "createdBefore"])
def test_a_filter_given_twice_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="only once"):
        read_filters({name: ["x", "y"]})
