"""A customer's order goes through its create saga, on real parts, as a newcomer starts them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from infra.partners.ledger import ledger_of, open_money
from tests.support.api import AWAY, Api
from tests.support.auditing import assert_no_violations
from tests.support.edge import DETAILS
from tests.support.eventually import eventually
from tests.support.order_events import first_copies, read_sequences
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, stack_servers: Mapping[str, str]) -> Iterator[Stack]:
    """Two copies of a command, the first waited for two seconds: longer than a machine stands still."""
    running = Stack.start(tmp_path_factory.mktemp("create") / "data", STEP_TIMEOUT_SECONDS=2, STEP_MAX_ATTEMPTS=2, **stack_servers)
    yield running
    assert_no_violations(running.run_json()["postgres"]["url"])
    running.stop()


def api(stack: Stack, sub: str = "cust_1", role: str = "customer") -> Api:
    return Api(stack.url, stack.data_dir, sub, role)


def money_of(stack: Stack, order_id: str) -> set[str]:
    """The statuses of everything the partners ever authorized or held for an order."""
    ledger = ledger_of(stack.run_json()["postgres"]["url"], order_id)
    return {row["status"] for row in (*ledger.payments, *ledger.holds)}


def test_an_order_opens_inside_the_wait(stack: Stack) -> None:
    answer = api(stack).order()
    assert answer.status == 201
    order, saga = answer.json()["order"], answer.json()["saga"]
    assert answer.headers["Location"] == f"/api/orders/{order['orderId']}"
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert (order["orderStatus"], order["paymentStatus"], order["version"]) == ("READY_FOR_PICKUP", "AUTHORIZED", 4)
    assert (saga["status"], saga["currentStep"], order["activeSagaId"]) == ("COMPLETED", None, None)
    assert money_of(stack, order["orderId"]) == {"AUTHORIZED", "HELD"}


def test_without_a_wait_the_order_is_accepted_and_opens_later(stack: Stack) -> None:
    caller = api(stack)
    answer = caller.order(wait=None)
    assert answer.status == 202
    path = answer.headers["Location"]
    eventually(lambda: caller.call("GET", path).json()["orderStatus"] == "READY_FOR_PICKUP", what="the opening")
    history = caller.call("GET", f"{path}/history").json()["items"]
    assert [entry["to"] for entry in history] == ["CREATED", "PENDING_PAYMENT", "PAYMENT_AUTHORIZED", "READY_FOR_PICKUP"]
    assert [entry["actor"] for entry in history] == ["customer:cust_1", "partner:user", "partner:payment", "partner:escrow"]


@pytest.mark.parametrize(
    ("customer", "status", "problem", "payment", "money"),
    [
        ("declined_1", 402, "payment-declined", "FAILED", set()),
        ("rejected_1", 422, "customer-rejected", "FAILED", set()),
        ("noescrow_1", 502, "partner-failed", "RELEASED", {"RELEASED"}),
        ("silent_1", 502, "partner-failed", "FAILED", {"RELEASED"}),
    ],
    ids=["declined", "rejected", "noescrow", "silent"],
)
def test_a_customer_who_misfits_gets_the_order_undone(
    stack: Stack, customer: str, status: int, problem: str, payment: str, money: set[str]
) -> None:
    answer = api(stack, customer).order()
    body = answer.json()
    assert (answer.status, body["type"]) == (status, f"/problems/{problem}")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (body["order"]["orderStatus"], body["order"]["paymentStatus"]) == ("CANCELLED", payment)
    assert body["saga"]["status"] == "COMPENSATED"
    assert money_of(stack, body["order"]["orderId"]) == money


def test_two_hundred_orders_of_twenty_clients_all_end_once_and_without_a_gap(stack: Stack) -> None:
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda number: api(stack, f"cust_{number}").order(), range(200)))
    assert Counter(answer.status for answer in answers) == {201: 200}
    order_ids = {answer.json()["order"]["orderId"] for answer in answers}
    assert len(order_ids) == 200

    def are_told() -> bool:
        sequences = read_sequences(stack.run_json()["kafka"]["bootstrap"])
        return all(first_copies(sequences[order_id]) == [1, 2, 3, 4] for order_id in order_ids)

    # A client that waits is answered when the last change is committed, which is before its event is sent.
    eventually(are_told, what="an event of each change")
    standing = Counter(money.order_id for money in open_money(stack.run_json()["postgres"]["url"]))
    assert {standing[order_id] for order_id in order_ids} == {2}


@pytest.mark.parametrize("part", ["triggers", "partners", "http", pytest.param("postgres", marks=pytest.mark.embedded("it is killed"))])
def test_a_killed_part_comes_back_and_every_order_ends(stack: Stack, part: str) -> None:
    caller = api(stack, f"cust_{part}")
    with ThreadPoolExecutor(8) as clients:
        placed = [clients.submit(_order_if_possible, caller) for _ in range(20)]
        eventually(lambda: sum(each.done() for each in placed) >= 5, what="the first orders")
        stack.kill(part)
        order_paths = [path for each in placed if (path := each.result())]
    assert len(order_paths) >= 5
    for path in order_paths:
        eventually(
            lambda path=path: _read(caller, path).get("orderStatus") in ("READY_FOR_PICKUP", "CANCELLED"),
            within=30,
            what=f"the end of {path}",
        )
    orders = [_read(caller, path) for path in order_paths]

    def are_told() -> bool:
        sequences = read_sequences(stack.run_json()["kafka"]["bootstrap"])
        return all(first_copies(sequences[order["orderId"]]) == list(range(1, order["version"] + 1)) for order in orders)

    # What was committed when the part died is published by the relay.
    eventually(are_told, within=30, what="an event of each change")
    for order in orders:
        undone = order["orderStatus"] == "CANCELLED"
        assert money_of(stack, order["orderId"]) - {"RELEASED", "REFUNDED"} == (set() if undone else {"AUTHORIZED", "HELD"})


def _order_if_possible(caller: Api) -> str | None:
    """The path of an order that was taken; None where the service was away just then."""
    try:
        answer = caller.order(wait=None)
    except AWAY:
        return None
    return answer.headers["Location"] if answer.status == 202 else None


def _read(caller: Api, path: str) -> dict[str, object]:
    try:
        return dict(caller.call("GET", path).json())
    except AWAY:
        return {}


BAD_BODIES = {
    "bad JSON": (b"{", 400, "not-json", None),
    "no body": (b"", 400, "not-json", None),
    "a missing field": ({"orderDetails": {**DETAILS, "storeLocation": None}}, 422, "invalid", "/orderDetails/storeLocation"),
    "a negative price": (
        {"orderDetails": {**DETAILS, "foodItems": [{"name": "x", "price": "-1.00", "quantity": 1}]}},
        422,
        "invalid",
        "/orderDetails/foodItems/0/price",
    ),
    "an unknown field": ({"orderDetails": DETAILS, "tip": 1}, 422, "invalid", "/tip"),
    "another person": ({"customerId": "cust_2", "orderDetails": DETAILS}, 403, "forbidden", None),
    "a large body": (b'{"x": "' + b"y" * 70_000 + b'"}', 413, "too-large", None),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_input_gets_a_problem_that_names_the_matter(stack: Stack, name: str) -> None:
    body, status, problem, pointer = BAD_BODIES[name]
    answer = api(stack).call("POST", "/api/orders", body)
    said = answer.json()
    assert (answer.status, said["type"], said["status"]) == (status, f"/problems/{problem}", status)
    assert said["instance"] == "/api/orders"
    assert said["correlationId"] == answer.headers["X-Correlation-Id"]
    assert pointer in [None, *(error["pointer"] for error in said.get("errors", []))]


def test_who_has_no_token_or_no_right_learns_nothing(stack: Stack) -> None:
    path = api(stack).order().headers["Location"]
    nobody = requests.get(stack.url + path, timeout=10)
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert api(stack, "cust_2").call("GET", path).status == 404
    assert api(stack, "run_1", "runner").call("GET", path).status == 200
    assert api(stack, "run_1", "runner").order().status == 403
    assert api(stack).call("GET", "/api/orders/no-uuid").status == 404
