"""Why a saga is where it is, and all that happened to an order: for people who look, with what they may do. Nothing here locks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.errors import NotFound
from chalicelib.fields import COUNT, ID, OBJECT, TEXT, TIME, Field, Table, each, maybe, part
from chalicelib.messaging.dead_letter_documents import DISMISSED_DEAD_LETTER
from chalicelib.messaging.dead_letter_queries import KeptDeadLetter, letters_about
from chalicelib.operations.actions import ACTION, Action, order_actions, saga_actions
from chalicelib.orders import store as order_store
from chalicelib.orders.access import Viewer
from chalicelib.orders.order import ORDER, Order
from chalicelib.orders.queries import HISTORY_ENTRY
from chalicelib.sagas import store as saga_store
from chalicelib.sagas.awaited import WAITS_FOR, WaitsFor, what_it_waits_for
from chalicelib.sagas.path import PATH_STEP, PathStep, path_of
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import SAGA, Saga
from chalicelib.sagas.waits import Unpublished, waits_for

# So many of an order's newest sagas, dead letters and waiting messages are shown.
MOST = 20

T = TypeVar("T")

# An order, found by its own id or one of its sagas', with all that belongs to it, seen at one moment.
ABOUT = sa.text(f"""
    SELECT CAST(json_build_object('now', clock_timestamp(), 'order', {order_store.AS_JSON},
        'history', (SELECT json_agg({bulk.json_object(order_store.HISTORY, "h")} ORDER BY h.version)
            FROM campusg.order_history h WHERE h.order_id = o.order_id),
        'sagas', (SELECT json_agg(json_build_object('saga', {saga_store.AS_JSON}, 'setbacks', s.setbacks) ORDER BY s.saga_id)
            FROM campusg.sagas s WHERE s.saga_id = ANY(ARRAY(SELECT CAST(:saga_id AS uuid) UNION (
                SELECT saga_id FROM campusg.sagas n WHERE n.order_id = o.order_id ORDER BY n.saga_id DESC LIMIT :most)))),
        'outbox', (SELECT json_agg(json_build_object('id', w.message_id, 'topic', w.topic, 'created_at', w.created_at,
                'failures', w.failures, 'not_before', w.not_before) ORDER BY w.id)
            FROM (SELECT * FROM campusg.outbox WHERE ordering_key = o.order_id ORDER BY id LIMIT :most) w)) AS text)
    FROM campusg.orders o WHERE o.order_id = coalesce(CAST(:order_id AS uuid), (
        SELECT order_id FROM campusg.sagas WHERE saga_id = CAST(:saga_id AS uuid)))""")  # noqa: S608 - literals of ours


@dataclass(frozen=True)
class Waiting:
    """A message in the outbox."""

    id: str
    topic: str
    created_at: datetime
    failures: int
    not_before: datetime | None


@dataclass(frozen=True)
class Explanation:
    """A saga, why it is where it is, and what may be done. What is None is for admins, or is said of the whole order."""

    saga: Saga
    sentence: str
    waits_for: WaitsFor | None
    path: Sequence[PathStep]
    actions: Sequence[Action]
    dead_letters: Sequence[KeptDeadLetter]
    data: Mapping[str, str] | None
    setbacks: int | None
    outbox: Sequence[Waiting] | None


@dataclass(frozen=True)
class Timeline:
    """An order and all that happened to it, oldest first."""

    order: Order
    history: Sequence[Any]
    sagas: Sequence[Explanation]
    dead_letters: Sequence[KeptDeadLetter]
    outbox: Sequence[Waiting] | None
    actions: Sequence[Action]


WAITING = Table(
    "WaitingMessage",
    "A message in the outbox.",
    (
        Field("messageId", "id", TEXT),
        Field("topic", "topic", TEXT),
        Field("createdAt", "created_at", TIME),
        Field("failures", "failures", COUNT, "How often the broker refused it."),
        Field("notBefore", "not_before", maybe(TIME), "When it is tried next, if it was put off."),
    ),
)
EXPLANATION = Table(
    "Explanation",
    "Why a saga is where it is.",
    (
        Field("saga", "saga", part(SAGA)),
        Field("orderId", "saga.order_id", ID),
        Field("correlationId", "saga.context.correlation_id", TEXT),
        Field("sentence", "sentence", TEXT, "What it waits for, or how it ended, in English."),
        Field("waitsFor", "waits_for", maybe(part(WAITS_FOR))),
        Field("path", "path", each(PATH_STEP)),
        Field("actions", "actions", each(ACTION), "What an operator may do to a saga, and whether that is open to the one who asks."),
        Field(
            "deadLetters",
            "dead_letters",
            each(DISMISSED_DEAD_LETTER),
            "Newest first; also those of its order without a saga. For admins.",
        ),
        Field("data", "data", OBJECT, "The saga's data. For admins.", optional=True),
        Field("setbacks", "setbacks", COUNT, "How often a sweep could not handle it. For admins.", optional=True),
        Field("outbox", "outbox", each(WAITING), "What waits to be published for its order. For admins, not in a timeline.", optional=True),
    ),
)
TIMELINE = Table(
    "Timeline",
    "All that happened to an order, and what may be done. Read together: one snapshot, but for dead letters.",
    (
        Field("order", "order", part(ORDER)),
        Field("history", "history", each(HISTORY_ENTRY, minItems=1), "Oldest first."),
        Field("sagas", "sagas", each(EXPLANATION, maxItems=MOST), "The newest, oldest first; none for who may not read sagas."),
        Field("deadLetters", "dead_letters", each(DISMISSED_DEAD_LETTER), "Newest first. For admins, else empty."),
        Field("outbox", "outbox", each(WAITING), "What waits to be published for the order. For admins.", optional=True),
        Field("actions", "actions", each(ACTION)),
    ),
)


def explain(session: sa.Connection, policy: RetryPolicy, viewer: Viewer, saga_id: UUID) -> Explanation:
    """Why a saga is where it is; raises NotFound where there is none that `viewer` may read."""
    about = read_about(session, policy, viewer, saga_id=saga_id)
    if about is None or not viewer.may_follow(about.order):
        raise NotFound("there is no such saga")
    return next(each for each in about.explanations() if each.saga.saga_id == saga_id)


def tell(session: sa.Connection, policy: RetryPolicy, viewer: Viewer, order_id: UUID) -> Timeline:
    """All that happened to an order; raises NotFound where there is none that `viewer` may see."""
    about = read_about(session, policy, viewer, order_id=order_id)
    if about is None or not viewer.sees(about.order):
        raise NotFound("there is no such order")
    return about.timeline()


@dataclass(frozen=True)
class About:
    """An order with all that belongs to it, as the viewer is told of it."""

    viewer: Viewer
    policy: RetryPolicy
    now: datetime
    order: Order
    sagas: Sequence[tuple[Saga, int]]
    history: Sequence[Any]
    waiting: Sequence[Waiting]
    letters: Sequence[KeptDeadLetter]

    def explanations(self) -> list[Explanation]:
        """Of each saga, oldest first."""
        return [self._explanation(saga, setbacks) for saga, setbacks in self.sagas]

    def timeline(self) -> Timeline:
        told = [replace(each, outbox=None) for each in self.explanations()] if self.viewer.may_follow(self.order) else []
        actions = order_actions(self.viewer, self.order, [saga for saga, _ in self.sagas], self.now)
        return Timeline(self.order, self.history, told, self.letters, self._for_admins(self.waiting), actions)

    def _explanation(self, saga: Saga, setbacks: int) -> Explanation:
        unpublished = self._unpublished(saga)
        whole = self.viewer.sees_messages
        return Explanation(
            saga=saga,
            sentence=waits_for(saga, self.now, self.policy, unpublished),
            waits_for=what_it_waits_for(saga, self.policy, unpublished, whole=whole),
            path=path_of(saga, self.order, whole=whole),
            actions=saga_actions(self.viewer, saga),
            dead_letters=[letter for letter in self.letters if letter.saga_id in (saga.saga_id, None)],
            data=self._for_admins(saga.data),
            setbacks=self._for_admins(setbacks),
            outbox=self._for_admins(self.waiting),
        )

    def _unpublished(self, saga: Saga) -> Unpublished | None:
        found = [row for row in self.waiting if saga.pending and row.id == saga.pending.command_id]
        return Unpublished(found[0].created_at, found[0].failures) if found else None

    def _for_admins(self, value: T) -> T | None:
        return value if self.viewer.sees_messages else None


def read_about(
    session: sa.Connection, policy: RetryPolicy, viewer: Viewer, *, order_id: UUID | None = None, saga_id: UUID | None = None
) -> About | None:
    """An order, found by its id or by a saga's, as `viewer` is told of it; None where there is none. Who may see it is not asked."""
    found = session.execute(ABOUT, {"order_id": order_id, "saga_id": saga_id, "most": MOST}).scalar_one_or_none()
    if found is None:
        return None
    about = bulk.from_json(found)
    order = order_store.order_of(about["order"])
    sagas = [(saga_store.saga_of(each["saga"]), each["setbacks"]) for each in about["sagas"] or ()]
    saga_ids = [saga.saga_id for saga, _ in sagas]
    return About(
        viewer=viewer,
        policy=policy,
        now=datetime.fromisoformat(about["now"]),
        order=order,
        sagas=sagas,
        history=[SimpleNamespace(**{**each, "at": datetime.fromisoformat(each["at"])}) for each in about["history"] or ()],
        waiting=[_waiting(each) for each in about["outbox"] or ()],
        letters=letters_about(session, order.order_id, saga_ids, MOST) if viewer.sees_messages else (),
    )


def _waiting(row: Mapping[str, Any]) -> Waiting:
    at, later = row["created_at"], row["not_before"]
    return Waiting(row["id"], row["topic"], datetime.fromisoformat(at), row["failures"], datetime.fromisoformat(later) if later else None)
