"""The operator's two verbs over HTTP: who may, and what is answered."""

from uuid import uuid4

import pytest

from tests.integration.conftest import Service
from tests.support.edge import ADMIN, OWNER, RUNNER, InProcess
from tests.support.kafka_records import answer


def test_a_saga_that_is_compensated_is_answered_with_order_and_saga_and_the_history_names_the_operator(
    service: Service, http: InProcess
) -> None:
    placed = service.world.place()
    service.on_events(answer(service.world.pending(placed)))
    answered = http.post(f"/api/sagas/{placed.saga_id}/compensate", ADMIN, {})
    body = answered.json()
    assert (answered.status, sorted(body), body["saga"]["status"]) == (202, ["order", "saga"], "COMPENSATING")
    assert body["saga"]["error"]["code"] == "cancelled"
    history = http.get(f"/api/orders/{placed.order_id}/history", ADMIN).json()["items"]
    assert (history[-1]["version"], history[-1]["event"]) == (body["order"]["version"], "order.updated")
    assert (history[-1]["actor"], history[-1]["sagaId"]) == ("admin:adm_1", str(placed.saga_id))
    http.post(f"/api/sagas/{placed.saga_id}/compensate", ADMIN, {}).problem(409, "wrong-status")
    commands = [message.type for message in service.topic("payment-commands")]
    assert commands == ["payment.authorize", "payment.release"], "what the operator caused is published at once"


@pytest.mark.parametrize("verb", ["retry", "compensate"])
def test_only_admins_are_operators_and_only_of_sagas_there_are(service: Service, http: InProcess, verb: str) -> None:
    placed = service.world.place()
    for caller in (OWNER, RUNNER):
        http.post(f"/api/sagas/{placed.saga_id}/{verb}", caller, {}).problem(403, "forbidden")
    for saga_id in (uuid4(), "7"):
        http.post(f"/api/sagas/{saga_id}/{verb}", ADMIN, {}).problem(404, "not-found")
    http.post(f"/api/sagas/{placed.saga_id}/{verb}", ADMIN, {"force": True}).problem(422, "invalid")
    assert service.world.order(placed)["version"] == 1


def test_a_running_saga_can_not_be_retried(service: Service, http: InProcess) -> None:
    placed = service.world.place()
    http.post(f"/api/sagas/{placed.saga_id}/retry", ADMIN, b"").problem(409, "wrong-status")
