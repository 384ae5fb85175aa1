"""The sagas' rows. They are never locked: their order's row is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.messages.envelope import MessageContext, Outgoing
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
COLUMNS = ", ".join(f"s.{name}" for name in (*FIXED, *CHANGING))

READ = bulk.inlined(
    f"""
    SELECT clock.now, {COLUMNS}
    FROM (SELECT clock_timestamp() AS now) clock LEFT JOIN campusg.sagas s ON s.saga_id IN :saga_ids""",  # noqa: S608 - literals of ours
    saga_ids=sa.Uuid,
)
READ_LATEST = sa.text(f"""
    SELECT {COLUMNS} FROM campusg.sagas s
    WHERE s.order_id = :order_id AND (cardinality(CAST(:names AS text[])) = 0 OR s.name = ANY(CAST(:names AS text[])))
    ORDER BY s.saga_id DESC LIMIT 1""")  # noqa: S608 - names are literals of ours
INSERT = bulk.insert_statement("campusg.sagas", {**FIXED, **CHANGING})
UPDATE = bulk.update_statement("campusg.sagas", "saga_id", CHANGING)


def read_sagas(session: sa.Connection, saga_ids: Iterable[UUID]) -> tuple[datetime, dict[UUID, Saga]]:
    """Return the database's clock and the sagas; call it after their orders are locked, and once a transaction."""
    rows = session.execute(READ, {"saga_ids": list(saga_ids)}).mappings().all()
    return rows[0]["now"], {row["saga_id"]: from_row(row) for row in rows if row["saga_id"] is not None}


def read_latest(session: sa.Connection, order_id: UUID, names: Sequence[str] = ()) -> Saga | None:
    """The newest saga of an order, of one of these names if any are given; call it with the order locked."""
    row = session.execute(READ_LATEST, {"order_id": order_id, "names": list(names)}).mappings().one_or_none()
    return from_row(row) if row else None


def insert_sagas(session: sa.Connection, sagas: Sequence[Saga]) -> None:
    bulk.execute(session, INSERT, [_row(saga) for saga in sagas])


def update_sagas(session: sa.Connection, sagas: Sequence[Saga]) -> None:
    """Write what can change of sagas whose orders this transaction has locked."""
    bulk.execute(session, UPDATE, [_row(saga) for saga in sagas])


def from_row(row: Mapping[Any, Any]) -> Saga:
    """Build the saga from a row that has all of COLUMNS."""
    error, pending = row["error"], row["pending"]
    return Saga(
        saga_id=row["saga_id"],
        order_id=row["order_id"],
        name=row["name"],
        definition_version=row["definition_version"],
        status=SagaStatus(row["status"]),
        steps=tuple(_step(step) for step in row["steps"]),
        context=MessageContext(row["correlation_id"], traceparent=row["traceparent"]),
        started_at=row["started_at"],
        data=row["facts"],
        error=SagaError(ErrorCode(error["code"]), error["detail"]) if error else None,
        pending=_pending(pending) if pending else None,
        due_at=row["due_at"],
        ended_at=row["ended_at"],
    )


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
        "saga_id": str(saga.saga_id),
        "order_id": str(saga.order_id),
        "name": saga.name,
        "definition_version": saga.definition_version,
        "correlation_id": saga.context.correlation_id,
        "traceparent": saga.context.traceparent,
        "started_at": saga.started_at.isoformat(),
        "status": saga.status.value,
        "steps": [asdict(step) for step in saga.steps],
        "facts": dict(saga.data),
        "error": {"code": saga.error.code.value, "detail": saga.error.detail} if saga.error else None,
        "awaited_id": saga.pending.command_id if saga.pending else None,
        "pending": _stored_pending(saga.pending) if saga.pending else None,
        "due_at": saga.due_at.isoformat() if saga.due_at else None,
        "ended_at": saga.ended_at.isoformat() if saga.ended_at else None,
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
