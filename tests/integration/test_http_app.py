"""The HTTP side of the application, in this process: what clients send, what they get, and who may see what."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest

from tests.integration.conftest import Service
from tests.support.database import Placed
from tests.support.edge import ADMIN, NEW_ORDER, OTHER_CUSTOMER, OWNER, Caller, InProcess
from tests.support.kafka_records import Record, Sent, answer, refusal

ORDERS = "/api/orders"
DETAILS: Mapping[str, Any] = NEW_ORDER["orderDetails"]
ITEM: Mapping[str, Any] = DETAILS["foodItems"][0]


def with_details(**changes: Any) -> dict[str, Any]:
    return {"orderDetails": {**DETAILS, **changes}}


def with_item(**changes: Any) -> dict[str, Any]:
    return with_details(foodItems=[{**ITEM, **changes}])


def test_a_new_order_is_accepted_and_its_first_command_and_event_are_published(service: Service, http: InProcess) -> None:
    answered = http.post(ORDERS, OWNER, NEW_ORDER, x_correlation_id="my-correlation")
    body = answered.json()
    order, saga = body["order"], body["saga"]
    assert (answered.status, set(body)) == (202, {"order", "saga"})
    assert answered.headers["Location"] == f"/api/orders/{order['orderId']}"
    assert answered.headers["X-Correlation-Id"] == "my-correlation"
    assert UUID(order["orderId"]).version == UUID(saga["sagaId"]).version == 7
    assert (order["customerId"], order["orderStatus"], order["paymentStatus"], order["version"]) == ("cust_1", "CREATED", "PENDING", 1)
    assert (order["foodFee"], order["deliveryFee"], order["total"], order["currency"]) == ("9.00", "3.99", "12.99", "SGD")
    assert order["activeSagaId"] == saga["sagaId"]
    assert (saga["status"], saga["currentStep"], saga["error"], saga["endedAt"]) == ("RUNNING", "validate_customer", None, None)
    [command], [event] = service.topic("user-commands"), service.topic("order-events")
    assert (command.type, command.data, command.saga_id) == ("user.validate_customer", {"customerId": "cust_1"}, saga["sagaId"])
    assert (event.type, event.header("ce_sequence"), event.data["order"]) == ("order.created", "1", order)
    assert {message.header("ce_correlationid") for message in (command, event)} == {"my-correlation"}
    assert service.world.outbox() == []


def test_what_was_posted_is_what_is_read_and_told_in_history_and_saga(service: Service, http: InProcess) -> None:
    caller = OWNER
    created = http.post(ORDERS, caller, NEW_ORDER).json()
    path = f"{ORDERS}/{created['order']['orderId']}"
    read = http.get(path, caller)
    assert (read.status, read.headers["ETag"], read.json()) == (200, '"1"', created["order"])
    assert (again := http.get(path, caller, if_none_match='"1"')).status == 304, again
    assert http.get(path, caller, if_none_match='"2"').status == 200
    [entry] = http.get(f"{path}/history", caller).json()["items"]
    assert entry == {
        "version": 1,
        "at": created["order"]["createdAt"],
        "event": "order.created",
        "from": None,
        "to": "CREATED",
        "paymentFrom": None,
        "paymentTo": "PENDING",
        "actor": "customer:cust_1",
        "sagaId": created["saga"]["sagaId"],
        "detail": {},
    }
    assert http.get(f"/api/sagas/{created['saga']['sagaId']}", caller).json() == created["saga"]


def test_money_is_exact_and_may_come_as_string_or_number(service: Service, http: InProcess) -> None:
    prices = [("0.01", 99), (999.99, 1), (1.1, 3), ("2.5", 1), (7, 1)]
    items = [{"name": f"item {number}", "price": price, "quantity": quantity} for number, (price, quantity) in enumerate(prices)]
    order = http.post(ORDERS, OWNER, with_details(foodItems=items, deliveryFee=0.1)).json()["order"]
    assert [item["price"] for item in order["foodItems"]] == ["0.01", "999.99", "1.10", "2.50", "7.00"]
    assert (order["foodFee"], order["deliveryFee"], order["total"]) == ("1013.78", "0.10", "1013.88")


def test_text_is_trimmed_and_kept_in_every_script(service: Service, http: InProcess) -> None:
    body = with_details(storeLocation="  海南鸡饭 🐔  ", deliveryLocation="Halle „5“\t")
    order = http.post(ORDERS, OWNER, body).json()["order"]
    assert (order["storeLocation"], order["deliveryLocation"]) == ("海南鸡饭 🐔", "Halle „5“")
    assert service.topic("order-events")[0].data["order"]["storeLocation"] == "海南鸡饭 🐔"


INVALID: dict[str, tuple[Any, str]] = {
    "no details": ({}, "/orderDetails"),
    "no items": (with_details(foodItems=[]), "/orderDetails/foodItems"),
    "51 items": (with_details(foodItems=[ITEM] * 51), "/orderDetails/foodItems"),
    "an unknown field": (with_details(tip="1.00"), "/orderDetails/tip"),
    "a negative price": (with_item(price="-1.00"), "/orderDetails/foodItems/0/price"),
    "a price of nothing": (with_item(price="0.00"), "/orderDetails/foodItems/0/price"),
    "a price too high": (with_item(price="1000.00"), "/orderDetails/foodItems/0/price"),
    "a third decimal": (with_item(price=1.005), "/orderDetails/foodItems/0/price"),
    "an exponent": (with_item(price="1e2"), "/orderDetails/foodItems/0/price"),
    "a truth": (with_item(price=True), "/orderDetails/foodItems/0/price"),
    "a quantity of 100": (with_item(quantity=100), "/orderDetails/foodItems/0/quantity"),
    "half a quantity": (with_item(quantity=1.5), "/orderDetails/foodItems/0/quantity"),
    "a blank name": (with_item(name="   "), "/orderDetails/foodItems/0/name"),
    "a long name": (with_item(name="n" * 121), "/orderDetails/foodItems/0/name"),
    "a U+0000": (with_details(storeLocation="a\x00"), "/orderDetails/storeLocation"),
    "a fee too high": (with_details(deliveryFee="100.00"), "/orderDetails/deliveryFee"),
    "a total too high": (with_details(foodItems=[{**ITEM, "price": "999.99", "quantity": 11}]), "/orderDetails/foodItems"),
    "a customer that is no id": ({**NEW_ORDER, "customerId": "a b"}, "/customerId"),
    "a list": ([], ""),
}


def test_what_is_not_valid_is_named_and_nothing_is_written(brokerless: Service, offline: InProcess) -> None:
    caller = OWNER
    named = {}
    for name, (body, _) in INVALID.items():
        problem = offline.post(ORDERS, caller, body).problem(422, "invalid")
        named[name] = problem["errors"][0]["pointer"]
        assert problem["instance"] == ORDERS
        assert problem["errors"][0]["detail"]
    assert named == {name: pointer for name, (_, pointer) in INVALID.items()}
    assert brokerless.world.rows("SELECT 1 FROM campusg.orders") == brokerless.world.outbox() == []


@pytest.mark.parametrize(
    ("body", "headers", "problem"),
    [
        (b"{", {}, (400, "not-json")),
        (b"\xff", {}, (400, "not-json")),
        (b'{"orderDetails": NaN}', {}, (400, "not-json")),
        (b"[" * 60_000, {}, (400, "not-json")),
        (b"{}", {"content_type": "text/plain"}, (415, "unsupported-media-type")),
        (b" " * 65_537, {}, (413, "too-large")),
    ],
    ids=["half a body", "no UTF-8", "NaN", "nested too deep", "text", "too large"],
)
def test_bodies_that_can_not_be_read_are_told_apart(
    brokerless: Service, offline: InProcess, body: bytes, headers: dict[str, str], problem: tuple[int, str]
) -> None:
    offline.post(ORDERS, OWNER, body, **headers).problem(*problem)


def test_who_has_no_valid_token_gets_nothing(brokerless: Service, offline: InProcess) -> None:
    for path in (ORDERS, f"{ORDERS}/{UUID(int=1)}"):
        assert offline.get(path).status in (401, 403)
        assert offline.get(path, Authorization="Bearer no.such.token").status in (401, 403)
    assert offline.post(ORDERS, None, NEW_ORDER).status in (401, 403)


def test_only_customers_for_themselves_and_admins_place_orders(service: Service, http: InProcess) -> None:
    another = {**NEW_ORDER, "customerId": "cust_2"}
    http.post(ORDERS, Caller.runner("run_1"), NEW_ORDER).problem(403, "forbidden")
    http.post(ORDERS, OWNER, another).problem(403, "forbidden")
    http.post(ORDERS, ADMIN, NEW_ORDER).problem(422, "invalid")
    created = http.post(ORDERS, ADMIN, another).json()["order"]
    assert created["customerId"] == "cust_2"
    [entry] = http.get(f"{ORDERS}/{created['orderId']}/history", ADMIN).json()["items"]
    assert entry["actor"] == "admin:adm_1"


def opened(service: Service, placed: Placed) -> None:
    while service.world.order(placed)["active_saga_id"]:
        service.on_events(answer(service.world.pending(placed)))


def test_orders_are_shown_to_their_people_only(brokerless: Service, offline: InProcess) -> None:
    creating, open_ = brokerless.world.place_many(2)
    opened(brokerless, open_)
    readers = {
        "owner": OWNER,
        "other customer": OTHER_CUSTOMER,
        "runner": Caller.runner("run_1"),
        "a runner of the owner's name": Caller.runner("cust_1"),
        "admin": ADMIN,
    }

    def statuses(path: str) -> dict[str, int]:
        return {name: offline.get(path, caller).status for name, caller in readers.items()}

    mine = {"owner": 200, "other customer": 404, "runner": 404, "a runner of the owner's name": 404, "admin": 200}
    for suffix in ("", "/history"):
        assert statuses(f"{ORDERS}/{creating.order_id}{suffix}") == mine
        assert statuses(f"{ORDERS}/{open_.order_id}{suffix}") == {**mine, "runner": 200, "a runner of the owner's name": 200}
    assert statuses(f"/api/sagas/{open_.saga_id}") == mine


@pytest.mark.parametrize("order_id", ["7", "0192", "{01920000-0000-7000-8000-000000000001}", str(UUID(int=1)), "%00"])
def test_what_is_not_there_is_not_found_also_where_its_id_is_none(brokerless: Service, offline: InProcess, order_id: str) -> None:
    for path in (f"{ORDERS}/{order_id}", f"{ORDERS}/{order_id}/history", f"/api/sagas/{order_id}"):
        offline.get(path, ADMIN).problem(404, "not-found")


@contextmanager
def partners(service: Service, react: Any = answer) -> Iterator[None]:
    """Somebody who answers every pending command, as long as the block runs."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            rows = service.world.rows("SELECT saga_id, order_id FROM campusg.sagas WHERE awaited_id IS NOT NULL")
            for command in service.world.pending_of([Placed(row["order_id"], row["saga_id"]) for row in rows]):
                record: Record = react(command)
                service.on_events(record)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def test_who_waits_gets_the_open_order(service: Service, http: InProcess) -> None:
    with partners(service):
        answered = http.post(ORDERS, OWNER, NEW_ORDER, prefer="wait=10")
    body = answered.json()
    assert (answered.status, answered.headers["Preference-Applied"]) == (201, "wait=10")
    assert answered.headers["Location"] == f"{ORDERS}/{body['order']['orderId']}"
    assert (body["order"]["orderStatus"], body["saga"]["status"], body["saga"]["currentStep"]) == ("READY_FOR_PICKUP", "COMPLETED", None)
    assert body["order"]["acceptBy"]
    assert body["order"]["activeSagaId"] is None


ENDS = {
    "user.validate_customer": (422, "customer-rejected"),
    "payment.authorize": (402, "payment-declined"),
    "escrow.hold": (502, "partner-failed"),
}


@pytest.mark.parametrize(("refused", "problem"), ENDS.items())
def test_who_waits_is_told_why_it_ended_badly(service: Service, http: InProcess, refused: str, problem: tuple[int, str]) -> None:
    def react(command: Sent) -> Record:
        return refusal(command) if command.type == refused else answer(command)

    with partners(service, react):
        answered = http.post(ORDERS, OWNER, NEW_ORDER, prefer="wait=10")
    told = answered.problem(*problem)
    assert answered.headers["Preference-Applied"] == "wait=10"
    assert (told["order"]["orderStatus"], told["saga"]["status"]) == ("CANCELLED", "COMPENSATED")
    assert told["order"]["cancelReason"]


def test_who_waits_no_longer_than_the_saga_takes_gets_202(service: Service, http: InProcess) -> None:
    begun = time.monotonic()
    answered = http.post(ORDERS, OWNER, NEW_ORDER, prefer="respond-async, wait=1")
    assert (answered.status, answered.headers["Preference-Applied"]) == (202, "wait=1")
    # The longest wait is twenty seconds.
    assert 1.0 <= time.monotonic() - begun < 10.0


def test_an_order_is_placed_while_kafka_is_away_and_waits_in_the_outbox(brokerless: Service, offline: InProcess) -> None:
    assert offline.post(ORDERS, OWNER, NEW_ORDER).status == 202
    assert [message.type for message in brokerless.world.outbox()] == ["order.created", "user.validate_customer"]
