"""The Idempotency-Key: a request takes effect once, and whoever repeats it is told what was said first."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from math import ceil
from typing import Any
from uuid import uuid4

import pytest

from chalicelib.entrypoints import schedules
from chalicelib.messaging.publisher import Publisher
from tests.integration.conftest import Service
from tests.support.answers import Answer
from tests.support.edge import NEW_ORDER, ORDERS, OTHER_CUSTOMER, OWNER, Caller, Edge, partners_at_work
from tests.support.eventually import eventually
from tests.support.scene import Stage


def orders(service: Service) -> int:
    return len(service.world.rows("SELECT 1 FROM campusg.orders"))


def keys(service: Service) -> list[str]:
    return [row["key"] for row in service.world.rows("SELECT key FROM campusg.idempotency_keys ORDER BY key")]


def pass_time(service: Service, interval: str) -> None:
    """Move the rows as if they were that much older."""
    service.world.rows(
        f"UPDATE campusg.idempotency_keys SET expires_at = expires_at - interval '{interval}',"
        f" in_flight_until = in_flight_until - interval '{interval}'"
    )


def in_flight_until(service: Service) -> datetime:
    """Until when the only key's first answer is waited for."""
    [row] = service.world.rows("SELECT in_flight_until FROM campusg.idempotency_keys")
    until: datetime = row["in_flight_until"]
    return until


def test_twenty_identical_requests_at_once_make_one_order(edge: Edge, brokerless: Service) -> None:
    begun = threading.Barrier(20)

    def place(_: int) -> Answer:
        begun.wait(10)
        return edge.place(Idempotency_Key="one")

    edge.token(OWNER)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(place, range(20)))
    assert Counter(answer.status for answer in answers) == {202: 20}
    assert len({answer.body for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 19
    assert orders(brokerless) == 1
    [_, command] = brokerless.world.outbox()
    assert command.type == "user.validate_customer"


def test_twenty_runners_with_one_key_are_twenty_callers(edge: Edge, brokerless: Service, stage: Stage) -> None:
    scene = stage.scene("READY_FOR_PICKUP", pool=1)
    path = f"{ORDERS}/{scene.order_id}/accept"
    runners = [Caller(f"runner_{number}", ("runner",)) for number in range(20)]
    for runner in runners:
        edge.token(runner)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda runner: edge.post(path, runner, {"runnerId": runner.sub}, Idempotency_Key="same"), runners))
    assert Counter(answer.status for answer in answers) == {202: 1, 409: 19}
    assert not any(answer.replayed for answer in answers)
    assert keys(brokerless) == ["same"]


def test_a_repeat_is_told_what_was_said_first(edge: Edge, brokerless: Service) -> None:
    first = edge.place(Idempotency_Key="a-key", X_Correlation_Id="first")
    again = edge.place(Idempotency_Key="a-key", X_Correlation_Id="second")
    assert first.status == 202 and first.headers["Location"]
    assert again.said() == first.said()
    assert (first.replayed, again.replayed) == (False, True)
    assert again.headers["X-Correlation-Id"] == "second"
    assert orders(brokerless) == 1


def test_the_final_answer_of_a_wait_is_what_is_kept(edge: Edge, brokerless: Service) -> None:
    with partners_at_work(brokerless.world):
        first = edge.place(Idempotency_Key="k", Prefer="wait=10")
    again = edge.place(Idempotency_Key="k", Prefer="wait=10")
    without_wait = edge.place(Idempotency_Key="k")
    assert (first.status, first.headers["Preference-Applied"]) == (201, "wait=10")
    assert first.json()["order"]["orderStatus"] == "READY_FOR_PICKUP"
    assert again.said() == without_wait.said() == first.said()
    assert again.replayed and without_wait.replayed


def test_a_bad_end_is_kept_as_well(edge: Edge, brokerless: Service) -> None:
    with partners_at_work(brokerless.world, unwilling=lambda sent: sent.type == "payment.authorize"):
        first = edge.place(Idempotency_Key="k", Prefer="wait=10")
    again = edge.place(Idempotency_Key="k", Prefer="wait=10")
    first.problem(402, "payment-declined")
    assert again.said() == first.said()
    assert again.replayed


OTHERS: dict[str, tuple[str, Any, dict[str, str]]] = {
    "another body": (ORDERS, {**NEW_ORDER, "customerId": "cust_1"}, {}),
    "the same, spelled otherwise": (ORDERS, b" " + str(NEW_ORDER).replace("'", '"').encode(), {}),
    "another path": (f"{ORDERS}/{{}}/cancel", None, {}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_key_for_one_request_is_none_for_another(edge: Edge, brokerless: Service, what: str) -> None:
    first = edge.place(Idempotency_Key="k")
    path, body, headers = OTHERS[what]
    order_id = first.json()["order"]["orderId"]
    edge.post(path.format(order_id), OWNER, body, Idempotency_Key="k", **headers).problem(422, "key-reused")
    assert orders(brokerless) == 1
    assert edge.get(f"{ORDERS}/{order_id}", OWNER).json()["activeSagaId"]
    assert edge.place(Idempotency_Key="k").replayed


def test_a_key_is_its_callers_own(edge: Edge, brokerless: Service) -> None:
    mine = edge.place(Idempotency_Key="k")
    theirs = edge.place(OTHER_CUSTOMER, Idempotency_Key="k")
    assert (mine.status, theirs.status) == (202, 202)
    assert not theirs.replayed
    assert theirs.json()["order"]["customerId"] == "cust_2"
    assert edge.place(Caller("cust_1", ("admin", "customer")), Idempotency_Key="k").body == mine.body


def test_while_the_first_is_waited_for_a_repeat_is_told_to_come_again(edge: Edge, brokerless: Service) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(edge.place, Idempotency_Key="k", Prefer="wait=10")
        eventually(lambda: orders(brokerless) == 1, what="the order")
        early = edge.place(Idempotency_Key="k", Prefer="wait=10")
        # Another request is told so even now.
        edge.post(ORDERS, OWNER, {**NEW_ORDER, "customerId": "cust_1"}, Idempotency_Key="k").problem(422, "key-reused")
        with partners_at_work(brokerless.world):
            done = first.result(20)
    early.problem(409, "in-flight")
    assert early.headers["Retry-After"] == "5"
    assert edge.place(Idempotency_Key="k").said() == done.said()
    assert done.status == 201


class Crash(BaseException):
    """The container is gone: no handler of errors gets to see it."""


def place_and_crash(edge: Edge, **headers: str) -> None:
    """Place an order of which the container dies once it is committed."""

    def crash(*_: object) -> None:
        raise Crash

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(Publisher, "publish", crash)
        with pytest.raises(ConnectionError):
            edge.place(**headers)


UNHANDLED = "ignore::pytest.PytestUnhandledThreadExceptionWarning"


@pytest.mark.filterwarnings(UNHANDLED)
def test_a_crash_between_commit_and_answer_is_answered_by_what_was_kept(edge: Edge, brokerless: Service) -> None:
    place_and_crash(edge, Idempotency_Key="k")
    again = edge.place(Idempotency_Key="k")
    assert again.status == 202 and again.replayed
    assert again.headers["Location"] == f"{ORDERS}/{again.json()['order']['orderId']}"
    assert orders(brokerless) == 1


@pytest.mark.filterwarnings(UNHANDLED)
def test_who_crashed_while_waiting_leaves_the_202_five_seconds_after_the_wait(edge: Edge, brokerless: Service) -> None:
    before = brokerless.world.now()
    place_and_crash(edge, Idempotency_Key="k", Prefer="wait=7")
    assert before <= in_flight_until(brokerless) - timedelta(seconds=7 + 5) <= brokerless.world.now()
    edge.place(Idempotency_Key="k", Prefer="wait=7").problem(409, "in-flight")
    pass_time(brokerless, "12 seconds")
    again = edge.place(Idempotency_Key="k", Prefer="wait=7")
    assert again.status == 202 and again.replayed
    assert again.json()["saga"]["status"] == "RUNNING"


def test_who_waited_beyond_its_time_gives_the_answer_that_repeats_were_given(edge: Edge, brokerless: Service) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(edge.place, Idempotency_Key="k", Prefer="wait=10")
        eventually(lambda: orders(brokerless) == 1, what="the order")
        pass_time(brokerless, "15 seconds")
        repeat = edge.place(Idempotency_Key="k", Prefer="wait=10")
        with partners_at_work(brokerless.world):
            late = first.result(20)
    assert (repeat.status, repeat.replayed) == (202, True)
    assert late.said() == repeat.said() == edge.place(Idempotency_Key="k", Prefer="wait=10").said()


def test_a_repeat_is_told_to_come_again_when_the_first_answer_is_due_at_the_latest(edge: Edge, brokerless: Service) -> None:
    edge.place(Idempotency_Key="k")
    brokerless.world.rows("UPDATE campusg.idempotency_keys SET in_flight_until = clock_timestamp() + interval '2.99 seconds'")
    early = edge.place(Idempotency_Key="k")
    left = in_flight_until(brokerless) - brokerless.world.now()
    early.problem(409, "in-flight")
    assert ceil(left.total_seconds()) <= int(early.headers["Retry-After"]) <= 3


def test_keys_live_for_a_day_and_are_then_purged(edge: Edge, brokerless: Service) -> None:
    first = edge.place(Idempotency_Key="k")
    pass_time(brokerless, "23 hours 59 minutes")
    assert edge.place(Idempotency_Key="k").said() == first.said()
    schedules.purge_expired()
    assert keys(brokerless) == ["k"]
    pass_time(brokerless, "1 minute")
    second = edge.place(Idempotency_Key="k")
    assert (second.status, second.replayed) == (202, False)
    assert second.body != first.body
    assert edge.place(Idempotency_Key="k").said() == second.said()
    edge.place(Idempotency_Key="fresh")
    brokerless.world.rows("UPDATE campusg.idempotency_keys SET expires_at = clock_timestamp() WHERE key = 'k'")
    schedules.purge_expired()
    assert keys(brokerless) == ["fresh"]


GOOD = {
    "one character": "k",
    "255 characters": "k" * 255,
    "a quote in it": 'a"b',
    "a UUID in quotes": f'"{uuid4()}"',
    "all signs": "!#~;=",
    "a comma in quotes": '"a,b"',
}
BAD = {
    "empty": "",
    "empty in quotes": '""',
    "256 characters": "k" * 256,
    "256 in quotes": f'"{"k" * 256}"',
    "a space": "a b",
    "two in one line": "a,b",
    "a space in quotes": '"a b"',
    "a tab": "a\tb",
    "a letter beyond ASCII": "clé",
}


@pytest.mark.parametrize("key", GOOD.values(), ids=GOOD)
def test_good_keys_are_taken(edge: Edge, key: str) -> None:
    assert [edge.place(Idempotency_Key=key).replayed for _ in range(2)] == [False, True]


@pytest.mark.parametrize("key", BAD.values(), ids=BAD)
def test_bad_keys_are_refused_and_nothing_is_done(edge: Edge, brokerless: Service, key: str) -> None:
    edge.place(Idempotency_Key=key).problem(400, "invalid")
    assert orders(brokerless) == 0


def test_a_key_is_the_same_with_and_without_quotes(edge: Edge) -> None:
    first = edge.place(Idempotency_Key='"k-1"')
    assert edge.place(Idempotency_Key="k-1").said() == first.said()
    assert not edge.place(Idempotency_Key="k-2").replayed


def test_what_the_first_release_kept_is_given_again(edge: Edge, brokerless: Service) -> None:
    first = edge.place(Idempotency_Key="k")
    row = json.dumps({"status": 202, "body": '{"old": true}', "headers": {"Content-Type": "application/json", "Location": "/api/orders/1"}})
    brokerless.world.rows(f"UPDATE campusg.idempotency_keys SET response = '{row}'")
    again = edge.place(Idempotency_Key="k")

    assert first.status == 202
    assert (again.status, again.body, again.headers["Location"], again.replayed) == (202, b'{"old": true}', "/api/orders/1", True)


def test_a_key_means_nothing_on_a_request_that_is_no_post(edge: Edge, brokerless: Service, stage: Stage) -> None:
    scene = stage.scene("ACCEPTED", pool=1)
    [runner] = brokerless.world.rows(f"SELECT runner_id FROM campusg.orders WHERE order_id = '{scene.order_id}'")
    caller = Caller(runner["runner_id"], ("runner",))
    moved = edge.call("PATCH", f"{ORDERS}/{scene.order_id}/status", caller, {"status": "COLLECTED"}, Idempotency_Key="a, b")

    assert moved.status == 200
