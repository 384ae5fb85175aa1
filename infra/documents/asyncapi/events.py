"""The data of an order's events, for the document only; the order is the one that HTTP answers show."""

from chalicelib.fields import Field, Kind, Table, maybe, part
from chalicelib.orders.order import ORDER, OrderStatus, PaymentStatus

ORDER_MOVED = Table(
    "OrderMoved",
    "What moved with this version, and the whole order as it is now. `from` and `paymentFrom` are null for a new order.",
    (
        Field("from", "from_", maybe(Kind({"$ref": OrderStatus}))),
        Field("to", "to", Kind({"$ref": OrderStatus})),
        Field("paymentFrom", "payment_from", maybe(Kind({"$ref": PaymentStatus}))),
        Field("paymentTo", "payment_to", Kind({"$ref": PaymentStatus})),
        Field("order", "order", part(ORDER)),
    ),
)
