"""What the history checker is given: the clients' log, and the tables and the topic as they were at the end."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

Document: TypeAlias = Mapping[str, Any]

CREATE, MOVE, READ, LIST, HISTORY = "create", "status", "read", "list", "history"
# The last part of a POST's path, and the sagas that may serve it.
SERVED_BY: Mapping[str, tuple[str, ...]] = {
    CREATE: ("create_order",),
    "accept": ("accept_order",),
    "cancel-acceptance": ("cancel_acceptance",),
    "cancel": ("cancel_order", "create_order"),
    "complete": ("complete_order",),
}
SUCCESSES = (200, 201, 202)
UNKNOWN_FROM = 500


@dataclass(frozen=True)
class Request:
    """One request as its client saw it. `start` and `end` are times of one clock, that of the process with the clients.

    `status` is None where the connection broke, or no answer came in time: it may have happened. `correlation_id` is the request's own.
    """

    client: str
    role: str
    method: str
    path: str
    correlation_id: str
    start: float
    end: float
    status: int | None
    body: Any = None
    key: str | None = None
    answer: Any = None
    replayed: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path} of {self.client} ({self.correlation_id})"

    @property
    def actor(self) -> str:
        """Who it is in the history."""
        return f"{self.role}:{self.client}"

    @property
    def kind(self) -> str:
        """What it asks for: one of the names above, or the last part of its path."""
        parts = self.path.partition("?")[0].strip("/").split("/")
        if len(parts) == 2:
            return CREATE if self.method == "POST" else LIST
        return READ if len(parts) == 3 else parts[3]

    @property
    def names(self) -> str | None:
        """The order that its path names."""
        parts = self.path.partition("?")[0].strip("/").split("/")
        return parts[2] if len(parts) > 2 else None

    @property
    def changes(self) -> bool:
        """Whether it asks for a change."""
        return self.method != "GET"

    @property
    def saga(self) -> Document | None:
        """The saga that the answer shows, be it a success or how the saga ended badly inside a wait."""
        return self.answer.get("saga") if isinstance(self.answer, dict) and self.changes else None

    @property
    def accepted(self) -> bool:
        """Whether the answer says that the change happened, or is under way, or began and ended badly."""
        return self.changes and (self.status in SUCCESSES or self.saga is not None)

    @property
    def unknown(self) -> bool:
        """Whether the client can't know what has happened: no answer, or one of 5xx that shows no saga."""
        return self.changes and self.saga is None and (self.status is None or self.status >= UNKNOWN_FROM)

    @property
    def refused(self) -> bool:
        """Whether the answer says that nothing has happened."""
        return self.changes and not self.accepted and not self.unknown

    @property
    def shown(self) -> Sequence[Document]:
        """The orders that its answer shows."""
        if not isinstance(self.answer, dict):
            return ()
        if self.kind == LIST:
            return list(self.answer.get("items", ()))
        order = self.answer if "orderStatus" in self.answer else self.answer.get("order")
        return [order] if order else ()


@dataclass(frozen=True)
class Order:
    """An order at the end: as the API shows it, and its history as the API shows that."""

    document: Document
    history: Sequence[Document]

    @property
    def version(self) -> int:
        return int(self.document["version"])


@dataclass(frozen=True)
class Saga:
    """A saga at the end. `runner_id`: for whom it accepts."""

    saga_id: str
    order_id: str
    name: str
    status: str
    correlation_id: str
    runner_id: str | None = None


@dataclass(frozen=True)
class Key:
    """An idempotency key that is kept, and the answer kept for it."""

    client: str
    key: str
    status: int
    answer: Any


@dataclass(frozen=True)
class Event:
    """A record of `order-events`."""

    order_id: str
    sequence: int
    type: str
    data: Document
    correlation_id: str | None = None


@dataclass(frozen=True)
class Payment:
    """A row of the simulated partners' books."""

    payment_id: str
    order_id: str
    amount: Decimal
    status: str


@dataclass(frozen=True)
class Hold:
    """A row of the simulated partners' books."""

    escrow_id: str
    order_id: str
    amount: Decimal
    status: str
    runner_id: str | None


@dataclass(frozen=True)
class Run:
    """Everything about one run.

    `readings`: what readers of `order-events` were given, the first from the first record on, each later one from the oldest that was left.
    `may_lose`: a broker that keeps its end in memory was killed, so that events may be missing. `books`: whether the partners' were read.
    """

    requests: Sequence[Request]
    orders: Mapping[str, Order]
    sagas: Mapping[str, Saga]
    keys: Sequence[Key] = ()
    readings: Sequence[Sequence[Event]] = ()
    payments: Sequence[Payment] = ()
    holds: Sequence[Hold] = ()
    may_lose: bool = False
    books: bool = True

    @property
    def events(self) -> Iterable[Event]:
        """All that the readings have, repeats as well."""
        return (event for reading in self.readings for event in reading)

    @cached_property
    def told(self) -> Set[tuple[str, int]]:
        """Which version of which order there is an event of."""
        return {(event.order_id, event.sequence) for event in self.events}

    @cached_property
    def started_by(self) -> Mapping[str, Sequence[Saga]]:
        """The sagas that requests started, by the request's correlation id."""
        found: dict[str, list[Saga]] = {}
        for saga in self.sagas.values():
            found.setdefault(saga.correlation_id, []).append(saga)
        return found

    @cached_property
    def attempts(self) -> Mapping[tuple[str, str], Sequence[Request]]:
        """The requests with an idempotency key, by client and key."""
        found: dict[tuple[str, str], list[Request]] = {}
        for request in self.requests:
            if request.key:
                found.setdefault((request.client, request.key), []).append(request)
        return found


class Finding(NamedTuple):
    """Something impossible: which rule it breaks, of which order, and how."""

    rule: str
    order_id: str | None
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: order {self.order_id or '(none)'}: {self.detail}"


Found: TypeAlias = Iterable[tuple[str | None, str]]


@dataclass(frozen=True)
class Rule:
    """One thing that holds of every possible run; `title` says it, `check` yields an order and a sentence where it does not."""

    name: str
    title: str
    check: Callable[[Run], Found]
