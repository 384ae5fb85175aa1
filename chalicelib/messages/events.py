"""What we say of every order, one event a version: past tense, one class an event, its wire name beside it."""

from typing import Any

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from chalicelib.messages import topics
from chalicelib.messages.wire import Wire


class OrderEvent(Wire):
    """What moved with this version, and the whole order as it is now. `from` and `payment_from` are None for a new order."""

    model_config = ConfigDict(alias_generator=lambda name: to_camel(name.removesuffix("_")))

    TOPIC = topics.ORDER_EVENTS
    from_: str | None
    to: str
    payment_from: str | None
    payment_to: str
    order: dict[str, Any]

    @property
    def sequence(self) -> int:
        """The order's version."""
        return int(self.order["version"])

    def data(self) -> dict[str, Any]:
        """The JSON object that goes on the wire: what is None is null, as in the answers of the HTTP API."""
        return {name: getattr(self, field) for field, name in _NAMES}


# Read off once: to have pydantic look through a whole order costs more than all the rest of an event.
_NAMES = tuple((field, str(info.alias)) for field, info in OrderEvent.model_fields.items())


class OrderCreated(OrderEvent):
    """Version 1."""

    TYPE = "order.created"


class OrderStatusChanged(OrderEvent):
    """`orderStatus` moved, whatever else did."""

    TYPE = "order.status_changed"


class OrderPaymentStatusChanged(OrderEvent):
    """`paymentStatus` moved and `orderStatus` did not."""

    TYPE = "order.payment_status_changed"


class OrderUpdated(OrderEvent):
    """Neither status moved: the saga that holds the order, its runner, or nothing but the version."""

    TYPE = "order.updated"


EVENTS: dict[str, type[OrderEvent]] = {
    "order.created": OrderCreated,
    "order.status_changed": OrderStatusChanged,
    "order.payment_status_changed": OrderPaymentStatusChanged,
    "order.updated": OrderUpdated,
}
