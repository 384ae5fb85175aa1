"""A dead letter is taken after all, once, by the very same handler, or nothing at all happens."""

import base64
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import MessageContext
from chalicelib.operations.call import Call
from chalicelib.operations.create import create_order
from chalicelib.operations.deaths import DELIVERIES
from tests.integration.conftest import Service
from tests.support.bugs import plant_bug
from tests.support.database import NEW_ORDER, Placed
from tests.support.edge import ADMIN, InProcess
from tests.support.interleaving import CUSTOMER
from tests.support.kafka_records import Record, answer
from tests.support.letters import dead_letter_of, everything, of_a_newer_release, redrive, while_a_batch_meets_it_again
from tests.support.partner_script import Partners

NOBODY: dict[str, Any] = {"batchItemFailures": []}
# What differs between two runs of the same thing: times, and ids of messages.
VARYING = ("updatedAt", "startedAt", "endedAt", "commandId", "acceptBy")


def comparable(changes: list[dict[str, Any]]) -> list[Any]:
    return [
        (change["what"], change["pointer"], change["to"] if change["pointer"].split("/")[-1] not in VARYING else None) for change in changes
    ]


def test_a_letter_of_a_newer_release_is_taken_once_that_is_here_and_its_messages_go_out(
    service: Service, http: InProcess, released: Callable[[], None]
) -> None:
    placed, letter = of_a_newer_release(service)
    redrive(http, letter).problem(409, "wrong-status")
    released()

    answered = redrive(http, letter)

    body = answered.json()
    assert (answered.status, body["outcome"], body["deadLetter"]["deadLetterId"]) == (202, "taken", letter)
    assert body["deadLetter"]["redrivenAt"] is not None
    assert (body["order"]["orderStatus"], body["saga"]["currentStep"]) == ("PENDING_PAYMENT", "authorize_payment")
    assert service.world.order(placed)["order_status"] == "PENDING_PAYMENT"
    assert [message.type for message in service.topic("payment-commands")] == ["payment.authorize"]
    # The first one was still waiting for the relay.
    service.runtime.publisher.relay()
    assert [message.header("ce_sequence") for message in service.topic("order-events")] == ["1", "2"]


def test_it_is_counted_and_logged_with_the_operator(
    brokerless: Service,
    offline: InProcess,
    released: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, letter = of_a_newer_release(brokerless)
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")
    capsys.readouterr()
    redrive(offline, letter)
    redrive(offline, letter, {"dryRun": True})
    assert "DeadLettersRedriven" not in capsys.readouterr().out
    released()

    redrive(offline, letter)

    assert '"DeadLettersRedriven":1' in capsys.readouterr().out
    [line] = [vars(record) for record in caplog.records if record.message == "A dead letter was redriven"]
    assert (line["operator"], line["dead_letter_id"]) == ("admin:adm_1", letter)


def test_what_it_changes_is_told_and_the_history_names_the_operator(
    brokerless: Service, offline: InProcess, released: Callable[[], None]
) -> None:
    placed, letter = of_a_newer_release(brokerless)
    released()

    body = redrive(offline, letter).json()

    places = {(change["what"], change["pointer"]): (change["from"], change["to"]) for change in body["changes"] if change["pointer"]}
    assert places["order", "/orderStatus"] == ("CREATED", "PENDING_PAYMENT")
    assert places["order", "/version"] == (1, 2)
    assert places["saga", "/steps/0/status"] == ("RUNNING", "DONE")
    assert places["saga", "/currentStep"] == ("validate_customer", "authorize_payment")
    messages = [change for change in body["changes"] if change["what"] == "message"]
    assert [(each["from"], each["to"]["type"], each["to"]["topic"]) for each in messages] == [
        (None, "order.status_changed", "order-events"),
        (None, "payment.authorize", "payment-commands"),
    ]
    assert {each["id"] for each in messages} <= {sent.id for sent in brokerless.world.outbox()}
    entry = brokerless.world.history(placed)[-1]
    assert entry["actor"] == "partner:user"
    assert entry["detail"] == {"reply": "user.customer_validated", "operator": "redrive", "by": "admin:adm_1", "deadLetterId": letter}


def test_a_reply_that_came_before_its_saga_is_taken_when_that_is_there(brokerless: Service, offline: InProcess) -> None:
    order_id, ids = new_id(), new_id_source()
    pattern = brokerless.world.place()
    early = answer(brokerless.world.pending(pattern)).having(ce_sagaid=str(ids.saga_id), ce_causationid=ids.id(1))
    letter = dead_letter_of(brokerless, replace(early, key=str(order_id).encode()))
    assert "UnknownSaga" in redrive(offline, letter).problem(409, "wrong-status")["detail"]
    with brokerless.world.engine.begin() as session:
        create_order(session, Call(brokerless.world.rules, CUSTOMER, MessageContext("corr"), ids), order_id, NEW_ORDER)

    assert redrive(offline, letter).json()["order"]["orderId"] == str(order_id)

    assert brokerless.world.order(Placed(order_id, ids.saga_id))["version"] == 2


def test_a_poison_record_is_taken_when_its_bug_is_gone_and_until_then_the_bug_is_told(
    brokerless: Service, offline: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = brokerless.world.place()

    def tell_secrets() -> None:
        raise ZeroDivisionError("a bug with the password 1234")

    with monkeypatch.context() as bug:
        plant_bug(bug, fault=tell_secrets)
        letter = dead_letter_of(brokerless, *[answer(brokerless.world.pending(placed))] * DELIVERIES)
        before = everything(brokerless.world)
        detail = redrive(offline, letter).problem(409, "wrong-status")["detail"]
        assert "the code has a fault" in detail
        assert "1234" not in detail
        assert everything(brokerless.world) == before

    assert redrive(offline, letter).status == 202
    assert brokerless.world.order(placed)["version"] == 2


def test_what_the_database_refuses_is_told_too(brokerless: Service, offline: InProcess, released: Callable[[], None]) -> None:
    placed, letter = of_a_newer_release(brokerless)
    released()
    brokerless.world.rows("ALTER TABLE campusg.orders ADD CONSTRAINT not_today CHECK (version < 2)")
    try:
        assert "SQLSTATE 23514" in redrive(offline, letter).problem(409, "wrong-status")["detail"]
        assert "SQLSTATE 23514" in redrive(offline, letter, {"dryRun": True}).problem(409, "wrong-status")["detail"]
    finally:
        brokerless.world.rows("ALTER TABLE campusg.orders DROP CONSTRAINT not_today")
    assert brokerless.world.order(placed)["version"] == 1
    assert redrive(offline, letter).status == 202


def test_an_expiry_is_taken_after_all(brokerless: Service, offline: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = brokerless.world.place()
    record = Partners().expire(placed.order_id, "pay_1")
    with monkeypatch.context() as bug:
        bug.setattr("chalicelib.operations.take_replies.expire_authorization", None)
        letter = dead_letter_of(brokerless, *[record] * DELIVERIES)

    body = redrive(offline, letter).json()

    assert (body["saga"]["sagaId"], body["saga"]["error"]["code"]) == (str(placed.saga_id), "expired")
    detail = brokerless.world.history(placed)[-1]["detail"]
    assert (detail["cause"], detail["by"]) == ("payment.authorization_expired", "admin:adm_1")


def test_a_reply_that_has_become_stale_changes_nothing_and_still_waits(
    brokerless: Service, offline: InProcess, released: Callable[[], None]
) -> None:
    placed, letter = of_a_newer_release(brokerless)
    released()
    brokerless.on_events(answer(brokerless.world.pending(placed)))
    before = everything(brokerless.world)

    for body in ({}, {"dryRun": True}):
        answered = redrive(offline, letter, body, idempotency_key=f"stale-{uuid4()}")
        assert "changes nothing" in answered.problem(409, "wrong-status")["detail"]

    assert everything(brokerless.world) == before
    assert offline.get(f"/api/dead-letters/{letter}", ADMIN).json()["redrivenAt"] is None


@pytest.mark.parametrize("header", ["x", "x\x00y"], ids=["kept as it came", "with a header whose name was mended"])
def test_a_record_that_still_can_not_be_taken_is_no_second_letter(brokerless: Service, offline: InProcess, header: str) -> None:
    placed = brokerless.world.place()
    record = answer(brokerless.world.pending(placed), customerId="cust_2")
    letter = dead_letter_of(brokerless, replace(record, headers=(*record.headers, (header, b"1"))))
    before = everything(brokerless.world)

    assert "Misfit: " in redrive(offline, letter).problem(409, "wrong-status")["detail"]

    assert everything(brokerless.world) == before


def test_a_letter_is_redriven_once(brokerless: Service, offline: InProcess, released: Callable[[], None]) -> None:
    placed, letter = of_a_newer_release(brokerless)
    released()
    assert redrive(offline, letter).status == 202
    before = everything(brokerless.world)

    for body in ({}, {"dryRun": True}):
        assert "redriven before" in redrive(offline, letter, body).problem(409, "wrong-status")["detail"]

    assert everything(brokerless.world) == before
    assert brokerless.world.order(placed)["version"] == 2


@pytest.mark.parametrize("known_order", [True, False], ids=["of a saga", "of no saga yet"])
def test_of_several_at_once_one_wins(brokerless: Service, offline: InProcess, released: Callable[[], None], known_order: bool) -> None:
    placed, letter = of_a_newer_release(brokerless)
    if not known_order:
        brokerless.world.rows("UPDATE campusg.dead_letters SET saga_id = NULL, order_id = NULL")
    released()
    start = threading.Barrier(4)

    def run() -> int:
        start.wait(5)
        return redrive(offline, letter).status

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(future.result(20) for future in [pool.submit(run) for _ in range(4)])

    assert statuses == [202, 409, 409, 409]
    assert brokerless.world.order(placed)["version"] == 2


def test_a_batch_that_keeps_the_record_once_more_and_a_redrive_never_wait_for_each_other(
    brokerless: Service, offline: InProcess, released: Callable[[], None]
) -> None:
    """The batch holds the order when it comes to the letter's row; so nobody may hold that row who still needs the order."""
    placed, letter = of_a_newer_release(brokerless)
    released()
    assert while_a_batch_meets_it_again(brokerless.world, placed, letter, lambda: redrive(offline, letter)).status == 202


def test_a_dry_run_says_what_the_real_one_then_does_and_leaves_no_trace(
    brokerless: Service, offline: InProcess, released: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, letter = of_a_newer_release(brokerless)
    released()
    published: list[object] = []
    monkeypatch.setattr(brokerless.runtime.publisher, "publish", published.append)
    before = everything(brokerless.world)

    rehearsed = redrive(offline, letter, {"dryRun": True}, idempotency_key="rehearsal-1")

    assert everything(brokerless.world) == before
    assert published == []
    body = rehearsed.json()
    assert (rehearsed.status, body["outcome"], body["deadLetter"]["redrivenAt"]) == (200, "rehearsed", None)
    assert sorted(body) == ["changes", "deadLetter", "outcome"]
    taken = redrive(offline, letter, {}, idempotency_key="rehearsal-1")
    assert taken.status == 202, "a rehearsal leaves the key free"
    assert comparable(body["changes"]) == comparable(taken.json()["changes"])
    assert len(published) == 1


def test_a_repeat_with_the_same_key_is_told_the_same(brokerless: Service, offline: InProcess, released: Callable[[], None]) -> None:
    placed, letter = of_a_newer_release(brokerless)
    released()
    key = f"redrive-{placed.order_id}"
    first = redrive(offline, letter, {}, idempotency_key=key)
    again = redrive(offline, letter, {}, idempotency_key=key)

    assert (again.status, again.body, again.headers["Idempotency-Replayed"]) == (202, first.body, "true")
    redrive(offline, letter, {"dryRun": True}, idempotency_key=key).problem(422, "key-reused")
    redrive(offline, letter).problem(409, "wrong-status")


@pytest.mark.parametrize("body", [{"dryRun": "true"}, {"dryRun": 1}, {"dryrun": True}])
def test_a_body_that_is_not_understood_redrives_nothing(brokerless: Service, offline: InProcess, body: Any) -> None:
    _, letter = of_a_newer_release(brokerless)
    redrive(offline, letter, body).problem(422, "invalid")


def test_letters_that_are_not_there_can_not_be_redriven_or_read(brokerless: Service, offline: InProcess) -> None:
    for unknown in (str(UUID(int=1)), "7", "0" * 36):
        redrive(offline, unknown).problem(404, "not-found")
        offline.get(f"/api/dead-letters/{unknown}", ADMIN).problem(404, "not-found")


def test_a_record_with_mended_headers_no_key_and_no_value_is_shown_as_it_was_kept(brokerless: Service, offline: InProcess) -> None:
    record = Record("user-events", None, None, (("x\x00y", b"\x00\xff"), ("x", b""), ("x", b"2")))
    letter = dead_letter_of(brokerless, record)

    shown = offline.get(f"/api/dead-letters/{letter}", ADMIN).json()

    assert (shown["key"], shown["value"], "valueText" in shown) == (None, None, False)
    assert shown["headers"] == [["x\ufffdy", "AP8="], ["x", ""], ["x", "Mg=="]]


@pytest.mark.parametrize("value", [b"", b"\x00", '{"name": "Café"}'.encode(), b"\xff{", b"x" * 64 * 1024])
def test_a_value_is_shown_in_base64_and_as_text_where_it_is_utf_8(brokerless: Service, offline: InProcess, value: bytes) -> None:
    letter = dead_letter_of(brokerless, Record("user-events", b"\x00k", value, ()))

    shown = offline.get(f"/api/dead-letters/{letter}", ADMIN).json()

    assert (base64.b64decode(shown["key"]), base64.b64decode(shown["value"])) == (b"\x00k", value)
    assert shown.get("valueText") == (None if value == b"\xff{" else value.decode())


@pytest.mark.parametrize("body", [{}, {"dryRun": True}])
def test_a_redrive_needs_a_current_tag_of_the_order_where_it_names_one(
    service: Service, http: InProcess, released: Callable[[], None], body: Any
) -> None:
    _, letter = of_a_newer_release(service)
    before = everything(service.world)
    redrive(http, letter, body, if_match='"7"').problem(412, "precondition-failed")
    redrive(http, letter, body, if_match="7").problem(400, "invalid")
    assert everything(service.world) == before
    redrive(http, letter, body, if_match='"1"').problem(409, "wrong-status")
    released()
    assert redrive(http, letter, body, if_match='"1"').status == (200 if body else 202)
