"""What must hold, written once more from the contract: of each transaction, and of each state that is reached.

Each rule is a generator of sentences; a sentence says what is wrong.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from chalicelib.messages.envelope import from_json
from chalicelib.messages.topics import ORDER_EVENTS
from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.definition import Step
from chalicelib.sagas.registry import DEFINITIONS
from chalicelib.sagas.state import Saga, SagaStatus
from tests.support.books import disagreements
from tests.support.examples import NOW
from tests.support.memory_tables import Tables
from tests.support.saga_language import header

if TYPE_CHECKING:
    from tests.explorer.partners import Partners
    from tests.explorer.service import Service

ENDS = (OrderStatus.COMPLETED, OrderStatus.CANCELLED, OrderStatus.TIMED_OUT)


def broken_by(before: "Service | None", after: "Service", tables: Tables) -> Iterator[str]:
    """What is wrong with a transaction."""
    yield from _versions(before, after, tables)
    yield from (
        f"{letter.type} becomes a dead letter: {letter.error}"
        for letter in tables.dead_letters_kept
        if not _is_for_people(letter.error_class)
    )
    if before:
        yield from _copies(before, tables)
        yield from _what_is_settled(before, after)
        if None not in (before.order.runner_id, after.order.runner_id) and before.order.runner_id != after.order.runner_id:
            yield f"the order goes from {before.order.runner_id} to {after.order.runner_id}"


def _is_for_people(error_class: str) -> bool:
    return error_class == "AuthorizationExpired"


def _versions(before: "Service | None", after: "Service", tables: Tables) -> Iterator[str]:
    """One change of an order is one version, one entry of its history and one event."""
    was = before.order.version if before else 0
    versions = list(range(was + 1, after.order.version + 1))
    events = [message for message in tables.sent if message.topic == ORDER_EVENTS]
    if before and before.order != after.order and not versions:
        yield "the order changes and keeps its version"
    if len(versions) > 1:
        yield f"one transaction makes {len(versions)} versions of one outcome"
    if [version for _, version in tables.history] != versions:
        yield "a version has no entry in the history, or an entry no version"
    if [int(header(event, "ce_sequence")) for event in events] != versions:
        yield "a version has no event, or an event no version"
    if events and from_json(events[-1].value or b"")["order"]["orderStatus"] != after.order.order_status:
        yield "the event tells another status"


def _copies(before: "Service", tables: Tables) -> Iterator[str]:
    first = {command.id: command.message for command in before.sent}
    for message in tables.sent:
        if first.get(header(message, "ce_id"), message) != message:
            yield f"{header(message, 'ce_type')} is sent again with other bytes"


def _what_is_settled(before: "Service", after: "Service") -> Iterator[str]:
    """An ended saga stays as it is, a settled command keeps its reply."""
    now = {saga.saga_id: saga for saga in after.sagas}
    for saga in before.sagas:
        if now[saga.saga_id] is saga:
            continue
        if saga.ended:
            yield f"{saga.name} has ended and changes"
        replies = {each.command_id: each.reply for step in now[saga.saga_id].steps for each in step.tries}
        for step in saga.steps:
            for each in step.tries:
                if each.reply and replies.get(each.command_id) != each.reply:
                    yield f"{step.name} of {saga.name} was settled and is settled anew"


def broken_in(service: "Service", partners: "Partners") -> Iterator[str]:
    """What is wrong in a state."""
    yield from _hold(service)
    for saga in service.sagas:
        yield from _rest(saga)
        yield from _told_by_partners(saga, partners)
        yield from _undone_last_first(saga)
    yield from _money(service, partners)
    if not service.order.active_saga_id:
        yield from disagreements(service.order, partners.account)


def _hold(service: "Service") -> Iterator[str]:
    order = service.order
    unended = [saga for saga in service.sagas if not saga.ended]
    if [saga.saga_id for saga in unended] != ([order.active_saga_id] if order.active_saga_id else []):
        yield f"the order is held by {service.holder.name if service.holder else 'nobody'}; not ended: {[saga.name for saga in unended]}"
    if order.order_status in ENDS and order.active_saga_id:
        yield f"the order is {order.order_status} and still held"
    if order.order_status is OrderStatus.READY_FOR_PICKUP and order.accept_by is None:
        yield "the order is open without a time to accept it by"


def _rest(saga: Saga) -> Iterator[str]:
    """A saga that has not ended rests on a command with a deadline, or is suspended."""
    if saga.ended:
        return
    suspended = saga.status is SagaStatus.FAILED
    if not saga.pending and not suspended:
        yield f"{saga.name} waits for nothing and has not ended"
    if (saga.due_at is None) is not suspended:
        yield f"{saga.name} is {saga.status} {'without' if saga.due_at is None else 'with'} a deadline"
    if saga.pending and any(each.reply for step in saga.steps for each in step.tries if each.command_id == saga.pending.command_id):
        yield f"{saga.name} waits for {saga.pending.step}, which is settled"


def _told_by_partners(saga: Saga, partners: "Partners") -> Iterator[str]:
    for step in saga.steps:
        for each in step.tries:
            said = partners.answers.get(each.command_id)
            if each.reply and (said is None or each.reply["type"] != said.reply.TYPE):
                yield f"{step.name} of {saga.name} is settled by {each.reply['type']}, which nobody said to that command"


def _undone_last_first(saga: Saga) -> Iterator[str]:
    steps = [step.name for step in DEFINITIONS[saga.name, saga.definition_version].steps if isinstance(step, Step)]
    undone = sorted((int(each.command_id.replace("-", ""), 16), step.name) for step in saga.steps for each in step.tries if each.undo)
    for (_, earlier), (_, later) in pairwise(undone):
        if steps.index(earlier) < steps.index(later):
            yield f"{saga.name} undoes {earlier} before {later}"


def _money(service: "Service", partners: "Partners") -> Iterator[str]:
    order, account = service.order, partners.account
    if len(account.payments) > 1:
        yield "the customer's money is authorized twice"
    if len(account.holds) > 1:
        yield "the money is held twice"
    amounts = [payment.amount for payment in account.payments] + [hold.amount for hold in account.holds]
    yield from (f"{amount} is not the order's total" for amount in amounts if amount != order.total)
    captured = any(payment.status == "CAPTURED" for payment in account.payments)
    for hold in account.holds:
        if hold.status == "RELEASED" and not captured:
            yield "the runner is paid before the customer has paid"
        if hold.status == "RELEASED" and hold.runner_id != order.runner_id:
            yield f"{hold.runner_id} is paid and {order.runner_id} is the order's runner"


def wrongly_taken(before: "Service", after: "Service", command_id: str) -> str | None:
    """What is wrong with how a reply was taken: one that is awaited moves its saga on, any other changes nothing."""
    awaited = before.awaits(command_id)
    if awaited and after is before:
        return "the reply is awaited and changes nothing"
    return None if awaited or after is before else "the reply is not awaited and changes something"


def wrongly_swept(before: "Service", after: "Service", command_id: str) -> str | None:
    """What is wrong with how a sweep acted: only what is still awaited and still due moves on."""
    due = before.holder is not None and before.holder.due_at is not None and before.holder.due_at <= NOW
    return None if (due and before.awaits(command_id)) or after is before else "the sweep acts on what is no longer due"
