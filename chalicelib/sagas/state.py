"""A saga as data: what its row holds, and the JSON that the outside sees. No behaviour but reading and writing itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from chalicelib.messages.envelope import Outgoing, Trail, timestamp


class SagaStatus(StrEnum):
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    COMPENSATING = "COMPENSATING"
    COMPENSATED = "COMPENSATED"
    FAILED = "FAILED"


ENDED = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED})


class StepStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    COMPENSATING = "COMPENSATING"
    COMPENSATED = "COMPENSATED"
    SKIPPED = "SKIPPED"


class ErrorCode(StrEnum):
    DECLINED = "declined"
    REJECTED = "rejected"
    REFUSED = "refused"
    SILENT = "silent"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class SagaError:
    """Why a saga turned round or was parked; `detail` is a sentence for people."""

    code: ErrorCode
    detail: str


@dataclass(frozen=True)
class Try:
    """One command id of a step, for its action or its undo, and the reply that settled it, if one did."""

    command_id: str
    undo: bool
    reply: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class StepState:
    """Where one step stands. `attempts` counts the copies sent of its latest command."""

    name: str
    status: StepStatus = StepStatus.PENDING
    attempts: int = 0
    command_id: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    tries: tuple[Try, ...] = ()


@dataclass(frozen=True)
class Pending:
    """The command a saga rests on, whole, so that every resend has its id and its bytes."""

    command_id: str
    step: str
    undo: bool
    attempts: int
    message: Outgoing


@dataclass(frozen=True)
class Saga:
    """One run of a saga over an order. `due_at` is when the pending command has been waited for long enough."""

    saga_id: UUID
    order_id: UUID
    name: str
    definition_version: int
    status: SagaStatus
    steps: tuple[StepState, ...]
    trail: Trail
    started_at: datetime
    facts: Mapping[str, str] = field(default_factory=dict)
    error: SagaError | None = None
    pending: Pending | None = None
    due_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def turned(self) -> bool:
        """Whether the saga is undoing its work, or is parked while doing so."""
        parked_undoing = self.status is SagaStatus.FAILED and self.pending is not None and self.pending.undo
        return self.status is SagaStatus.COMPENSATING or parked_undoing

    @property
    def current_step(self) -> str | None:
        """The step that a saga not yet ended is at: the one awaited, or the one whose refusal parked it."""
        if self.ended:
            return None
        if self.pending:
            return self.pending.step
        return next((step.name for step in self.steps if step.status is StepStatus.FAILED), None)

    def step(self, name: str) -> StepState:
        return next(step for step in self.steps if step.name == name)


def document(saga: Saga) -> dict[str, Any]:
    """The saga as HTTP answers show it."""
    return {
        "sagaId": str(saga.saga_id),
        "name": saga.name,
        "definitionVersion": saga.definition_version,
        "orderId": str(saga.order_id),
        "status": saga.status.value,
        "currentStep": saga.current_step,
        "error": {"code": saga.error.code.value, "detail": saga.error.detail} if saga.error else None,
        "steps": [
            {
                "name": step.name,
                "status": step.status.value,
                "attempts": step.attempts,
                "commandId": step.command_id,
                "startedAt": step.started_at,
                "endedAt": step.ended_at,
            }
            for step in saga.steps
        ],
        "startedAt": timestamp(saga.started_at),
        "endedAt": timestamp(saga.ended_at) if saga.ended_at else None,
    }
