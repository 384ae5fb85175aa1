"""An order's creation within the template: what is forked from it has imported everything, and has its statements compiled."""

import json
from unittest.mock import PropertyMock, patch
from uuid import UUID

import sqlalchemy as sa

import app
from chalicelib.messages.envelope import Outgoing
from chalicelib.messages.topics import ORDERS_DLQ, TRIGGERS
from chalicelib.messaging.producer import Producer
from chalicelib.operations.deaths import DeathWatch
from chalicelib.runtime import runtime
from infra.esm.invoke import Function, LambdaContext
from tests.crash_matrix.requests import request_event
from tests.support.edge import NEW_ORDER, ORDERS
from tests.support.history.model import Request
from tests.support.kafka_records import Sent, answer, lambda_event

PENDING = sa.text("SELECT pending -> 'message' AS message FROM campusg.sagas WHERE order_id = :id AND ended_at IS NULL")
FUNCTIONS = {trigger.topic: getattr(app, trigger.function) for trigger in TRIGGERS}
CONTEXT = LambdaContext(Function("warm", lambda event, context: None, 30))


def warm_up() -> None:
    """Create an order, whose messages stay in the outbox, and send one that nobody reads. No connection stays open."""
    with patch.object(Producer, "resting", PropertyMock(return_value=True)):
        asked = Request("warm", "customer", "POST", ORDERS, "warm", 0.0, 0.0, None, NEW_ORDER)
        answered = app.app(request_event(asked), CONTEXT)
        order_id = UUID(json.loads(answered["body"])["order"]["orderId"])
        while command := _pending(order_id):
            reply = answer(command)
            FUNCTIONS[reply.topic](lambda_event(reply), CONTEXT)
    assert runtime().producer.send([Outgoing(ORDERS_DLQ, b"warm", b"{}", ())], 5) == [None]
    runtime().producer.close()
    runtime().database.close()
    # What is forked has yet to show that it survives a batch.
    runtime().deaths = DeathWatch(runtime().database)


def _pending(order_id: UUID) -> Sent | None:
    with runtime().database.transaction() as session:
        message = session.execute(PENDING, {"id": order_id}).scalar()
    if message is None:
        return None
    headers = tuple((name, value.encode()) for name, value in message["headers"])
    return Sent(message["topic"], message["key"].encode(), message["value"].encode(), headers)
