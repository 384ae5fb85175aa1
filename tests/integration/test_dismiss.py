"""A dead letter that will never be taken is dismissed: once, for a reason, in its order's history, under the order's lock."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.integration.conftest import Service
from tests.support.answers import Answer
from tests.support.database import Placed
from tests.support.edge import ADMIN, InProcess
from tests.support.kafka_records import Record, answer
from tests.support.letters import dead_letter_of, everything, of_a_newer_release, redrive, while_a_batch_meets_it_again

REASON = {"reason": "The partner has settled it"}


def dismiss(http: InProcess, letter: str, body: Any = None, **headers: str) -> Answer:
    return http.post(f"/api/dead-letters/{letter}/dismiss", ADMIN, REASON if body is None else body, **headers)


def misfit(service: Service) -> tuple[Placed, str]:
    """A reply that doesn't fit the command of a saga, which goes on waiting."""
    placed = service.world.place()
    return placed, dead_letter_of(service, answer(service.world.pending(placed), customerId="cust_2"))


def test_it_no_longer_waits_and_says_when_by_whom_and_why(service: Service, http: InProcess) -> None:
    placed, letter = misfit(service)

    first = dismiss(http, letter, {"reason": "  None of ours  "})

    body = first.json()
    assert (first.status, body["deadLetterId"], body["redrivenAt"]) == (200, letter, None)
    assert (body["dismissedBy"], body["dismissReason"]) == ("admin:adm_1", "None of ours")
    assert abs(datetime.now(UTC) - datetime.fromisoformat(body["dismissedAt"])).total_seconds() < 60
    shown = http.get(f"/api/dead-letters/{letter}", ADMIN).json()
    assert body.items() <= shown.items()
    assert "value" in shown
    [item] = http.get("/api/dead-letters", ADMIN).json()["items"]
    assert item == {name: value for name, value in body.items() if name not in ("dismissedBy", "dismissReason")}
    assert service.world.order(placed)["version"] == 2
    # The first one was still waiting for the relay.
    service.runtime.publisher.relay()
    assert [(each.type, each.header("ce_sequence")) for each in service.topic("order-events")] == [
        ("order.created", "1"),
        ("order.updated", "2"),
    ]


def test_its_order_gets_an_entry_and_nothing_else_changes_also_while_a_saga_holds_it(brokerless: Service, offline: InProcess) -> None:
    placed, letter = misfit(brokerless)
    before = brokerless.world.order(placed)

    dismiss(offline, letter, x_correlation_id="corr-7")

    after = brokerless.world.order(placed)
    assert {name for name in after if after[name] != before[name]} == {"version", "updated_at"}
    assert after["active_saga_id"] == placed.saga_id
    entry = brokerless.world.history(placed)[-1]
    assert (entry["version"], entry["event"], entry["actor"], entry["saga_id"]) == (2, "order.updated", "admin:adm_1", None)
    assert (entry["status_from"], entry["payment_from"]) == (entry["status_to"], entry["payment_to"])
    assert entry["detail"] == {"operator": "dismiss", "deadLetterId": letter, "error": "Misfit", **REASON}
    [event] = [each for each in brokerless.world.outbox() if each.type == "order.updated"]
    assert (event.header("ce_sequence"), event.header("ce_correlationid")) == ("2", "corr-7")
    brokerless.on_events(answer(brokerless.world.pending(placed)))
    assert brokerless.world.order(placed)["order_status"] == "PENDING_PAYMENT", "the saga goes on when the right reply comes"


def test_again_it_is_answered_unchanged_and_a_redrive_is_refused(brokerless: Service, offline: InProcess) -> None:
    _, letter = misfit(brokerless)
    first = dismiss(offline, letter)
    before = everything(brokerless.world)

    again = dismiss(offline, letter, {"reason": "another"}, idempotency_key="dismiss-again")

    assert (again.status, again.json()) == (200, first.json())
    for body in ({}, {"dryRun": True}):
        assert redrive(offline, letter, body).problem(409, "wrong-status")["detail"] == "the dead letter was dismissed"
    assert everything(brokerless.world) == before


def test_one_that_was_redriven_is_refused(brokerless: Service, offline: InProcess, released: Any) -> None:
    _, letter = of_a_newer_release(brokerless)
    released()
    assert redrive(offline, letter).status == 202
    before = everything(brokerless.world)

    assert "redriven" in dismiss(offline, letter).problem(409, "wrong-status")["detail"]

    assert everything(brokerless.world) == before


def test_if_match_names_the_orders_version_and_is_judged_only_where_something_changes(brokerless: Service, offline: InProcess) -> None:
    _, letter = misfit(brokerless)
    before = everything(brokerless.world)
    dismiss(offline, letter, if_match='"7"', idempotency_key="k").problem(412, "precondition-failed")
    assert everything(brokerless.world) == before
    assert dismiss(offline, letter, if_match='"1"', idempotency_key="k").status == 200
    assert dismiss(offline, letter, if_match='"1"').status == 200
    brokerless.world.rows(
        "UPDATE campusg.dead_letters SET redriven_at = at, dismissed_at = NULL, dismissed_by = NULL, dismiss_reason = NULL"
    )
    dismiss(offline, letter, if_match='"1"').problem(412, "precondition-failed")
    dismiss(offline, letter, if_match='"2"').problem(409, "wrong-status")


@pytest.mark.parametrize("key", [None, b"no uuid", str(UUID(int=7)).encode()], ids=["no key", "another key", "an order that isn't there"])
def test_one_that_names_no_order_of_ours_is_dismissed_alone(brokerless: Service, offline: InProcess, key: bytes | None) -> None:
    letter = dead_letter_of(brokerless, Record("user-events", key, b"{", ()))
    before = everything(brokerless.world)

    assert dismiss(offline, letter).status == 200

    after = everything(brokerless.world)
    assert {table for table in after if after[table] != before[table]} == {"dead_letters"}


def test_a_record_whose_key_alone_names_the_order_is_in_its_history(brokerless: Service, offline: InProcess) -> None:
    placed = brokerless.world.place()
    letter = dead_letter_of(brokerless, Record("user-events", str(placed.order_id).encode(), b"{", ()))

    dismiss(offline, letter)

    assert brokerless.world.history(placed)[-1]["detail"]["deadLetterId"] == letter


def test_the_same_key_is_answered_the_same_and_starts_nothing_twice(brokerless: Service, offline: InProcess) -> None:
    placed, letter = misfit(brokerless)
    key = f"dismiss-{placed.order_id}"
    first = dismiss(offline, letter, idempotency_key=key)

    again = dismiss(offline, letter, idempotency_key=key)

    assert (again.status, again.body, again.headers["Idempotency-Replayed"]) == (200, first.body, "true")
    dismiss(offline, letter, {"reason": "another"}, idempotency_key=key).problem(422, "key-reused")
    assert brokerless.world.order(placed)["version"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": " \n"},
        {"reason": None},
        {"reason": 1},
        {"reason": "x" * 256},
        {"reason": "a\x00"},
        {"reason": "x", "y": 1},
    ],
)
def test_it_needs_a_reason_of_1_to_255_characters(brokerless: Service, offline: InProcess, body: Any) -> None:
    _, letter = misfit(brokerless)
    dismiss(offline, letter, body).problem(422, "invalid")
    assert dismiss(offline, letter, {"reason": "x" * 255}).status == 200


@pytest.mark.parametrize("letter", [str(UUID(int=7)), "7"])
def test_there_must_be_such_a_letter(offline: InProcess, letter: str) -> None:
    dismiss(offline, letter).problem(404, "not-found")


def test_a_redrive_and_dismissals_at_once_come_to_one_of_them(brokerless: Service, offline: InProcess, released: Any) -> None:
    placed, letter = of_a_newer_release(brokerless)
    released()
    start = threading.Barrier(4)

    def run(do: Any) -> tuple[str, int]:
        start.wait(5)
        return do.__name__, do(offline, letter).status

    with ThreadPoolExecutor(4) as pool:
        ended = [future.result(20) for future in [pool.submit(run, do) for do in (dismiss, redrive, dismiss, redrive)]]

    [row] = brokerless.world.dead_letters()
    assert (row["dismissed_at"] is None) != (row["redriven_at"] is None)
    if row["dismissed_at"]:
        assert sorted(ended) == [("dismiss", 200), ("dismiss", 200), ("redrive", 409), ("redrive", 409)]
    else:
        assert sorted(ended) == [("dismiss", 409), ("dismiss", 409), ("redrive", 202), ("redrive", 409)]
    assert brokerless.world.order(placed)["version"] == 2


def test_a_batch_that_meets_the_record_once_more_and_a_dismissal_never_wait_for_each_other(brokerless: Service, offline: InProcess) -> None:
    """As for a redrive: the batch holds the order when it comes to the letter's row."""
    placed, letter = misfit(brokerless)
    assert while_a_batch_meets_it_again(brokerless.world, placed, letter, lambda: dismiss(offline, letter)).status == 200
    [row] = brokerless.world.dead_letters()
    assert row["dismissed_at"] is not None


def test_it_is_counted_and_logged_once(
    brokerless: Service,
    offline: InProcess,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, letter = misfit(brokerless)
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")
    capsys.readouterr()

    dismiss(offline, letter)
    dismiss(offline, letter)

    assert capsys.readouterr().out.count('"DeadLettersDismissed":1') == 1
    [line] = [vars(record) for record in caplog.records if record.message == "A dead letter was dismissed"]
    assert (line["operator"], line["dead_letter_id"]) == ("admin:adm_1", letter)
