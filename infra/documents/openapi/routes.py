"""Every route of the HTTP API: who may ask, what they send, and all they can be answered.

A path that isn't there (404), a method that a path doesn't have (405) and a request that is no HTTP are answered before any route.
"""

from dataclasses import replace

from chalicelib.entrypoints import bodies
from chalicelib.entrypoints.lists import DEAD_LETTER_CURSOR_PAGE, HISTORY, ORDER_CURSOR_PAGE, ORDER_PAGE, SAGA_CURSOR_PAGE
from chalicelib.entrypoints.refusals import (
    BadHeader,
    Cancelled,
    CustomerRejected,
    InvalidToken,
    NotJson,
    PartnerFailed,
    PaymentDeclined,
    RateLimited,
    RunnerRejected,
    ServiceUnavailable,
    TooLarge,
    Unauthorized,
    UnsupportedCoding,
    UnsupportedMediaType,
)
from chalicelib.errors import (
    Forbidden,
    HeldBySaga,
    InFlight,
    Invalid,
    KeyReused,
    NotFound,
    PreconditionFailed,
    Taken,
    TooLate,
    WrongStatus,
)
from chalicelib.messaging.dead_letter_documents import DISMISSED_DEAD_LETTER, WHOLE_DEAD_LETTER
from chalicelib.operations.board import BOARD
from chalicelib.operations.dismiss import DISMISSAL_REHEARSED
from chalicelib.operations.explain import EXPLANATION, TIMELINE
from chalicelib.operations.redrive import REDRIVEN
from chalicelib.operations.rehearsal import REHEARSED
from chalicelib.operations.search import SEARCH_RESULT
from chalicelib.orders.order import ORDER
from chalicelib.sagas.state import ORDER_WITH_SAGA, SAGA
from infra.documents.openapi import answers, examples
from infra.documents.openapi.route import ANYONE, Errors, Route, Success

ASKED: Errors = (Unauthorized, InvalidToken, Forbidden, RateLimited, ServiceUnavailable)
SENT: Errors = (NotJson, TooLarge, UnsupportedMediaType, UnsupportedCoding, Invalid)
ONCE: Errors = (BadHeader, KeyReused, InFlight)
CHANGING: Errors = (*ASKED, *SENT, *ONCE, PreconditionFailed, NotFound, WrongStatus)
SERVED: Errors = (*CHANGING, HeldBySaga, PartnerFailed)
CONDITIONAL = ("Idempotency-Key", "If-Match")
WAITING = (*CONDITIONAL, "Prefer")

WAITED = ("Preference-Applied", "Idempotency-Replayed")
READ = {200: Success("The order.", (ORDER,), ("open",), sure=("ETag",))}
STARTED = {
    200: Success("The saga ended well inside the wait, or before.", (ORDER_WITH_SAGA,), ("ended-well",), maybe=WAITED),
    202: Success("The saga is under way.", (ORDER_WITH_SAGA,), ("under-way",), maybe=WAITED),
}
PLACED = {
    201: Success("The order opened inside the wait.", (ORDER_WITH_SAGA,), ("ended-well",), ("Location",), WAITED),
    202: Success("The order is being made.", (ORDER_WITH_SAGA,), ("under-way",), ("Location",), WAITED),
}
OPERATED = {
    200: Success("What would change; nothing has.", (REHEARSED,), ("operation-rehearsed",)),
    202: Success("The saga goes on.", (ORDER_WITH_SAGA,), ("under-way",), maybe=("Idempotency-Replayed",)),
}
TAKEN = {
    200: Success("What would change; nothing has.", (REDRIVEN,), ("rehearsed",)),
    202: Success("It was taken, as if it had come just now.", (REDRIVEN,), ("redriven",), maybe=("Idempotency-Replayed",)),
}
DISMISSED = {
    200: Success(
        "It is dismissed; or, of a dry run, what would change.",
        (DISMISSED_DEAD_LETTER, DISMISSAL_REHEARSED),
        ("dismissed", "dismissal-rehearsed"),
        maybe=("Idempotency-Replayed",),
    )
}


def looked_at(found: Success) -> dict[int, Success]:
    """How a document is answered whose tag is a hash of it."""
    return {200: replace(found, sure=("ETag.hash",)), 304: Success("The caller's copy is current.", sure=("ETag.hash",))}


def of_console(*media_types: str) -> dict[int, Success]:
    """How a file of the console is answered."""
    return looked_at(Success("The file.", media_types=media_types))


ROUTES: tuple[Route, ...] = (
    Route(
        "createOrder",
        "POST /api/orders",
        "Place an order",
        "customer for itself, admin for anybody",
        PLACED,
        (*ASKED, *SENT, *ONCE, PaymentDeclined, CustomerRejected, Cancelled, PartnerFailed),
        ("Idempotency-Key", "Prefer"),
        bodies.CreateOrderBody,
        examples.NEW_ORDER_BODY,
        may_be_empty=False,
    ),
    Route(
        "listOrders",
        "GET /api/orders",
        "List orders, newest first",
        "customer: own orders; runner: open orders and own; admin: all",
        {200: Success("One page.", (ORDER_PAGE, ORDER_CURSOR_PAGE), ("page", "cursor-page"), ("Link",))},
        (*ASKED, Invalid),
        ("status", "paymentStatus", "customerId", "runnerId", "createdAfter", "createdBefore", "page", "cursor", "limit"),
    ),
    Route(
        "readOrder",
        "GET /api/orders/{orderId}",
        "Read an order",
        "its customer, its runner, any runner while it is READY_FOR_PICKUP, admin",
        {**READ, 304: Success("The caller's copy is current.", sure=("ETag",))},
        (*ASKED, NotFound),
        ("If-None-Match",),
    ),
    Route(
        "readHistory",
        "GET /api/orders/{orderId}/history",
        "Read all that happened to an order, oldest first",
        "as the order",
        {200: Success("One entry a version.", (HISTORY,), ("history",))},
        (*ASKED, NotFound),
    ),
    Route(
        "readTimeline",
        "GET /api/orders/{orderId}/timeline",
        "Read an order with its history, its sagas explained, and what may be done to it now",
        "as the order; its sagas as a saga",
        looked_at(Success("All that is known of it.", (TIMELINE,), ("timeline",))),
        (*ASKED, NotFound),
        ("If-None-Match",),
    ),
    Route(
        "changeStatus",
        "PATCH /api/orders/{orderId}/status",
        "Set an order COLLECTED, ON_THE_WAY, DELIVERED, one after the other",
        "its runner, admin",
        {200: Success("The order.", (ORDER,), ("collected",), sure=("ETag",))},
        (*ASKED, *SENT, BadHeader, NotFound, PreconditionFailed, HeldBySaga, WrongStatus),
        ("If-Match",),
        bodies.StatusBody,
        {"status": "COLLECTED"},
        may_be_empty=False,
    ),
    Route(
        "acceptOrder",
        "POST /api/orders/{orderId}/accept",
        "Take an open order; exactly one runner wins",
        "a runner for itself, admin for anybody",
        STARTED,
        (*SERVED, Taken, TooLate, RunnerRejected, Cancelled),
        WAITING,
        bodies.AcceptBody,
        {"runnerId": "run_1"},
        may_be_empty=False,
    ),
    Route(
        "cancelAcceptance",
        "POST /api/orders/{orderId}/cancel-acceptance",
        "Give an ACCEPTED order back",
        "its runner, admin",
        STARTED,
        SERVED,
        WAITING,
        bodies.NoBody,
    ),
    Route(
        "cancelOrder",
        "POST /api/orders/{orderId}/cancel",
        "Call an order off",
        "its customer until it is COLLECTED; admin until it is COMPLETED, from COLLECTED on with a reason",
        STARTED,
        SERVED,
        WAITING,
        bodies.CancelBody,
        {"reason": "Changed my mind"},
    ),
    Route(
        "completeOrder",
        "POST /api/orders/{orderId}/complete",
        "Complete a DELIVERED order: the runner is paid",
        "its customer, its runner, admin",
        STARTED,
        (*SERVED, RunnerRejected, Cancelled),
        WAITING,
        bodies.NoBody,
    ),
    Route(
        "listSagas",
        "GET /api/sagas",
        "List sagas, newest first",
        "admin",
        {200: Success("One page.", (SAGA_CURSOR_PAGE,), ("saga-page",))},
        (*ASKED, Invalid),
        ("sagaStatus", "sagaName", "sagaOrderId", "cursor", "limit"),
    ),
    Route(
        "readSaga",
        "GET /api/sagas/{sagaId}",
        "Read a saga and where its steps stand",
        "customer and runner of its order, admin",
        {200: Success("The saga.", (SAGA,), ("saga",))},
        (*ASKED, NotFound),
    ),
    Route(
        "readExplanation",
        "GET /api/sagas/{sagaId}/explanation",
        "Read why a saga is where it is, and what may be done to it now",
        "as the saga; data of commands and replies, dead letters and outbox: admin",
        looked_at(Success("Its path, and what it waits for.", (EXPLANATION,), ("explanation",))),
        (*ASKED, NotFound),
        ("If-None-Match",),
    ),
    Route(
        "retrySaga",
        "POST /api/sagas/{sagaId}/retry",
        "Retry a saga that is FAILED, or see what that would change",
        "admin",
        OPERATED,
        CHANGING,
        CONDITIONAL,
        bodies.OperateBody,
        {"reason": "The payment service is back"},
    ),
    Route(
        "compensateSaga",
        "POST /api/sagas/{sagaId}/compensate",
        "Compensate a saga that can still be undone, or see what that would change",
        "admin",
        OPERATED,
        CHANGING,
        CONDITIONAL,
        bodies.OperateBody,
        {"dryRun": True},
    ),
    Route(
        "listDeadLetters",
        "GET /api/dead-letters",
        "List records that could not be taken, newest first",
        "admin",
        {200: Success("One page.", (DEAD_LETTER_CURSOR_PAGE,), ("dead-letter-page",))},
        (*ASKED, Invalid),
        ("errorClass", "deadLetterOrderId", "deadLetterSagaId", "topic", "redriven", "dismissed", "cursor", "limit"),
    ),
    Route(
        "readDeadLetter",
        "GET /api/dead-letters/{deadLetterId}",
        "Read a record that could not be taken, to the byte",
        "admin",
        {200: Success("The dead letter.", (WHOLE_DEAD_LETTER,), ("dead-letter",))},
        (*ASKED, NotFound),
    ),
    Route(
        "redriveDeadLetter",
        "POST /api/dead-letters/{deadLetterId}/redrive",
        "Take a dead letter after all, or see what that would change",
        "admin",
        TAKEN,
        CHANGING,
        CONDITIONAL,
        bodies.OperateBody,
        {"dryRun": True},
    ),
    Route(
        "dismissDeadLetter",
        "POST /api/dead-letters/{deadLetterId}/dismiss",
        "Dismiss a dead letter that will never be taken, or see what that would change",
        "admin",
        DISMISSED,
        CHANGING,
        CONDITIONAL,
        bodies.DismissBody,
        {"reason": "The partner has settled it."},
        may_be_empty=False,
    ),
    Route(
        "readBoard",
        "GET /api/board",
        "Read what is under way and what the last hour was like",
        "admin",
        looked_at(Success("The board.", (BOARD,), ("board",))),
        ASKED,
        ("If-None-Match",),
    ),
    Route(
        "search",
        "GET /api/search",
        "Find what has an id, whatever it is the id of",
        "any role; finds what it may read",
        {200: Success("All that was found.", (SEARCH_RESULT,), ("found",))},
        (*ASKED, Invalid),
        ("q",),
    ),
    Route("health", "GET /health", "Is the code there", ANYONE, {200: Success("It runs.", (answers.ALIVE,), ("alive",))}),
    Route(
        "readiness",
        "GET /health/ready",
        "Can it work",
        ANYONE,
        {
            200: Success("Database and Kafka answer.", (answers.READINESS,), ("ready",)),
            503: Success("One of them doesn't, within two seconds.", (answers.READINESS,), ("not-ready",)),
        },
    ),
    Route("openapi", "GET /openapi.json", "This document", ANYONE, {200: Success("OpenAPI 3.1.", (answers.OPEN_API,))}),
    Route("asyncapi", "GET /asyncapi.json", "The messages on Kafka", ANYONE, {200: Success("AsyncAPI 3.0.", (answers.ASYNC_API,))}),
    Route("docs", "GET /docs", "This document, for people", ANYONE, {200: Success("A page.", media_types=("text/html",))}),
    Route("root", "GET /", "The way to the console", ANYONE, {303: Success("The console's page.", sure=("Location.console",))}),
    Route("console", "GET /console", "The console: the service for people", ANYONE, of_console("text/html"), parameters=("If-None-Match",)),
    Route(
        "consoleFile",
        "GET /console/{file}",
        "A file of the console",
        ANYONE,
        of_console("text/css", "text/javascript"),
        (NotFound,),
        ("If-None-Match",),
    ),
)
