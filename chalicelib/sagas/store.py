"""The sagas' rows. They are never locked: their order's row is."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.db.connection import send_ahead
from chalicelib.messages.envelope import MessageContext, Outgoing
from chalicelib.orders.store import named
from chalicelib.sagas.state import ErrorCode, Pending, Saga, SagaError, SagaStatus, StepState, StepStatus, Try

FIXED: bulk.Columns = {
    "saga_id": "uuid",
    "order_id": "uuid",
    "name": "text",
    "definition_version": "integer",
    "correlation_id": "text",
    "traceparent": "text",
    "started_at": "timestamptz",
}
CHANGING: bulk.Columns = {
    "status": "text",
    "steps": "jsonb",
    "facts": "jsonb",
    "error": "jsonb",
    "awaited_id": "text",
    "pending": "jsonb",
    "due_at": "timestamptz",
    "ended_at": "timestamptz",
}
ALL: bulk.Columns = {**FIXED, **CHANGING}

# A saga as one JSON text, for statements that name the table `s`.
AS_JSON = bulk.json_object(ALL, "s")
# By arrays, which are looked up one by one in an index: of how many ids a query finds the planner has no idea.
READ = sa.text(f"""
    SELECT CAST(json_build_object('now', clock_timestamp(), 'sagas', (
        SELECT json_agg({AS_JSON}) FROM campusg.sagas s WHERE saga_id = ANY(ARRAY(
            SELECT unnest(CAST(:saga_ids AS uuid[]))
            UNION SELECT active_saga_id FROM campusg.orders WHERE order_id = ANY(ARRAY({named(":order_ids", ":saga_ids")})))))) AS text)""")  # noqa: S608 - literals of ours
READ_LATEST = sa.text(f"""
    SELECT CAST({AS_JSON} AS text) FROM campusg.sagas s
    WHERE s.order_id = :order_id AND (cardinality(CAST(:names AS text[])) = 0 OR s.name = ANY(CAST(:names AS text[])))
    ORDER BY s.saga_id DESC LIMIT 1""")  # noqa: S608 - names are literals of ours
# From `look_at` on the sweep looks at a saga: never later than its `due_at`, and left alone while that moves on. As no index has what
# changes at each step, PostgreSQL writes the new row beside the old one and into no index (HOT). At first it is half way, as the next
# step's wait may be a little shorter than this one's.
INSERT = bulk.insert_statement("campusg.sagas", {**ALL, "look_at": "timestamptz"})
UPDATE = bulk.update_statement("campusg.sagas", "saga_id", CHANGING, "look_at = least(t.look_at, r.due_at)")


def read_sagas(
    session: sa.Connection, *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()
) -> tuple[datetime, dict[UUID, Saga]]:
    """Return the database's clock, these sagas, and those that hold these orders or the orders of these sagas.

    Call it after the orders are locked, and once a transaction.
    """
    parameters = {"order_ids": bulk.array(order_ids), "saga_ids": bulk.array(saga_ids)}
    answer = bulk.from_json(session.execute(READ, parameters).scalar_one())
    sagas = [saga_of(fields) for fields in answer["sagas"] or ()]
    return datetime.fromisoformat(answer["now"]), {saga.saga_id: saga for saga in sagas}


def read_latest(session: sa.Connection, order_id: UUID, names: Sequence[str] = ()) -> Saga | None:
    """The newest saga of an order, of one of these names if any are given; call it with the order locked."""
    found = session.execute(READ_LATEST, {"order_id": order_id, "names": list(names)}).scalar_one_or_none()
    return saga_of(bulk.from_json(found)) if found else None


def insert_sagas(session: sa.Connection, sagas: Sequence[Saga]) -> None:
    if sagas:
        send_ahead(session, INSERT, bulk.to_json([{**_row(saga), "look_at": _half_way(saga)} for saga in sagas]))


def update_sagas(session: sa.Connection, sagas: Sequence[Saga]) -> None:
    """Write what can change of sagas whose orders this transaction has locked."""
    if sagas:
        send_ahead(session, UPDATE, bulk.to_json([_row(saga) for saga in sagas]))


def _half_way(saga: Saga) -> datetime | None:
    return saga.due_at and saga.started_at + (saga.due_at - saga.started_at) / 2


def saga_of(fields: Mapping[str, Any]) -> Saga:
    """The saga that AS_JSON describes."""
    error, pending = fields["error"], fields["pending"]
    return Saga(
        saga_id=UUID(fields["saga_id"]),
        order_id=UUID(fields["order_id"]),
        name=fields["name"],
        definition_version=fields["definition_version"],
        status=SagaStatus(fields["status"]),
        steps=tuple(_step(step) for step in fields["steps"]),
        context=MessageContext(fields["correlation_id"], traceparent=fields["traceparent"]),
        started_at=datetime.fromisoformat(fields["started_at"]),
        data=fields["facts"],
        error=SagaError(ErrorCode(error["code"]), error["detail"]) if error else None,
        pending=_pending(pending) if pending else None,
        due_at=_moment(fields["due_at"]),
        ended_at=_moment(fields["ended_at"]),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _step(stored: Mapping[str, Any]) -> StepState:
    return StepState(
        name=stored["name"],
        status=StepStatus(stored["status"]),
        attempts=stored["attempts"],
        command_id=stored["command_id"],
        started_at=stored["started_at"],
        ended_at=stored["ended_at"],
        tries=tuple(Try(attempt["command_id"], attempt["undo"], attempt["reply"]) for attempt in stored["tries"]),
    )


def _pending(stored: Mapping[str, Any]) -> Pending:
    message = stored["message"]
    outgoing = Outgoing(
        message["topic"],
        message["key"].encode(),
        message["value"].encode(),
        tuple((name, value.encode()) for name, value in message["headers"]),
    )
    return Pending(stored["command_id"], stored["step"], stored["undo"], stored["attempts"], outgoing)


def _row(saga: Saga) -> dict[str, Any]:
    return {
        "saga_id": saga.saga_id,
        "order_id": saga.order_id,
        "name": saga.name,
        "definition_version": saga.definition_version,
        "correlation_id": saga.context.correlation_id,
        "traceparent": saga.context.traceparent,
        "started_at": saga.started_at,
        "status": saga.status,
        "steps": saga.steps,
        "facts": saga.data,
        "error": saga.error,
        "awaited_id": saga.pending.command_id if saga.pending else None,
        "pending": _stored_pending(saga.pending) if saga.pending else None,
        "due_at": saga.due_at,
        "ended_at": saga.ended_at,
    }


def _stored_pending(pending: Pending) -> dict[str, Any]:
    message = pending.message
    return {
        "command_id": pending.command_id,
        "step": pending.step,
        "undo": pending.undo,
        "attempts": pending.attempts,
        "message": {
            "topic": message.topic,
            "key": (message.key or b"").decode(),
            "value": (message.value or b"").decode(),
            "headers": [[name, value.decode()] for name, value in message.headers],
        },
    }
