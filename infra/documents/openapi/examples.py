"""One order on its way through the document: the examples, made by the same functions that make the answers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from chalicelib.entrypoints.cursors import to_cursor
from chalicelib.entrypoints.health import VERSION
from chalicelib.messages import topics
from chalicelib.messages.commands import AuthorizePayment
from chalicelib.messages.envelope import Incoming, MessageContext, timestamp, to_json
from chalicelib.messages.replies import CustomerValidated
from chalicelib.messaging.dead_letter_documents import DEAD_LETTER, DISMISSED_DEAD_LETTER, full_document
from chalicelib.messaging.dead_letter_queries import KeptDeadLetter
from chalicelib.operations.actions import order_actions, saga_actions
from chalicelib.operations.differences import DIFFERENCE, differences
from chalicelib.operations.explain import EXPLANATION, TIMELINE, Explanation, Timeline
from chalicelib.operations.search import SEARCH_RESULT, Hit, Hits
from chalicelib.orders.access import Viewer
from chalicelib.orders.lifecycle import ORDER_MOVES
from chalicelib.orders.order import ORDER, FoodItem, Order, OrderStatus, PaymentStatus
from chalicelib.orders.timeouts import Timeouts
from chalicelib.sagas.awaited import what_it_waits_for
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.definition import Moment, Step
from chalicelib.sagas.outcomes import IdSource, Started
from chalicelib.sagas.path import path_of
from chalicelib.sagas.planner import plan
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import SAGA, Saga, SagaStatus, StepState, StepStatus
from chalicelib.sagas.waits import waits_for

ORDER_ID = UUID("019aaa6e-0b40-7c1e-9d3f-5a1b7c2d4e6f")
SAGA_ID = UUID("019aaa6e-0b41-7f02-8a4d-1c9e3b5d7f80")
DEAD_LETTER_ID = UUID("019aaa6e-0c15-7d3a-9b40-2e8f6a1c5d77")
COMMAND_ID = "019aaa6e-0b42-7a57-b3c1-6d8f0e2a4c91"
CORRELATION_ID = "019aaa6e-0b3f-7b6a-8e21-4f7d9c0b2a13"
PLACED = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)
OPENED = PLACED + timedelta(milliseconds=412)
CURSOR = to_cursor(ORDER_ID)

NEW_ORDER_BODY: dict[str, Any] = {
    "orderDetails": {
        "foodItems": [{"name": "Chicken rice", "price": "4.50", "quantity": 2}],
        "storeLocation": "Koufu",
        "deliveryLocation": "Hall 5, room 210",
        "deliveryFee": "3.99",
    }
}


def _order(**changes: Any) -> Order:
    known: dict[str, Any] = {
        "order_id": ORDER_ID,
        "customer_id": "cust_1",
        "food_items": (FoodItem("Chicken rice", Decimal("4.50"), 2),),
        "store_location": "Koufu",
        "delivery_location": "Hall 5, room 210",
        "food_fee": Decimal("9.00"),
        "delivery_fee": Decimal("3.99"),
        "total": Decimal("12.99"),
        "currency": "SGD",
        "created_at": PLACED,
    }
    return Order(**known, **changes)


def _saga(status: SagaStatus, steps: tuple[StepState, ...], ended_at: datetime | None = None) -> Saga:
    return Saga(
        SAGA_ID,
        ORDER_ID,
        CREATE_ORDER.name,
        CREATE_ORDER.version,
        status,
        steps,
        MessageContext(CORRELATION_ID),
        PLACED,
        ended_at=ended_at,
    )


def _done(name: str, has_command: bool) -> StepState:
    command = COMMAND_ID if has_command else None
    return StepState(name, StepStatus.DONE, int(has_command), command, NEW["createdAt"], OPEN["updatedAt"])


_NEW = _order(order_status=OrderStatus.CREATED, payment_status=PaymentStatus.PENDING, updated_at=PLACED, version=1, active_saga_id=SAGA_ID)
NEW = ORDER.document(_NEW)
OPEN = ORDER.document(
    _order(
        order_status=OrderStatus.READY_FOR_PICKUP,
        payment_status=PaymentStatus.AUTHORIZED,
        updated_at=OPENED,
        version=4,
        payment_id="pay_7f3a",
        escrow_id="esc_91bc",
        accept_by=OPENED + timedelta(minutes=30),
    )
)
COLLECTED = ORDER.document(
    _order(
        order_status=OrderStatus.COLLECTED,
        payment_status=PaymentStatus.AUTHORIZED,
        updated_at=OPENED + timedelta(minutes=9),
        version=7,
        runner_id="run_1",
        payment_id="pay_7f3a",
        escrow_id="esc_91bc",
        accept_by=OPENED + timedelta(minutes=30),
        accepted_at=OPENED + timedelta(minutes=2),
        collected_at=OPENED + timedelta(minutes=9),
    )
)
_POLICY = RetryPolicy(timedelta(seconds=10), 5)
_BEGUN = plan(
    CREATE_ORDER,
    _saga(SagaStatus.RUNNING, tuple(StepState(step.name) for step in CREATE_ORDER.steps)),
    _NEW,
    Started(),
    Moment(PLACED, _POLICY, Timeouts(timedelta(minutes=30))),
    IdSource(lambda: COMMAND_ID, jitter=0),
).saga
RUNNING = SAGA.document(_BEGUN)
DONE = SAGA.document(_saga(SagaStatus.COMPLETED, tuple(_done(step.name, isinstance(step, Step)) for step in CREATE_ORDER.steps), OPENED))
HISTORY_ENTRY = {
    "version": 1,
    "at": NEW["createdAt"],
    "event": "order.created",
    "from": None,
    "to": "CREATED",
    "paymentFrom": None,
    "paymentTo": "PENDING",
    "actor": "customer:cust_1",
    "sagaId": str(SAGA_ID),
    "detail": {},
}
_KEPT = KeptDeadLetter(
    dead_letter_id=DEAD_LETTER_ID,
    topic=topics.USER_EVENTS,
    partition=1,
    offset=4711,
    type=CustomerValidated.TYPE,
    order_id=ORDER_ID,
    saga_id=SAGA_ID,
    error_class="UnknownDefinition",
    error="create_order version 2 is not known here",
    delivery_count=1,
    at=OPENED,
    redriven_at=None,
)
_DISMISSED = replace(_KEPT, dismissed_at=OPENED, dismissed_by="admin:ops_1", dismiss_reason="The partner has settled it.")
_RECORD = Incoming(
    _KEPT.topic,
    _KEPT.partition,
    _KEPT.offset,
    str(ORDER_ID).encode(),
    to_json(CustomerValidated(customer_id="cust_1", payment_method_id="pm_1").data()),
    (("ce_type", CustomerValidated.TYPE.encode()), ("ce_sagaid", str(SAGA_ID).encode())),
)
_CHANGES = [
    *differences("order", str(ORDER_ID), NEW, {**NEW, "orderStatus": "PENDING_PAYMENT", "version": 2}),
    *differences("message", COMMAND_ID, None, {"type": AuthorizePayment.TYPE, "topic": topics.PAYMENT_COMMANDS}),
]
_REDRIVEN = {"changes": [DIFFERENCE.document(change) for change in _CHANGES], "order": NEW, "saga": RUNNING}
_MINUTE = {
    "at": timestamp(PLACED - timedelta(minutes=1)),
    "ordersCreated": 3,
    "ordersCompleted": 2,
    "ordersCancelled": 0,
    "sagasEnded": 7,
    "stepsEnded": 18,
    "stepP50Ms": 12,
    "stepP99Ms": 85,
    "atLeast": False,
    "outboxAgeSeconds": 0.0,
    "deadLetters": 1,
    "violations": 0,
}
_ADMIN = Viewer("ops_1", frozenset({"admin"}))
_EXPLANATION = Explanation(
    saga=_BEGUN,
    sentence=waits_for(_BEGUN, OPENED, _POLICY),
    waits_for=what_it_waits_for(_BEGUN, _POLICY, None, whole=True),
    path=path_of(_BEGUN, _NEW, whole=True),
    actions=saga_actions(_ADMIN, _BEGUN),
    dead_letters=(),
    data=_BEGUN.data,
    setbacks=0,
    outbox=(),
)
_TIMELINE = Timeline(_NEW, (), (replace(_EXPLANATION, outbox=None),), (_KEPT,), (), order_actions(_ADMIN, _NEW, [_BEGUN], OPENED))
_DATABASE = {"status": "ok", "milliseconds": 1.8}
NO_KAFKA = {"status": "unavailable", "detail": "no answer within 2 s"}

ANSWERS: dict[str, Any] = {
    "open": OPEN,
    "collected": COLLECTED,
    "under-way": {"order": NEW, "saga": RUNNING},
    "ended-well": {"order": OPEN, "saga": DONE},
    "history": {"items": [HISTORY_ENTRY]},
    "timeline": {**TIMELINE.document(_TIMELINE), "history": [HISTORY_ENTRY]},
    "explanation": EXPLANATION.document(_EXPLANATION),
    "page": {"items": [OPEN], "total": 1, "page": 1, "pages": 1, "limit": 10},
    "cursor-page": {"items": [OPEN], "limit": 1, "nextCursor": CURSOR},
    "saga": DONE,
    "saga-page": {"items": [DONE], "limit": 10, "nextCursor": None},
    "dead-letter": full_document(_KEPT, _RECORD),
    "dead-letter-page": {"items": [DEAD_LETTER.document(_KEPT)], "limit": 10, "nextCursor": None},
    "dismissed": DISMISSED_DEAD_LETTER.document(_DISMISSED),
    "rehearsed": {"deadLetter": DEAD_LETTER.document(_KEPT), "outcome": "rehearsed", "changes": _REDRIVEN["changes"]},
    "operation-rehearsed": {"outcome": "rehearsed", "changes": _REDRIVEN["changes"]},
    "dismissal-rehearsed": {"deadLetter": DEAD_LETTER.document(_KEPT), "outcome": "rehearsed", "changes": []},
    "redriven": {"deadLetter": DEAD_LETTER.document(replace(_KEPT, redriven_at=OPENED)), "outcome": "taken", **_REDRIVEN},
    "board": {
        "orders": [
            {"status": status, "number": int(status is OrderStatus.CREATED), "atLeast": False}
            for status in OrderStatus
            if ORDER_MOVES[status]
        ],
        "ended": [{"status": status, "number": number} for status, number in (("COMPLETED", 96), ("CANCELLED", 4), ("TIMED_OUT", 1))],
        "sagas": [{"name": CREATE_ORDER.name, "status": SagaStatus.RUNNING, "number": 1, "atLeast": False}],
        "outbox": {"waiting": 1, "atLeast": False, "oldestAt": NEW["createdAt"]},
        "deadLetters": {"waiting": 1, "atLeast": False, "byError": [{"errorClass": _KEPT.error_class, "number": 1}]},
        "invariants": {"violations": 0, "at": OPEN["updatedAt"]},
        "minutes": [_MINUTE],
        "development": False,
        "version": VERSION,
    },
    "found": SEARCH_RESULT.document(Hits([Hit("order", str(ORDER_ID), ORDER_ID, "Koufu to Hall 5, room 210", OPEN["orderStatus"])])),
    "alive": {"status": "ok", "version": VERSION},
    "ready": {"status": "ok", "dependencies": {"database": _DATABASE, "kafka": {"status": "ok", "milliseconds": 4.1}}},
    "not-ready": {"status": "unavailable", "dependencies": {"database": _DATABASE, "kafka": NO_KAFKA}},
}
