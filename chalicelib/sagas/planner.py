"""What follows from an outcome: pure, the same for every saga. The engine does the I/O around it."""

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.messages.commands import Command, SendNotification
from chalicelib.messages.envelope import Outgoing, encode, timestamp
from chalicelib.messages.replies import Reply
from chalicelib.orders.order import Order
from chalicelib.sagas.definition import Definition, Exchange, Local, Moment, Notify, Step
from chalicelib.sagas.outcomes import Answered, CompensationRequested, Deferred, IdSource, Outcome, Retried, Started, TimedOut
from chalicelib.sagas.state import ErrorCode, Pending, Saga, SagaError, SagaStatus, StepState, StepStatus, Try
from chalicelib.sagas.verdict import recorded
from chalicelib.values import replace


@dataclass(frozen=True)
class Plan:
    """The next state of saga and order, and what is to be sent."""

    saga: Saga
    order: Order
    send: tuple[Outgoing, ...]


def plan(definition: Definition, saga: Saga, order: Order, outcome: Outcome, moment: Moment, ids: IdSource) -> Plan:
    """Say what follows from `outcome`. An Answered must have been judged TAKEN; only a saga that still goes forward can be compensated."""
    run = _Planning(definition, saga, order, outcome, moment, ids)
    match outcome:
        case Started():
            run.forward(None)
        case Answered(reply):
            run.answered(reply)
        case TimedOut():
            run.timed_out()
        case Deferred():
            run.defer()
        case CompensationRequested(error, data):
            if saga.ended or (saga.pending and saga.pending.undo):
                raise ValueError(f"saga {saga.saga_id} is {saga.status}: it can't be compensated")
            run.remember(**data)
            run.compensate(error)
        case Retried():
            run.retry()
    return run.result()


class _Planning:
    """One planning: the saga's parts unfolded, moved on, and folded up again."""

    def __init__(self, definition: Definition, saga: Saga, order: Order, outcome: Outcome, moment: Moment, ids: IdSource) -> None:
        self.definition, self.moment, self.policy, self.ids = definition, moment, moment.policy, ids
        self.before, self.order = saga, order
        self.status, self.error = saga.status, saga.error
        self.pending, self.due_at, self.ended_at = saga.pending, saga.due_at, saga.ended_at
        self.steps = {step.name: step for step in saga.steps}
        self.data = dict(saga.data)
        self.send: list[Outgoing] = []
        self.ids_taken = 0
        self.context = replace(saga.context, causation_id=_causation(outcome, ids), saga_id=str(saga.saga_id))

    def forward(self, after: str | None) -> None:
        """Go on with the steps behind `after` until one awaits a reply, or the saga is complete."""
        for step in self.definition.after(after):
            match step:
                case Step(name) if self.steps[name].status is StepStatus.DONE:
                    continue
                case Local(name, then):
                    self.order = then(self.order, self.data, self.moment)
                    self._pass(name, StepStatus.DONE)
                case Notify(name, notices):
                    self._notify(notices(self.order, self.data))
                    self._pass(name, StepStatus.DONE)
                case Step(name) if step.skip(self.order, self.data):
                    self._pass(name, StepStatus.SKIPPED)
                case Step():
                    self._ask(step, step.ask, undo=False)
                    return
        self._end(SagaStatus.COMPLETED)

    def answered(self, reply: Reply) -> None:
        """Settle the pending command by `reply` and go on in whichever direction it says."""
        pending, step = self._awaited()
        self._heal(pending)
        self._settle(pending, reply)
        if pending.undo:
            self._mark(step.name, StepStatus.COMPENSATED)
            self._undo_next()
        elif type(reply) is step.ask.refused:
            self._refused(step, SagaError(step.ask.code, _refusal(step, reply)))
        else:
            self.remember(**{name: getattr(reply, name) for name in step.keep})
            self.order = step.then(self.order, self.data, self.moment)
            self._mark(step.name, StepStatus.DONE)
            self.forward(step.name)

    def timed_out(self) -> None:
        """Send the pending command again, or conclude that the step timed out."""
        pending, step = self._awaited()
        if not self.policy.exhausted(pending.attempts):
            self._resend(pending)
        elif pending.undo or self.definition.past_pivot(self.steps.values()):
            self.status, self.due_at = SagaStatus.FAILED, None
            self.error = self.error or _timed_out(step, pending)
        else:
            self.compensate(_timed_out(step, pending))

    def defer(self) -> None:
        """Begin the pending command's wait anew, and count nothing."""
        pending, _ = self._awaited()
        self._await_copy(pending.attempts)

    def compensate(self, error: SagaError) -> None:
        """Compensate: undo, last first, all that was or may have been done."""
        self.status, self.error = SagaStatus.COMPENSATING, error
        for state in list(self.steps.values()):
            if state.status is StepStatus.PENDING:
                self.steps[state.name] = replace(state, status=StepStatus.SKIPPED)
        self._undo_next()

    def retry(self) -> None:
        """Go on with a suspended saga: the command that timed out once more, or a refused payout from its first step."""
        self.status = SagaStatus.COMPENSATING if self.pending and self.pending.undo else SagaStatus.RUNNING
        if self.status is SagaStatus.RUNNING:
            self.error = None
        if self.pending:
            self._resend(replace(self.pending, attempts=0))
            return
        first = next(step for step in self.definition.steps if isinstance(step, Step))
        self._ask(first, first.ask, undo=False)

    def remember(self, **data: str | None) -> None:
        self.data.update({name: value for name, value in data.items() if value is not None})

    def result(self) -> Plan:
        saga = replace(
            self.before,
            status=self.status,
            steps=tuple(self.steps.values()),
            data=self.data,
            error=self.error,
            pending=self.pending,
            due_at=self.due_at,
            ended_at=self.ended_at,
        )
        return Plan(saga, self.order, tuple(self.send))

    def _refused(self, step: Step, error: SagaError) -> None:
        """Compensate; past the pivot try again where the step allows it, and else wait for an operator."""
        self._mark(step.name, StepStatus.FAILED)
        if step.pivot or not self.definition.past_pivot(self.steps.values()):
            self.compensate(error)
            return
        refusals = sum(1 for attempt in self.steps[step.name].tries if attempt.reply and attempt.reply["type"] != step.ask.done.TYPE)
        if step.tries_again and refusals % self.policy.attempts:
            self._ask_later(step, refusals % self.policy.attempts)
            return
        self.status, self.error, self.pending, self.due_at = SagaStatus.FAILED, error, None, None

    def _undo_next(self) -> None:
        for step in reversed(self.definition.steps):
            if not isinstance(step, Step):
                continue
            status = self.steps[step.name].status
            if step.undo and (status in (StepStatus.DONE, StepStatus.RUNNING) or (step.undo_refused and status is StepStatus.FAILED)):
                self._ask(step, step.undo, undo=True)
                return
            if status is StepStatus.RUNNING:
                self._mark(step.name, StepStatus.FAILED)
        self._end(SagaStatus.COMPENSATED)

    def _end(self, status: SagaStatus) -> None:
        self.status, self.pending, self.due_at, self.ended_at = status, None, None, self.moment.now
        undone = self.definition.undone
        if status is SagaStatus.COMPENSATED and undone and self.error:
            self.order = undone.then(self.order, self.data, self.error, self.moment)
            self._notify(undone.notices(self.order, self.error))
        self.order = replace(self.order, active_saga_id=None)

    def _ask(self, step: Step, exchange: Exchange, *, undo: bool) -> None:
        message = self._prepare(step, exchange, undo=undo, attempts=1)
        self.send.append(message)
        self._await_copy(1)

    def _ask_later(self, step: Step, refusals: int) -> None:
        """Write a new try down now, and let its first copy go out when the wait after the last refusal is over."""
        self._prepare(step, step.ask, undo=False, attempts=0)
        self._await_copy(refusals)

    def _prepare(self, step: Step, exchange: Exchange, *, undo: bool, attempts: int) -> Outgoing:
        command_id, message = self._message(exchange.build(self.order, self.data))
        state = self.steps[step.name]
        self.pending = Pending(command_id, step.name, undo, attempts, message)
        self.steps[step.name] = replace(
            state,
            status=StepStatus.COMPENSATING if undo else StepStatus.RUNNING,
            attempts=attempts,
            command_id=command_id,
            started_at=state.started_at or timestamp(self.moment.now),
            ended_at=None,
            tries=(*state.tries, Try(command_id, undo)),
        )
        return message

    def _resend(self, pending: Pending) -> None:
        attempts = pending.attempts + 1
        self.pending = replace(pending, attempts=attempts)
        self.steps[pending.step] = replace(self.steps[pending.step], attempts=attempts)
        self.send.append(pending.message)
        self._await_copy(attempts)

    def _await_copy(self, attempt: int) -> None:
        self.due_at = self.moment.now + self.policy.wait(attempt, self.ids.jitter)

    def _notify(self, notices: Sequence[SendNotification]) -> None:
        self.send.extend(self._message(notice)[1] for notice in notices)

    def _message(self, command: Command) -> tuple[str, Outgoing]:
        self.ids_taken += 1
        command_id = self.ids.id(self.ids_taken)
        return command_id, encode(command, str(self.before.order_id), self.context, id=command_id, time=self.moment.now)

    def _awaited(self) -> tuple[Pending, Step]:
        if self.pending is None:
            raise ValueError(f"saga {self.before.saga_id} awaits nothing")
        return self.pending, self.definition.step_of(self.pending)

    def _heal(self, pending: Pending) -> None:
        """A late reply resumes a saga that was suspended because it timed out."""
        if self.status is not SagaStatus.FAILED:
            return
        self.status = SagaStatus.COMPENSATING if pending.undo else SagaStatus.RUNNING
        if self.status is SagaStatus.RUNNING:
            self.error = None

    def _settle(self, pending: Pending, reply: Reply) -> None:
        state = self.steps[pending.step]
        record = recorded(reply)
        tries = tuple(replace(attempt, reply=record) if attempt.command_id == pending.command_id else attempt for attempt in state.tries)
        self.steps[pending.step] = replace(state, tries=tries)

    def _mark(self, name: str, status: StepStatus) -> None:
        self.steps[name] = replace(self.steps[name], status=status, ended_at=timestamp(self.moment.now))

    def _pass(self, name: str, status: StepStatus) -> None:
        now = timestamp(self.moment.now)
        self.steps[name] = StepState(name, status, started_at=now, ended_at=now)


def _causation(outcome: Outcome, ids: IdSource) -> str | None:
    """A command answers the reply that led to it; the first one follows from the event of the saga's start."""
    match outcome:
        case Answered():
            return outcome.message_id
        case Started():
            return ids.id(0)
    return None


def _refusal(step: Step, reply: Reply) -> str:
    return f"{step.name} was refused: {getattr(reply, 'reason', 'no reason given')}"


def _timed_out(step: Step, pending: Pending) -> SagaError:
    return SagaError(ErrorCode.SILENT, f"{step.name} had no answer after {pending.attempts} attempts")
