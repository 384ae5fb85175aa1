"""The search: exactly that id, whatever it is the id of, and only what the one who asks may read."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from chalicelib.ids import new_id
from tests.integration.conftest import Service
from tests.support.edge import ADMIN, ORDERS, OTHER_CUSTOMER, OTHER_RUNNER, OWNER, RUNNER, Caller, InProcess
from tests.support.kafka_records import Record, answer
from tests.support.letters import dead_letter_of
from tests.support.scene import Stage
from tests.support.statements import counted


def found(client: InProcess, caller: Caller, q: str) -> list[Mapping[str, Any]]:
    answered = client.get("/api/search", caller, {"q": q})
    assert answered.status == 200, answered
    items: list[Mapping[str, Any]] = answered.json()["items"]
    return items


def kinds(client: InProcess, caller: Caller, q: str) -> list[str]:
    return [hit["kind"] for hit in found(client, caller, q)]


def test_ids_of_orders_sagas_and_people_lead_to_the_order(offline: InProcess, stage: Stage) -> None:
    scene = stage.scene("ACCEPTED", pool=1)
    order = {"orderId": str(scene.order_id), "title": "Koufu to Hall 5, room 210", "status": "ACCEPTED"}

    assert found(offline, OWNER, str(scene.order_id)) == [{"kind": "order", "id": str(scene.order_id), **order}]
    assert found(offline, OWNER, "cust_1") == [{"kind": "customer", "id": "cust_1", **order}]
    assert found(offline, RUNNER, "runner_1") == [{"kind": "runner", "id": "runner_1", **order}]
    saga = {"orderId": str(scene.order_id), "title": "create_order", "status": "COMPLETED"}
    assert found(offline, RUNNER, str(scene.saga_id).upper()) == [{"kind": "saga", "id": str(scene.saga_id).upper(), **saga}]


def test_nothing_is_found_that_may_not_be_read(offline: InProcess, stage: Stage) -> None:
    scene, open_one = stage.scene("ACCEPTED", pool=1), stage.scene("READY_FOR_PICKUP", pool=1)
    stage.rows("UPDATE campusg.sagas SET correlation_id = 'corr-7' WHERE saga_id = ANY(CAST(:ids AS uuid[]))", ids=[scene.saga_id])

    for caller in (OTHER_CUSTOMER, OTHER_RUNNER):
        assert [found(offline, caller, id) for id in (str(scene.order_id), str(scene.saga_id), "runner_1", "corr-7")] == [[]] * 4
    assert found(offline, OTHER_CUSTOMER, "cust_1") == []
    assert [hit["orderId"] for hit in found(offline, OTHER_RUNNER, "cust_1")] == [str(open_one.order_id)]
    assert kinds(offline, OTHER_RUNNER, str(open_one.saga_id)) == []
    assert [kinds(offline, caller, "corr-7") for caller in (OWNER, RUNNER, ADMIN)] == [["correlation"]] * 3


@pytest.mark.parametrize("correlation_id", [None, "corr-7", "f81d4fae-7dec-4ad0-a765-00a0c91e6bf6", "client:a|b@c"])
def test_a_correlation_id_leads_to_what_its_request_began(offline: InProcess, correlation_id: str | None) -> None:
    given = {"X_Correlation_Id": correlation_id} if correlation_id else {}
    placed = offline.place(OWNER, **given)
    offline.place(OWNER)

    [hit] = found(offline, OWNER, placed.headers["X-Correlation-Id"])

    order_id = placed.json()["order"]["orderId"]
    assert (hit["kind"], hit["orderId"], hit["title"], hit["status"]) == ("correlation", order_id, "create_order", "RUNNING")


def test_a_correlation_id_that_tells_its_time_is_found_behind_any_number_of_newer_sagas(
    offline: InProcess, brokerless: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, named = offline.place(OWNER), offline.place(OWNER, X_Correlation_Id="corr-7")
    for _ in range(3):
        offline.place(OWNER)
    monkeypatch.setattr("chalicelib.sagas.queries.MOST_READ", 3)

    assert kinds(offline, OWNER, placed.headers["X-Correlation-Id"]) == ["correlation"]
    assert kinds(offline, OWNER, named.headers["X-Correlation-Id"]) == [], "it is not among the newest"


def test_dead_letters_are_found_by_admins_also_those_of_no_order(offline: InProcess, brokerless: Service) -> None:
    placed = brokerless.world.place()
    letter = dead_letter_of(brokerless, answer(brokerless.world.pending(placed), customerId="cust_2"))

    assert found(offline, OWNER, letter) == []
    about = {"orderId": str(placed.order_id), "title": "user.customer_validated: Misfit", "status": "waiting"}
    assert found(offline, ADMIN, letter) == [{"kind": "deadLetter", "id": letter, **about}]
    brokerless.world.rows("UPDATE campusg.dead_letters SET redriven_at = at")
    brokerless.on_events(Record("user-events", None, b"{", ()))
    [lost] = brokerless.world.rows("SELECT dead_letter_id FROM campusg.dead_letters WHERE order_id IS NULL")
    [hit], [other] = found(offline, ADMIN, letter), found(offline, ADMIN, str(lost["dead_letter_id"]))
    assert (hit["status"], other["orderId"], other["title"]) == ("redriven", None, "no type: Unintelligible")


def test_at_most_twenty_are_found_the_newest(offline: InProcess, brokerless: Service) -> None:
    placed = brokerless.world.place_many(25)

    shown = [UUID(hit["orderId"]) for hit in found(offline, ADMIN, "cust_1")]

    assert shown == sorted((each.order_id for each in placed), reverse=True)[:20]
    assert len(found(offline, ADMIN, "corr")) == 20


def test_every_way_of_finding_is_one_statement(offline: InProcess, brokerless: Service) -> None:
    offline.get(ORDERS, ADMIN)
    for q, statements in ((str(new_id()), 6), ("cust_1", 3), ("x" * 65, 1)):
        with counted(brokerless.runtime.database._engine) as seen:
            assert found(offline, ADMIN, q) == []
        assert (seen.number, seen.transactions) == (statements, 1)


@pytest.mark.parametrize("q", ["", "a b", "<script>", "x" * 129, "%"])
def test_what_can_be_no_id_is_refused(offline: InProcess, q: str) -> None:
    assert "q" in offline.get("/api/search", OWNER, {"q": q}).problem(422, "invalid")["detail"]


def test_a_search_for_nothing_is_refused(offline: InProcess) -> None:
    assert offline.get("/api/search", OWNER).problem(422, "invalid")["detail"] == "the parameter q is missing"
