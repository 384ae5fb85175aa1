"""Who may see and change an order, and how its history names the actor.

Roles add up; a role says which routes, ownership says which orders. Nothing else asks for roles.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from chalicelib.errors import FieldError, Forbidden, Invalid, NotFound
from chalicelib.orders.order import Order, OrderStatus

ROLES = frozenset({"customer", "runner", "admin"})
# Whose roles may ask for what changes an order or a saga; none named: those of everybody.
MAY_ASK: Mapping[str, tuple[str, ...]] = {
    "accept": ("runner", "admin"),
    "cancel-acceptance": ("runner", "admin"),
    "cancel": ("customer", "admin"),
    "complete": (),
    "status": ("runner", "admin"),
    "retry": ("admin",),
    "compensate": ("admin",),
}
# The actor of scheduled work.
SYSTEM = "system"


@dataclass(frozen=True)
class Scope:
    """Orders that a list shows for one reason: a condition in SQL, with `:sub`, and their statuses.

    `owned`: somebody's own, so that they are found by an index however many there are of others.
    """

    condition: str
    statuses: frozenset[OrderStatus] = frozenset(OrderStatus)
    owned: bool = False


ALL = Scope("true")
# Each apart, as no index serves an OR. The open ones that a saga holds are about to be taken.
SCOPES: tuple[tuple[str, Scope], ...] = (
    ("customer", Scope("customer_id = :sub", owned=True)),
    ("runner", Scope("runner_id = :sub", owned=True)),
    ("runner", Scope("active_saga_id IS NULL", frozenset({OrderStatus.READY_FOR_PICKUP}))),
)


@dataclass(frozen=True)
class Viewer:
    """Whoever asks: the token's subject, and those of its roles that there are."""

    sub: str
    roles: frozenset[str]

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    def owns(self, customer_id: str) -> bool:
        return "customer" in self.roles and customer_id == self.sub

    def runs(self, runner_id: str | None) -> bool:
        return "runner" in self.roles and runner_id == self.sub

    def may_see(self, *, customer_id: str, runner_id: str | None, status: OrderStatus) -> bool:
        """An admin sees all, a customer their own orders, a runner open orders and their own."""
        seen_by_runners = "runner" in self.roles and status is OrderStatus.READY_FOR_PICKUP
        return self.is_admin or self.owns(customer_id) or self.runs(runner_id) or seen_by_runners

    def sees(self, order: Order) -> bool:
        """Whether the order is shown."""
        return self.may_see(customer_id=order.customer_id, runner_id=order.runner_id, status=order.order_status)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The orders that a list shows: those of each scope; some may be in several."""
        return (ALL,) if self.is_admin else tuple(scope for role, scope in SCOPES if role in self.roles)

    @property
    def may_cancel_on_its_way(self) -> bool:
        """Whether an order that its runner has collected may still be cancelled: by admins."""
        return self.is_admin

    @property
    def may_act_for_others(self) -> bool:
        """Whether a request may name another person: an admin's."""
        return self.is_admin

    @property
    def sees_messages(self) -> bool:
        """Whether what messages say, those that wait and those that could not be taken are shown: to admins."""
        return self.is_admin

    def may_give_back(self, runner_id: str | None) -> bool:
        """Whether an acceptance by that runner is theirs to give back."""
        return self.is_admin or self.runs(runner_id)

    def actor(self, *, customer_id: str | None = None, runner_id: str | None = None) -> str:
        """The actor of a change, as the history names it: the customer or runner named here, if that is this viewer, else an admin."""
        if customer_id is not None and self.owns(customer_id):
            return f"customer:{self.sub}"
        return f"runner:{self.sub}" if self.runs(runner_id) else f"admin:{self.sub}"

    def acting_as(self, order: Order) -> str:
        """The actor of a change of this order."""
        return self.actor(customer_id=order.customer_id, runner_id=order.runner_id)

    def may_follow(self, order: Order) -> bool:
        """Whether the order's sagas are shown: to its customer, to its runner, and to admins."""
        return self.is_admin or self.owns(order.customer_id) or self.runs(order.runner_id)


def partner(message_type: str) -> str:
    """The actor of changes that a partner's message causes."""
    return f"partner:{message_type.split('.', maxsplit=1)[0]}"


def admitted(sub: str, roles: Iterable[str], allowed: Collection[str]) -> Viewer:
    """Whoever has a token of that subject and these roles; raises Forbidden where none is among `allowed` (none given: any will do)."""
    viewer = Viewer(sub, ROLES.intersection(roles))
    refuse_without_role(viewer, allowed)
    return viewer


def refuse_without_role(viewer: Viewer, allowed: Collection[str]) -> None:
    """Raises Forbidden where none of the viewer's roles is among `allowed` (none given: any will do)."""
    if not viewer.roles & (frozenset(allowed) or ROLES):
        raise Forbidden("none of your roles may do this")


def acting_for(viewer: Viewer, person: str, field: str) -> str:
    """The person whom a request's `field` names, if it is the viewer or an admin asks; raises Forbidden."""
    if person != viewer.sub and not viewer.may_act_for_others:
        raise Forbidden(f"{field} names another person")
    return person


def ordering_for(viewer: Viewer, customer_id: str | None) -> str:
    """The customer of a new order, whom a customer need not name; raises Invalid, Forbidden."""
    if customer_id is None and "customer" not in viewer.roles:
        raise Invalid("customerId is missing", [FieldError(("customerId",), "is missing; an admin must say for whom the order is")])
    return acting_for(viewer, customer_id or viewer.sub, "customerId")


def seen(order: Order | None, viewer: Viewer) -> Order:
    """The order, if `viewer` may see it; raises NotFound, which does not tell whether there is one."""
    if order is None or not viewer.sees(order):
        raise NotFound("there is no such order")
    return order


def changeable(order: Order | None, viewer: Viewer, *, by_owner: bool = False, by_runner: bool = False) -> Order:
    """The order, if it is `viewer`'s to change; raises NotFound where it can't be seen, Forbidden where it is somebody else's."""
    known = seen(order, viewer)
    if viewer.is_admin or (by_owner and viewer.owns(known.customer_id)) or (by_runner and viewer.runs(known.runner_id)):
        return known
    raise Forbidden("the order is not yours to change")
