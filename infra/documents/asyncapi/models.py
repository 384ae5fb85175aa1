"""What the data of an order event looks like, for the document only; the order is the one that HTTP answers show."""

from typing import Annotated

from pydantic import Field

from chalicelib.orders.order import OrderStatus, PaymentStatus
from infra.documents.openapi.models import Document, Order


class OrderMoved(Document):
    """What moved with this version, and the whole order as it is now. `from` and `paymentFrom` are null for a new order."""

    from_: Annotated[OrderStatus | None, Field(alias="from")]
    to: OrderStatus
    payment_from: PaymentStatus | None
    payment_to: PaymentStatus
    order: Order
