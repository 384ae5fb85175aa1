"""Dry runs of what operators do: they say what would change, nothing has, and the real one does just that, with who and why kept."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.conftest import Service
from tests.support.answers import Answer
from tests.support.edge import ADMIN, InProcess
from tests.support.interleaving import Move, complete, falls_silent
from tests.support.kafka_records import answer
from tests.support.letters import dead_letter_of, everything, of_a_newer_release, redrive
from tests.support.scene import Scene, Stage

WHY = "The payment service is back"
# What differs between two runs of the same thing: times, and ids of messages.
VARYING = ("updatedAt", "startedAt", "endedAt", "commandId")


def silent_capture(scene: Scene) -> None:
    complete()(scene)
    scene.answer_next(scene.holder["saga_id"])
    falls_silent(scene)


def completing(scene: Scene) -> None:
    complete()(scene)


POSTS: dict[str, Move] = {"retry": silent_capture, "compensate": completing}


def operate(http: InProcess, scene: Scene, verb: str, body: Any = None, **headers: str) -> Answer:
    return http.post(f"/api/sagas/{scene.sagas()[-1]['saga_id']}/{verb}", ADMIN, body, **headers)


def reached(stage: Stage, verb: str) -> Scene:
    scene = stage.scene("DELIVERED", pool=1)
    POSTS[verb](scene)
    return scene


def comparable(changes: list[dict[str, Any]]) -> list[Any]:
    return [
        (change["what"], change["pointer"], change["from"], None if change["pointer"].split("/")[-1] in VARYING else change["to"])
        for change in changes
    ]


@pytest.mark.parametrize("verb", POSTS)
def test_a_dry_run_says_what_changes_and_leaves_nothing_behind(offline: InProcess, stage: Stage, verb: str) -> None:
    scene = reached(stage, verb)
    before = everything(scene.world)

    answered = operate(offline, scene, verb, {"dryRun": True, "reason": WHY}, Idempotency_Key="k")

    body = answered.json()
    assert (answered.status, body.keys(), body["outcome"]) == (200, {"outcome", "changes"}, "rehearsed")
    assert everything(scene.world) == before
    status = {"retry": ("FAILED", "RUNNING"), "compensate": ("RUNNING", "COMPENSATED")}[verb]
    [moved] = [change for change in body["changes"] if (change["what"], change["pointer"]) == ("saga", "/status")]
    assert (moved["from"], moved["to"]) == status
    sent = [change["to"]["type"] for change in body["changes"] if change["what"] == "message"]
    assert sent == {"retry": ["order.updated", "payment.capture"], "compensate": ["order.updated"]}[verb]
    again = operate(offline, scene, verb, {"dryRun": True, "reason": WHY}, Idempotency_Key="k")
    assert (again.replayed, comparable(again.json()["changes"])) == (False, comparable(body["changes"]))


@pytest.mark.parametrize("verb", POSTS)
def test_the_real_one_changes_what_the_dry_run_said(offline: InProcess, stage: Stage, verb: str) -> None:
    scene = reached(stage, verb)
    said = operate(offline, scene, verb, {"dryRun": True}).json()["changes"]
    order = offline.get(f"/api/orders/{scene.order_id}", ADMIN).json()
    saga = offline.get(f"/api/sagas/{scene.sagas()[-1]['saga_id']}", ADMIN).json()

    taken = operate(offline, scene, verb, {"dryRun": False}, Idempotency_Key="k")

    assert taken.status == 202
    for change in said:
        if change["what"] == "message":
            continue
        was, now = (order, taken.json()["order"]) if change["what"] == "order" else (saga, taken.json()["saga"])
        for name in change["pointer"].split("/")[1:]:
            was, now = (each[int(name) if isinstance(each, list) else name] for each in (was, now))
        assert was == change["from"]
        assert now == change["to"] or change["pointer"].split("/")[-1] in VARYING
    assert operate(offline, scene, verb, {"dryRun": False}, Idempotency_Key="k").replayed


@pytest.mark.parametrize("verb", POSTS)
def test_a_dry_run_is_refused_as_the_real_one(offline: InProcess, stage: Stage, verb: str) -> None:
    scene = reached(stage, "compensate" if verb == "retry" else "retry")
    before = everything(scene.world)
    for headers, status in (({}, 409), ({"If_Match": '"1"'}, 412)):
        dry, real = (operate(offline, scene, verb, {"dryRun": dry_run}, **headers) for dry_run in (True, False))
        assert dry.status == real.status == status
        assert dry.reveals() == real.reveals()
    assert everything(scene.world) == before


@pytest.mark.parametrize(("body", "kept"), [(None, {}), ({}, {}), ({"reason": ""}, {}), ({"reason": f" {WHY} "}, {"reason": WHY})])
@pytest.mark.parametrize("verb", POSTS)
def test_the_history_keeps_who_did_it_and_why(offline: InProcess, stage: Stage, verb: str, body: Any, kept: dict[str, str]) -> None:
    scene = reached(stage, verb)

    assert operate(offline, scene, verb, body).status == 202

    entry = scene.history()[-1]
    assert (entry["actor"], entry["detail"]) == ("admin:adm_1", {"operator": verb, **kept})


def test_a_redrives_reason_is_kept_beside_who_had_it_redriven(
    brokerless: Service, offline: InProcess, released: Callable[[], None]
) -> None:
    placed, letter = of_a_newer_release(brokerless)
    released()
    assert redrive(offline, letter, {"dryRun": True, "reason": WHY}).status == 200

    assert redrive(offline, letter, {"reason": WHY}).status == 202

    detail = brokerless.world.history(placed)[-1]["detail"]
    assert {**detail, "reply": None} == {"operator": "redrive", "by": "admin:adm_1", "deadLetterId": letter, "reason": WHY, "reply": None}


def test_a_reason_has_255_characters_at_most(offline: InProcess, stage: Stage) -> None:
    operate(offline, reached(stage, "retry"), "retry", {"reason": "x" * 256}).problem(422, "invalid")


def test_a_dismissal_is_rehearsed_with_what_it_changes_of_the_order(brokerless: Service, offline: InProcess) -> None:
    placed = brokerless.world.place()
    letter = dead_letter_of(brokerless, answer(brokerless.world.pending(placed), customerId="cust_2"))
    before = everything(brokerless.world)
    path = f"/api/dead-letters/{letter}/dismiss"

    dry = offline.post(path, ADMIN, {"reason": WHY, "dryRun": True}, Idempotency_Key="k")

    assert everything(brokerless.world) == before
    body = dry.json()
    assert (dry.status, body["outcome"]) == (200, "rehearsed")
    assert body["deadLetter"] == offline.get("/api/dead-letters", ADMIN).json()["items"][0]
    assert [(change["what"], change["pointer"]) for change in body["changes"]] == [
        ("order", "/updatedAt"),
        ("order", "/version"),
        ("message", ""),
    ]
    offline.post(path, ADMIN, {"reason": WHY, "dryRun": True}, If_Match='"7"').problem(412, "precondition-failed")
    offline.post(path, ADMIN, {"dryRun": True}).problem(422, "invalid")
    assert offline.post(path, ADMIN, {"reason": WHY}, Idempotency_Key="k").json()["dismissReason"] == WHY
    settled = offline.post(path, ADMIN, {"reason": WHY, "dryRun": True})
    assert (settled.status, settled.json()["changes"]) == (200, [])
