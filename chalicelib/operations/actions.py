"""What a viewer may do to an order or a saga now: asked of the functions that decide when the request comes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chalicelib.errors import Invalid, Refusal
from chalicelib.fields import BOOLEAN, OBJECT, TEXT, TEXTS, Field, Table, among, maybe
from chalicelib.operations import operate
from chalicelib.operations.accept import must_accept
from chalicelib.operations.call import Asking
from chalicelib.operations.cancel import must_cancel
from chalicelib.operations.complete import must_complete
from chalicelib.operations.give_back import must_give_back
from chalicelib.operations.move_status import BY_HAND, refuse_move
from chalicelib.orders.access import MAY_ASK, Viewer, refuse_without_role
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.state import Saga

# Stands for whatever reason an admin will give.
A_REASON = "to be given"


@dataclass(frozen=True)
class Action:
    """A request that changes something, whether it would be taken now, and if not, why.

    `body` is what is sent, with the fields of `asks` that a person gives; those in `required` they must. `needless`: it would be taken and
    change nothing, as a saga is at it, or it is done.
    """

    name: str
    path: str
    allowed: bool
    needless: bool = False
    reason: str | None = None
    method: str = "POST"
    body: Mapping[str, Any] | None = None
    asks: Sequence[str] = ()
    required: Sequence[str] = ()


ACTION = Table(
    "Action",
    "A request that changes something, and whether it would be taken now from the one who asks.",
    (
        Field("name", "name", among(*MAY_ASK)),
        Field("method", "method", among("POST", "PATCH")),
        Field("path", "path", TEXT, "Without a leading slash."),
        Field("allowed", "allowed", BOOLEAN),
        Field("needless", "needless", BOOLEAN, "It would be taken and change nothing: a saga is at it already, or it is done."),
        Field("reason", "reason", maybe(TEXT), "Why it would be refused."),
        Field("body", "body", maybe(OBJECT), "What is to be sent, without the fields of `asks`."),
        Field("asks", "asks", TEXTS, "Fields of the body that a person may give."),
        Field("required", "required", TEXTS, "Those among them that a person must give."),
    ),
)


def order_actions(viewer: Viewer, order: Order, sagas: Sequence[Saga], now: datetime) -> list[Action]:
    """What changes an order; `sagas` are its sagas, oldest first, with at least the newest and the one that holds it."""
    path = f"api/orders/{order.order_id}"
    asking = Asking(viewer)
    holder = next((saga for saga in sagas if saga.saga_id == order.active_saga_id), None)
    newest = sagas[-1] if sagas else None
    to = BY_HAND.get(order.order_status, OrderStatus.COLLECTED)
    taken_by = {"runnerId": viewer.sub}
    return [
        _action(
            viewer,
            Action("accept", f"{path}/accept", True, body=taken_by, asks=("runnerId",) if viewer.may_act_for_others else ()),
            lambda: must_accept(order, holder, viewer.sub, asking, now),
        ),
        _action(
            viewer,
            Action("cancel-acceptance", f"{path}/cancel-acceptance", True),
            lambda: must_give_back(order, holder, lambda: newest, asking),
        ),
        _cancel(viewer, Action("cancel", f"{path}/cancel", True, body={}, asks=("reason",)), order, holder),
        _action(viewer, Action("complete", f"{path}/complete", True), lambda: must_complete(order, holder, asking)),
        _action(
            viewer,
            Action("status", f"{path}/status", True, method="PATCH", body={"status": to.value}),
            lambda: _changes(lambda: refuse_move(order, holder, to, asking)),
        ),
    ]


def saga_actions(viewer: Viewer, saga: Saga) -> list[Action]:
    """What an operator may do to a saga."""
    checks: Mapping[str, Callable[[Saga], None]] = {"retry": operate.refuse_retry, "compensate": operate.refuse_compensation}
    return [
        _action(viewer, _on_saga(name, saga.saga_id), lambda check=check: _changes(lambda: check(saga)))  # type: ignore[misc]
        for name, check in checks.items()
    ]


def _on_saga(name: str, saga_id: UUID) -> Action:
    return Action(name, f"api/sagas/{saga_id}/{name}", True, body={}, asks=("reason",))


def _cancel(viewer: Viewer, action: Action, order: Order, holder: Saga | None) -> Action:
    """Whether a reason must be given is tried."""

    def check(reason: str | None) -> bool:
        return must_cancel(order, holder, reason, Asking(viewer))

    try:
        return _action(viewer, action, lambda: check(None))
    except Invalid:
        return replace(_action(viewer, action, lambda: check(A_REASON)), required=("reason",))


def _action(viewer: Viewer, action: Action, must: Callable[[], bool]) -> Action:
    """The action as it would be answered; raises Invalid where a field is missing."""
    try:
        refuse_without_role(viewer, MAY_ASK[action.name])
        return replace(action, needless=not must())
    except Invalid:
        raise
    except Refusal as refusal:
        return replace(action, allowed=False, reason=refusal.detail)


def _changes(refuse: Callable[[], None]) -> bool:
    """For what changes something whenever it is taken."""
    refuse()
    return True
