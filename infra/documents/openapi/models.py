"""What answers look like, for the document only: the answers themselves are made by the `document` functions of orders and sagas.

Fields that a release adds are no break of the contract, so the schemas allow further ones; the tests hold that today there are none.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from chalicelib.entrypoints.bodies import PERSON_ID
from chalicelib.orders.order import OrderStatus, PaymentStatus
from chalicelib.sagas.state import ErrorCode, SagaStatus, StepStatus

TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"
UUID_TEXT = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
ACTOR = r"^((customer|runner|admin):[A-Za-z0-9_.:@|-]{1,64}|partner:(user|payment|escrow)|system)$"

Id = Annotated[str, StringConstraints(pattern=UUID_TEXT), Field(json_schema_extra={"format": "uuid"})]
Time = Annotated[str, StringConstraints(pattern=TIME), Field(json_schema_extra={"format": "date-time"}, description="UTC, RFC 3339.")]
Money = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,4}\.[0-9]{2}$")]
Person = Annotated[str, StringConstraints(pattern=PERSON_ID)]
Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]
Count = Annotated[int, Field(strict=True, ge=0)]
Limit = Annotated[int, Field(strict=True, ge=1, le=100)]
Cursor = Annotated[str | None, Field(description="What `cursor` is for the next page; null on the last one.")]
# A saga of an older release keeps its name and the names of its steps, so neither is a closed list.
Name = Annotated[str, Field(min_length=1)]
EventType: TypeAlias = Literal["order.created", "order.status_changed", "order.payment_status_changed", "order.updated"]
Health: TypeAlias = Literal["ok", "unavailable"]


class Document(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class FoodItem(Document):
    name: str
    price: Money
    quantity: Annotated[int, Field(strict=True, ge=1, le=99)]


class Order(Document):
    """One food order. Each `…At` is set by the outcome that enters the status."""

    order_id: Id
    customer_id: Person
    runner_id: Person | None
    food_items: Annotated[list[FoodItem], Field(min_length=1, max_length=50)]
    store_location: str
    delivery_location: str
    food_fee: Money
    delivery_fee: Money
    total: Money
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), Field(description="ISO 4217.")]
    order_status: OrderStatus
    payment_status: PaymentStatus
    payment_id: str | None
    escrow_id: str | None
    accept_by: Time | None
    active_saga_id: Annotated[Id | None, Field(description="The saga that holds the order; while it is set, other changes are refused.")]
    cancel_reason: str | None
    created_at: Time
    updated_at: Time
    accepted_at: Time | None
    collected_at: Time | None
    on_the_way_at: Time | None
    delivered_at: Time | None
    completed_at: Time | None
    cancelled_at: Time | None
    version: Annotated[int, Field(strict=True, ge=1, description="Raised by one with every change; the entity tag.")]


class SagaError(Document):
    code: ErrorCode
    detail: str


class Step(Document):
    name: Name
    status: StepStatus
    attempts: Count
    command_id: str | None
    started_at: Time | None
    ended_at: Time | None


class Saga(Document):
    """One run of a saga over an order."""

    saga_id: Id
    name: Name
    definition_version: Annotated[int, Field(strict=True, ge=1)]
    order_id: Id
    status: SagaStatus
    current_step: Annotated[str | None, Field(description="Null when the saga has ended.")]
    error: SagaError | None
    steps: list[Step]
    started_at: Time
    ended_at: Time | None


class OrderWithSaga(Document):
    """Read together: one snapshot."""

    order: Order
    saga: Saga


class OrderPage(Document):
    """The answer to `page` and `limit`."""

    items: list[Order]
    total: Count
    page: Annotated[int, Field(strict=True, ge=1)]
    pages: Count
    limit: Limit


class OrderCursorPage(Document):
    """The answer to `cursor` and `limit`."""

    items: list[Order]
    limit: Limit
    next_cursor: Cursor


class SagaCursorPage(Document):
    items: list[Saga]
    limit: Limit
    next_cursor: Cursor


class DeadLetter(Document):
    """A record that could not be taken, and why."""

    dead_letter_id: Id
    topic: str
    partition: Count
    offset: Count
    type: Annotated[str | None, Field(description="Its `ce_type`, where that much is known.")]
    order_id: Id | None
    saga_id: Id | None
    error: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*: "), Field(description="The error's class and text.")]
    delivery_count: Annotated[int, Field(strict=True, ge=1, description="How often it was tried.")]
    at: Time
    redriven_at: Time | None
    dismissed_at: Time | None


class DismissedDeadLetter(DeadLetter):
    """With who dismissed it, and why, where anybody has."""

    dismissed_by: Annotated[str, StringConstraints(pattern=ACTOR)] | None
    dismiss_reason: str | None


class WholeDeadLetter(DismissedDeadLetter):
    """With the record as it came. Header names that PostgreSQL can't hold are mended.

    A part that would make the answer larger than Lambda's 6 MB is null, and its size is given.
    """

    key: Base64 | None
    value: Base64 | None
    headers: list[Annotated[list[str], Field(min_length=2, max_length=2, description="A name, and a value in base64.")]] | None
    value_text: Annotated[str | None, Field(description="The value as text, where it is UTF-8: at most 64 KiB of it.")] = None
    value_text_truncated: Annotated[bool, Field(description="Whether the value goes on behind its text.")] = False
    value_omitted: Annotated[int | None, Field(ge=1, description="The size of a value that doesn't fit, in bytes.")] = None
    headers_omitted: Annotated[int | None, Field(ge=1, description="The size of headers that don't fit, in bytes.")] = None
    key_omitted: Annotated[int | None, Field(ge=1, description="The size of a key that doesn't fit, in bytes.")] = None


class DeadLetterCursorPage(Document):
    items: list[DeadLetter]
    limit: Limit
    next_cursor: Cursor


class Difference(Document):
    """One place that differs. A saga or a message that begins by it differs as a whole."""

    what: Literal["order", "saga", "message"]
    id: str
    pointer: Annotated[str, Field(description="A JSON pointer (RFC 6901) into the order or saga, as HTTP answers show it.")]
    from_: Annotated[Any, Field(alias="from")]
    to: Any


class Redriven(Document):
    """What taking a dead letter changed, or would change. The order and the saga it concerned come where it was really taken."""

    dead_letter: DeadLetter
    outcome: Literal["taken", "rehearsed"]
    changes: Annotated[list[Difference], Field(min_length=1)]
    order: Order | None = None
    saga: Saga | None = None


class HistoryEntry(Document):
    """What one outcome changed; an entry without any other change raises the version too."""

    version: Annotated[int, Field(strict=True, ge=1)]
    at: Time
    event: EventType
    from_: Annotated[OrderStatus | None, Field(alias="from")]
    to: OrderStatus
    payment_from: PaymentStatus | None
    payment_to: PaymentStatus
    actor: Annotated[str, StringConstraints(pattern=ACTOR)]
    saga_id: Id | None
    detail: dict[str, Any]


class History(Document):
    """Oldest first."""

    items: Annotated[list[HistoryEntry], Field(min_length=1)]


class Alive(Document):
    status: Literal["ok"]
    version: str


class Dependency(Document):
    status: Health
    milliseconds: Annotated[float, Field(ge=0)] | None = None
    detail: str | None = None


class Readiness(Document):
    status: Health
    dependencies: dict[Literal["database", "kafka"], Dependency]


class OpenApi(Document):
    """See the OpenAPI specification, version 3.1."""

    openapi: Annotated[str, StringConstraints(pattern=r"^3\.1\.[0-9]+$")]
    info: dict[str, Any]
    paths: dict[str, Any]


class AsyncApi(Document):
    """See the AsyncAPI specification, version 3.0."""

    asyncapi: Annotated[str, StringConstraints(pattern=r"^3\.0\.[0-9]+$")]
    info: dict[str, Any]
    channels: dict[str, Any]
    operations: dict[str, Any]


class WrongField(Document):
    pointer: Annotated[str, Field(description="A JSON pointer (RFC 6901) into the body, or the name of a query parameter.")]
    detail: str


class Problem(Document):
    """RFC 9457. `order` and `saga` come with a saga that ended badly inside `Prefer: wait`."""

    type: Annotated[str, StringConstraints(pattern=r"^/problems/[a-z-]+$")]
    title: str
    status: Annotated[int, Field(strict=True, ge=400, le=599)]
    detail: str
    instance: Annotated[str, Field(description="The path that was asked for.")]
    correlation_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:@|-]{1,128}$")]
    errors: Annotated[list[WrongField], Field(min_length=1)] | None = None
    order: Order | None = None
    saga: Saga | None = None


ANSWERS: tuple[type[Document], ...] = (
    *(OrderWithSaga, OrderPage, OrderCursorPage, Order, History),
    *(Saga, SagaCursorPage, DeadLetterCursorPage, WholeDeadLetter, DismissedDeadLetter, Redriven),
    *(Alive, Readiness, Problem, OpenApi, AsyncApi),
)
