"""How an order's history and its sagas are drawn as a timeline."""

from typing import Any

from infra.console import Styled, plain
from infra.stack.timeline import timeline as drawn


def entry(version: int, at: str, to: str, payment: str = "PENDING", actor: str = "system") -> dict[str, Any]:
    return {"version": version, "at": f"2026-11-22T10:00:{at}Z", "to": to, "paymentTo": payment, "actor": actor}


def step(name: str, status: str, began: str | None, ended: str | None, attempts: int = 1) -> dict[str, Any]:
    times = {key: at and f"2026-11-22T10:00:{at}Z" for key, at in (("startedAt", began), ("endedAt", ended))}
    return {"name": name, "status": status, "attempts": attempts, **times}


def saga(name: str, status: str, began: str, ended: str | None, *steps: dict[str, Any], error: str | None = None) -> dict[str, Any]:
    described = {"code": error, "detail": "…"} if error else None
    return {**step(name, status, began, ended), "error": described, "steps": list(steps)}


CREATE = saga(
    "create_order",
    "COMPLETED",
    "01.000",
    "02.500",
    step("validate_customer", "DONE", "01.000", "01.020"),
    step("authorize_payment", "DONE", "01.020", "02.500", attempts=3),
    step("open_order", "DONE", "02.500", "02.500", attempts=0),
)
HISTORY = [
    entry(1, "01.000", "CREATED", actor="customer:anna"),
    entry(2, "01.020", "PENDING_PAYMENT", actor="partner:user"),
    entry(3, "02.500", "READY_FOR_PICKUP", "AUTHORIZED", "partner:payment"),
]


def timeline(history: list[dict[str, Any]], sagas: list[dict[str, Any]]) -> list[str]:
    return [plain(line).rstrip() for line in drawn(history, sagas)]


def words(line: str) -> str:
    return " ".join(line.split())


def test_each_version_is_a_line_with_its_time_statuses_actor_and_what_the_saga_did_then() -> None:
    assert [words(line) for line in timeline(HISTORY, [CREATE])] == [
        "+0.000 s v1 CREATED PENDING customer:anna create_order begins, validate_customer asked",
        "+0.020 s v2 PENDING_PAYMENT PENDING partner:user validate_customer DONE, authorize_payment asked",
        "+1.500 s v3 READY_FOR_PICKUP AUTHORIZED partner:payment"
        " authorize_payment DONE after 3 copies, open_order DONE, create_order COMPLETED",
    ]


def test_what_a_saga_does_without_changing_the_order_is_a_line_of_its_own_in_its_column() -> None:
    undone = saga("create_order", "COMPENSATED", "01.000", "02.500", step("hold_escrow", "FAILED", "01.020", "01.700"), error="refused")
    lines = timeline(HISTORY, [undone])
    assert words(lines[2]) == "+0.700 s hold_escrow FAILED"
    assert lines[2].index("hold_escrow") == lines[0].index("create_order begins")
    assert lines[3].endswith("create_order COMPENSATED (refused)")


def test_steps_that_were_never_reached_and_sagas_that_go_on_are_not_told_to_have_ended() -> None:
    running = saga(
        "create_order", "RUNNING", "01.000", None, step("validate_customer", "RUNNING", "01.000", None), step("x", "PENDING", None, None)
    )
    assert [words(line) for line in timeline(HISTORY[:1], [running])] == [
        "+0.000 s v1 CREATED PENDING customer:anna create_order begins, validate_customer asked"
    ]


def test_changes_of_one_millisecond_are_lines_of_their_own() -> None:
    twins = [entry(1, "01.000", "CREATED"), entry(2, "01.000", "PENDING_PAYMENT")]
    lines = timeline(twins, [CREATE])
    assert [words(line).split()[2:4] for line in lines[:2]] == [["v1", "CREATED"], ["v2", "PENDING_PAYMENT"]]
    assert lines[1].endswith("create_order begins, validate_customer asked")


def test_changes_by_hand_have_no_saga() -> None:
    [line] = timeline([entry(7, "05.000", "COLLECTED", "AUTHORIZED", "runner:ravi")], [])
    assert words(line) == "+0.000 s v7 COLLECTED AUTHORIZED runner:ravi"


def test_an_order_without_history_has_no_line() -> None:
    assert timeline([], []) == []


def test_what_ended_badly_is_styled_so() -> None:
    last = drawn([*HISTORY, entry(4, "03.000", "CANCELLED", "RELEASED")], [CREATE])[-1]
    assert [part.text.strip() for part in last if isinstance(part, Styled) and part.style == "bad"] == ["CANCELLED"]
