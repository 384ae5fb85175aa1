"""Who may see an order, and whose it is. Roles add up; a role says which routes, ownership says which orders."""

from dataclasses import dataclass

from chalicelib.errors import Forbidden, NotFound
from chalicelib.orders.order import Order, OrderStatus


@dataclass(frozen=True)
class Viewer:
    """Whoever asks: the token's subject and roles."""

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


def seen(order: Order | None, viewer: Viewer) -> Order:
    """The order, if `viewer` may see it; raises NotFound, which does not tell whether there is one."""
    if order is None or not viewer.may_see(customer_id=order.customer_id, runner_id=order.runner_id, status=order.order_status):
        raise NotFound("there is no such order")
    return order


def changeable(order: Order | None, viewer: Viewer, *, by_owner: bool = False, by_runner: bool = False) -> Order:
    """The order, if it is `viewer`'s to change; raises NotFound where it can't be seen, Forbidden where it is somebody else's."""
    known = seen(order, viewer)
    if viewer.is_admin or (by_owner and viewer.owns(known.customer_id)) or (by_runner and viewer.runs(known.runner_id)):
        return known
    raise Forbidden("the order is not yours to change")
