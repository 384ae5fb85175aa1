"""A saga as data: what its row holds, and the JSON that the outside sees. No behaviour but reading and writing itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from chalicelib.fields import COUNT, ID, MOMENT, NAME, NUMBER, TEXT, TIME, Field, Table, each, maybe, one_of, part
from chalicelib.messages.envelope import MessageContext, Outgoing
from chalicelib.orders.order import ORDER


class SagaStatus(StrEnum):
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    COMPENSATING = "COMPENSATING"
    COMPENSATED = "COMPENSATED"
    FAILED = "FAILED"


ENDED = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED})
# No reply is expected to move these on: ended, or suspended.
RESTING = ENDED | {SagaStatus.FAILED}


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
    """Why a saga compensated or was suspended; `detail` is a sentence for people."""

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
    context: MessageContext
    started_at: datetime
    data: Mapping[str, str] = field(default_factory=dict)
    error: SagaError | None = None
    pending: Pending | None = None
    due_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def compensating(self) -> bool:
        """Whether the saga is undoing its work, or is suspended while doing so."""
        suspended_undoing = self.status is SagaStatus.FAILED and self.pending is not None and self.pending.undo
        return self.status is SagaStatus.COMPENSATING or suspended_undoing

    @property
    def current_step(self) -> str | None:
        """The step that a saga not yet ended is at: the one awaited, or the one whose refusal suspended it."""
        if self.ended:
            return None
        if self.pending:
            return self.pending.step
        return next((step.name for step in self.steps if step.status is StepStatus.FAILED), None)

    def step(self, name: str) -> StepState:
        return next(step for step in self.steps if step.name == name)


SAGA_ERROR = Table("SagaError", "", (Field("code", "code", one_of(ErrorCode)), Field("detail", "detail", TEXT)))
# A saga of an older release keeps its name and the names of its steps, so neither is a closed list.
STEP = Table(
    "Step",
    "",
    (
        Field("name", "name", NAME),
        Field("status", "status", one_of(StepStatus)),
        Field("attempts", "attempts", COUNT),
        Field("commandId", "command_id", maybe(TEXT)),
        Field("startedAt", "started_at", maybe(MOMENT)),
        Field("endedAt", "ended_at", maybe(MOMENT)),
    ),
)
# As HTTP answers show a saga.
SAGA = Table(
    "Saga",
    "One run of a saga over an order.",
    (
        Field("sagaId", "saga_id", ID),
        Field("name", "name", NAME),
        Field("definitionVersion", "definition_version", NUMBER),
        Field("orderId", "order_id", ID),
        Field("status", "status", one_of(SagaStatus)),
        Field("currentStep", "current_step", maybe(TEXT), "Null when the saga has ended."),
        Field("error", "error", maybe(part(SAGA_ERROR))),
        Field("steps", "steps", each(STEP)),
        Field("startedAt", "started_at", TIME),
        Field("endedAt", "ended_at", maybe(TIME)),
    ),
)
ORDER_WITH_SAGA = Table(
    "OrderWithSaga", "Read together: one snapshot.", (Field("order", "order", part(ORDER)), Field("saga", "saga", part(SAGA)))
)
