"""Explanations and timelines over HTTP: what is in them for whom, and that the actions they offer are those that would be taken."""

import json
from typing import Any
from uuid import UUID

import pytest

from tests.integration.conftest import Service
from tests.integration.test_authorization import made
from tests.support.authorization import CALLERS, cells, situations
from tests.support.edge import ADMIN, ORDERS, OTHER_RUNNER, OWNER, RUNNER, Caller, Edge, InProcess
from tests.support.kafka_records import answer
from tests.support.scene import Stage
from tests.support.statements import counted

# The rows of the table of who may do what, for each action.
ROWS = {
    "accept": "accept",
    "cancel-acceptance": "give back",
    "cancel": "cancel",
    "complete": "complete",
    "status": "move",
    "retry": "retry",
    "compensate": "compensate",
}


def timeline(client: Edge | InProcess, order_id: UUID, caller: Caller | None) -> Any:
    answered = client.get(f"{ORDERS}/{order_id}/timeline", caller)
    assert answered.status == 200, answered
    return answered.json()


def explanation(client: Edge | InProcess, saga_id: UUID, caller: Caller) -> Any:
    answered = client.get(f"/api/sagas/{saga_id}/explanation", caller)
    assert answered.status == 200, answered
    return answered.json()


@pytest.mark.parametrize("situation", [name for name in situations() if name != "absent"])
def test_what_is_allowed_is_what_would_be_taken(offline: InProcess, stage: Stage, situation: str) -> None:
    """The table's statuses are those of real requests: `tests/integration/test_authorization.py` holds it to them."""
    order_id, _ = made(stage, situation)
    statuses = {(route, caller): status for route, caller, status in cells(situations()[situation])}
    readers = [caller for caller in CALLERS if statuses["timeline", caller] == 200]
    assert readers
    offered = {}
    for caller in readers:
        seen = timeline(offline, order_id, CALLERS[caller])
        for action in [*seen["actions"], *(seen["sagas"][-1]["actions"] if seen["sagas"] else ())]:
            assert (action["reason"] is None) is action["allowed"]
            row = "cancel why" if action["required"] else ROWS[action["name"]]
            offered[caller, action["name"], statuses[row, caller]] = action["allowed"]
            # To give no reason where one must be given is no way.
            assert not action["required"] or statuses["cancel", caller] == 422

    assert {key: status < 300 for key in offered for status in key[2:]} == offered


def test_an_action_can_be_sent_as_it_is_offered(edge: Edge, stage: Stage) -> None:
    scene = stage.scene("READY_FOR_PICKUP", pool=1)

    def offered(name: str, caller: Caller) -> Any:
        return next(each for each in timeline(edge, scene.order_id, caller)["actions"] if each["name"] == name)

    for name, caller, after in [
        ("accept", RUNNER, "ACCEPTED"),
        ("status", RUNNER, "COLLECTED"),
        ("status", RUNNER, "ON_THE_WAY"),
        ("status", RUNNER, "DELIVERED"),
        ("complete", OWNER, "COMPLETED"),
    ]:
        action = offered(name, caller)
        assert (action["allowed"], action["needless"]) == (True, False)
        assert edge.call(action["method"], f"/{action['path']}", caller, action["body"]).status in (200, 202)
        scene.settle()
        assert scene.order["order_status"] == after
    assert (offered("complete", OWNER)["allowed"], offered("complete", OWNER)["needless"]) == (True, True)


def test_an_order_on_its_way_is_cancelled_by_an_admin_with_the_reason_that_is_required(edge: Edge, stage: Stage) -> None:
    scene = stage.scene("COLLECTED", pool=1)

    [action] = [each for each in timeline(edge, scene.order_id, ADMIN)["actions"] if each["name"] == "cancel"]

    assert (action["allowed"], action["asks"], action["required"]) == (True, ["reason"], ["reason"])
    assert edge.post(f"/{action['path']}", ADMIN, action["body"]).status == 422
    assert edge.post(f"/{action['path']}", ADMIN, {**action["body"], "reason": "the stall is closed"}).status == 202


def test_a_timeline_is_order_history_and_sagas_as_their_own_routes_show_them(edge: Edge, stage: Stage) -> None:
    scene = stage.scene("ACCEPTED", pool=1)
    order = f"{ORDERS}/{scene.order_id}"

    seen = timeline(edge, scene.order_id, OWNER)

    assert seen["order"] == edge.get(order, OWNER).json()
    assert seen["history"] == edge.get(f"{order}/history", OWNER).json()["items"]
    sagas = [UUID(str(row["saga_id"])) for row in scene.sagas()]
    assert [each["saga"]["name"] for each in seen["sagas"]] == ["create_order", "accept_order"]
    assert [each["saga"] for each in seen["sagas"]] == [edge.get(f"/api/sagas/{id}", OWNER).json() for id in sagas]
    # Spans of time in the sentence go on.
    assert seen["sagas"] == [explanation(edge, id, OWNER) for id in sagas]
    assert (seen["deadLetters"], "outbox" in seen) == ([], False)


def test_what_has_not_changed_is_not_sent_again_and_each_caller_s_copy_is_its_own(offline: InProcess, stage: Stage) -> None:
    scene = stage.scene("ACCEPTED", pool=1)
    seen = f"{ORDERS}/{scene.order_id}/timeline", f"/api/sagas/{scene.saga_id}/explanation"
    tags = {path: offline.get(path, OWNER).headers["ETag"] for path in seen}
    for path, tag in tags.items():
        again = offline.get(path, OWNER, If_None_Match=f'"1", W/{tag}')
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag), path
        assert offline.get(path, ADMIN, If_None_Match=tag).status == 200, path
        assert offline.get(path, OTHER_RUNNER, If_None_Match=tag).status == 404, path

    assert offline.call("PATCH", f"{ORDERS}/{scene.order_id}/status", RUNNER, {"status": "COLLECTED"}).status == 200

    assert offline.get(seen[0], OWNER, If_None_Match=tags[seen[0]]).status == 200


def test_of_many_sagas_the_newest_are_told_and_each_can_be_explained(offline: InProcess, stage: Stage) -> None:
    scene = stage.scene("READY_FOR_PICKUP", pool=1)
    copied = """
        INSERT INTO campusg.sagas (saga_id, order_id, name, definition_version, status, steps, facts, correlation_id, started_at, ended_at)
        SELECT ('01990000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, order_id, name, 1, status, steps, facts, correlation_id,
            started_at, ended_at FROM campusg.sagas, generate_series(1, 25) i WHERE saga_id = :id"""
    stage.rows(copied, id=scene.saga_id)
    newest = max(UUID(str(row["saga_id"])) for row in scene.sagas())

    told = [each["saga"]["sagaId"] for each in timeline(offline, scene.order_id, OWNER)["sagas"]]

    assert (len(told), told[-1], told) == (20, str(newest), sorted(told))
    oldest = min(UUID(str(row["saga_id"])) for row in scene.sagas())
    assert str(oldest) not in told
    assert explanation(offline, oldest, OWNER)["saga"]["sagaId"] == str(oldest)
    stage.rows("DELETE FROM campusg.sagas WHERE saga_id::text LIKE '01990000-0000-7000-8000-%'")


def test_a_runner_sees_of_an_open_order_no_saga(edge: Edge, stage: Stage) -> None:
    scene = stage.scene("READY_FOR_PICKUP", pool=1)
    seen = timeline(edge, scene.order_id, OTHER_RUNNER)
    assert (seen["sagas"], len(seen["history"])) == ([], 4)
    assert [each["name"] for each in seen["actions"] if each["allowed"]] == ["accept"]


def test_what_partners_and_customers_said_is_shown_to_admins_only(edge: Edge, stage: Stage) -> None:
    scene = stage.scene("DELIVERED", pool=1)
    assert edge.post(f"{ORDERS}/{scene.order_id}/complete", OWNER).status == 202
    scene.settle()
    method = scene.saga("create_order")["facts"]["payment_method_id"]
    account = scene.saga("complete_order")["facts"]["payout_account_id"]

    shown = {caller: json.dumps(timeline(edge, scene.order_id, caller)) for caller in (OWNER, RUNNER, ADMIN)}

    assert [(method in text, account in text) for text in shown.values()] == [(False, False), (False, False), (True, True)]


def test_an_admin_sees_outbox_setbacks_and_dead_letters(edge: Edge, brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    pending = world.pending(placed)
    brokerless.on_events(answer(pending, customerId="cust_2"))

    told, seen = explanation(edge, placed.saga_id, ADMIN), timeline(edge, placed.order_id, ADMIN)

    assert told["sentence"].startswith("waits for the broker: user.validate_customer is in the outbox for ")
    assert told["waitsFor"]["unpublishedSince"] == told["outbox"][-1]["createdAt"]
    assert [(row["topic"], row["failures"]) for row in told["outbox"]] == [("order-events", 0), ("user-commands", 0)]
    assert (told["setbacks"], told["correlationId"]) == (0, f"corr-{placed.order_id}")
    [letter] = told["deadLetters"]
    assert letter["error"].startswith("Misfit: ")
    assert (seen["deadLetters"], seen["outbox"], "outbox" in seen["sagas"][0]) == ([letter], told["outbox"], False)
    assert explanation(edge, placed.saga_id, OWNER).keys() & {"outbox", "setbacks", "data"} == set()
    assert explanation(edge, placed.saga_id, OWNER)["deadLetters"] == []


def test_a_saga_of_a_newer_release_is_explained_as_far_as_it_is_known(edge: Edge, brokerless: Service) -> None:
    placed = brokerless.world.place()
    brokerless.world.rows("UPDATE campusg.sagas SET definition_version = 9")

    told = explanation(edge, placed.saga_id, ADMIN)

    assert "waits for a release that knows create_order version 9" in told["sentence"]
    assert [step["step"] for step in told["path"]] == [step["name"] for step in told["saga"]["steps"]]
    assert [action["reason"] for action in told["actions"]] == ["create_order version 9 is not known to this release"] * 2


@pytest.mark.parametrize(("path", "caller", "statements"), [("timeline", OWNER, 1), ("timeline", ADMIN, 2), ("explanation", ADMIN, 2)])
def test_it_takes_one_statement_and_for_admins_one_for_dead_letters(
    offline: InProcess, brokerless: Service, stage: Stage, path: str, caller: Caller, statements: int
) -> None:
    scene = stage.scene("ACCEPTED", pool=1)
    target = f"{ORDERS}/{scene.order_id}/{path}" if path == "timeline" else f"/api/sagas/{scene.saga_id}/{path}"
    with counted(brokerless.runtime.database._engine) as seen:
        assert offline.get(target, caller).status == 200
    assert (seen.number, seen.transactions) == (statements, 1)
