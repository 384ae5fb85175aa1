"""The operator's two verbs over HTTP: who may, and what is answered."""

from uuid import uuid4

import pytest

from tests.integration.conftest import Service
from tests.support.http_client import Http
from tests.support.kafka_records import answer


def test_a_saga_that_is_turned_round_is_answered_with_order_and_saga_and_the_history_names_the_operator(
    service: Service, http: Http
) -> None:
    placed = service.world.place()
    service.on_events(answer(service.world.pending(placed)))
    answered = http.post(f"/api/sagas/{placed.saga_id}/compensate", {}, http.admin())
    body = answered.json()
    assert (answered.status, sorted(body), body["saga"]["status"]) == (202, ["order", "saga"], "COMPENSATING")
    assert body["saga"]["error"]["code"] == "cancelled"
    history = http.get(f"/api/orders/{placed.order_id}/history", http.admin()).json()["items"]
    assert (history[-1]["version"], history[-1]["event"]) == (body["order"]["version"], "order.updated")
    assert (history[-1]["actor"], history[-1]["sagaId"]) == ("admin:adm_1", str(placed.saga_id))
    http.post(f"/api/sagas/{placed.saga_id}/compensate", {}, http.admin()).problem(409, "wrong-status")
    commands = [message.type for message in service.topic("payment-commands")]
    assert commands == ["payment.authorize", "payment.release"], "what the operator caused is published at once"


@pytest.mark.parametrize("verb", ["retry", "compensate"])
def test_only_admins_are_operators_and_only_of_sagas_there_are(service: Service, http: Http, verb: str) -> None:
    placed = service.world.place()
    for bearer in (http.customer("cust_1"), http.runner("runner_1")):
        http.post(f"/api/sagas/{placed.saga_id}/{verb}", {}, bearer).problem(403, "forbidden")
    for saga_id in (uuid4(), "7"):
        http.post(f"/api/sagas/{saga_id}/{verb}", {}, http.admin()).problem(404, "not-found")
    http.post(f"/api/sagas/{placed.saga_id}/{verb}", {"force": True}, http.admin()).problem(422, "invalid")
    assert service.world.order(placed)["version"] == 1


def test_a_running_saga_can_not_be_retried(service: Service, http: Http) -> None:
    placed = service.world.place()
    http.post(f"/api/sagas/{placed.saga_id}/retry", b"", http.admin()).problem(409, "wrong-status")
