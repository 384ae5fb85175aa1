"""Lists of orders: who sees which, how they are narrowed down and paged."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.integration.conftest import Service
from tests.support.edge import ADMIN, OWNER, Caller, InProcess

pytestmark = pytest.mark.breaks_invariants("orders are put in by SQL, without history or sagas")

ORDERS = "/api/orders"
STARTED = datetime(2026, 11, 1, tzinfo=UTC)
# customer, runner, order status, payment status, held by a saga; oldest first.
SEEN = [
    ("cust_1", None, "PENDING_PAYMENT", "PENDING", True),
    ("cust_1", None, "READY_FOR_PICKUP", "AUTHORIZED", False),
    ("cust_2", None, "READY_FOR_PICKUP", "AUTHORIZED", False),
    ("cust_2", None, "READY_FOR_PICKUP", "AUTHORIZED", True),
    ("cust_2", "run_1", "ACCEPTED", "AUTHORIZED", False),
    ("run_1", "run_2", "DELIVERED", "AUTHORIZED", False),
    ("cust_1", "run_1", "COMPLETED", "CAPTURED", False),
    ("cust_1", None, "CANCELLED", "RELEASED", False),
]


def order_id(number: int) -> str:
    """A UUIDv7 of the hour in which the order was made."""
    made = f"{int((STARTED + timedelta(hours=number)).timestamp() * 1000):012x}"
    return str(UUID(f"{made}70008000{number:012x}"))


@pytest.fixture
def listed(brokerless: Service, offline: InProcess) -> InProcess:
    """The orders of SEEN, an hour apart."""
    columns = (
        "order_id, customer_id, food_items, store_location, delivery_location, food_fee, delivery_fee, total, currency, order_status,"
        " payment_status, payment_id, runner_id, accept_by, active_saga_id, created_at, updated_at, version"
    )
    with brokerless.world.engine.begin() as session:
        session.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for number, (customer, runner, status, payment, held) in enumerate(SEEN):
            at = STARTED + timedelta(hours=number)
            item = '[{"name": "Rice", "price": "9.00", "quantity": 1}]'
            values = (order_id(number), customer, item, "Koufu", "Hall 5", 9, 0, 9, "SGD", status, payment, "pay", runner, at)
            holder = order_id(900 + number) if held else None
            session.exec_driver_sql(
                f"INSERT INTO campusg.orders ({columns}) VALUES ({', '.join(['%s'] * 18)})", (*values, holder, at, at, 1)
            )
    return offline


def numbers(body: Any) -> list[int]:
    """Which of SEEN a page shows."""
    return [int(order["orderId"][-12:], 16) for order in body["items"]]


def found(http: InProcess, caller: Caller, **query: Any) -> list[int]:
    answered = http.get(ORDERS, caller, query)
    assert answered.status == 200, answered
    body = answered.json()
    assert body["total"] == len(body["items"])
    return numbers(body)


def test_everybody_sees_what_is_theirs_newest_first(listed: InProcess) -> None:
    assert found(listed, ADMIN) == [7, 6, 5, 4, 3, 2, 1, 0]
    assert found(listed, OWNER) == [7, 6, 1, 0]
    assert found(listed, Caller.runner("run_1")) == [6, 4, 2, 1]
    assert found(listed, Caller.runner("run_2")) == [5, 2, 1]
    assert found(listed, Caller("run_1", ("runner", "customer"))) == [6, 5, 4, 2, 1]
    assert found(listed, Caller.customer("run_1")) == [5]
    assert found(listed, Caller.customer("nobody")) == []


FILTERS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "status": ({"status": "COMPLETED"}, [6]),
    "statuses": ({"status": ["COMPLETED", "ACCEPTED"]}, [6, 4]),
    "payment status": ({"paymentStatus": "AUTHORIZED"}, [5, 4, 3, 2, 1]),
    "customer": ({"customerId": "cust_2"}, [4, 3, 2]),
    "runner": ({"runnerId": "run_1"}, [6, 4]),
    "after, inclusive": ({"createdAfter": "2026-11-01T06:00:00Z"}, [7, 6]),
    "before, exclusive": ({"createdBefore": "2026-11-01T02:00:00.000Z"}, [1, 0]),
    "another zone": ({"createdAfter": "2026-11-01T14:00:00+08:00"}, [7, 6]),
    "all together": ({"status": "READY_FOR_PICKUP", "customerId": "cust_2", "createdBefore": "2026-11-01T03:00:00Z"}, [2]),
    "nothing": ({"status": "COLLECTED"}, []),
}


def test_filters_narrow_a_list_down(listed: InProcess) -> None:
    caller = ADMIN
    assert {name: found(listed, caller, **query) for name, (query, _) in FILTERS.items()} == {
        name: expected for name, (_, expected) in FILTERS.items()
    }


def test_filters_beyond_ones_rights_find_nothing(listed: InProcess) -> None:
    assert found(listed, OWNER, customerId="cust_2") == []
    assert found(listed, Caller.runner("run_1"), status="DELIVERED") == []
    assert found(listed, Caller.runner("run_1"), customerId="cust_2") == [4, 2]


def test_pages_follow_each_other_without_gap_or_repeat(listed: InProcess) -> None:
    caller = ADMIN
    pages = [listed.get(ORDERS, caller, {"page": page, "limit": 3}).json() for page in (1, 2, 3, 4)]
    assert [numbers(page) for page in pages] == [[7, 6, 5], [4, 3, 2], [1, 0], []]
    assert [{name: page[name] for name in ("total", "page", "pages", "limit")} for page in pages] == [
        {"total": 8, "page": number, "pages": 3, "limit": 3} for number in (1, 2, 3, 4)
    ]
    assert listed.get(ORDERS, caller).json()["limit"] == 10


WRONG: dict[str, dict[str, Any]] = {
    "page": {"page": 0},
    "limit": {"limit": 101},
    "status": {"status": "LOST"},
    "paymentStatus": {"paymentStatus": "LOST"},
    "customerId": {"customerId": "a b"},
    "runnerId": {"runnerId": ""},
    "createdAfter": {"createdAfter": "yesterday"},
    "createdBefore": {"createdBefore": "2026-11-01"},
    "colour": {"colour": "red"},
}


def test_a_parameter_that_is_wrong_is_named(listed: InProcess) -> None:
    caller = ADMIN
    named = [listed.get(ORDERS, caller, query).problem(422, "invalid")["errors"][0]["pointer"] for query in WRONG.values()]
    assert named == list(WRONG)
