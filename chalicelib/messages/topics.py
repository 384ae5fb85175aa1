"""Every topic, Kafka trigger and schedule there is, as literals: the local stack and the deployment read the same ones."""

from dataclasses import dataclass
from typing import Literal

USER_COMMANDS = "user-commands"
USER_EVENTS = "user-events"
PAYMENT_COMMANDS = "payment-commands"
PAYMENT_EVENTS = "payment-events"
ESCROW_COMMANDS = "escrow-commands"
ESCROW_EVENTS = "escrow-events"
NOTIFICATION_COMMANDS = "notification-commands"
ORDER_EVENTS = "order-events"
ORDERS_DLQ = "orders-dlq"

PARTITIONS: dict[str, int] = {
    USER_COMMANDS: 3,
    USER_EVENTS: 3,
    PAYMENT_COMMANDS: 3,
    PAYMENT_EVENTS: 3,
    ESCROW_COMMANDS: 3,
    ESCROW_EVENTS: 3,
    NOTIFICATION_COMMANDS: 3,
    ORDER_EVENTS: 3,
    ORDERS_DLQ: 1,
}

# Lambda drops a record whose event is larger than 6 MB (6,291,456 bytes), and a topic's limit counts bytes as they are stored: compressed,
# unless the broker is to store them uncompressed. No byte of a record takes more than six of its event (a control character in a header's
# name, as JSON escapes it).
REPLY_SETTINGS: dict[str, str] = {"compression.type": "uncompressed", "max.message.bytes": "1000000"}


@dataclass(frozen=True)
class Trigger:
    """One event source mapping of Lambda: the records of a topic call a function (AWS Lambda, CreateEventSourceMapping).

    `window_seconds` is MaximumBatchingWindowInSeconds, `filters` are FilterCriteria's patterns, `retries` is MaximumRetryAttempts and
    `record_age_seconds` MaximumRecordAgeInSeconds (-1: without end), `bisect` BisectBatchOnFunctionError, `report_item_failures` stands for
    FunctionResponseTypes = [ReportBatchItemFailures], `destination` is the ARN of DestinationConfig.OnFailure, `pollers` are
    ProvisionedPollerConfig's least and most (None: on demand, where Lambda has no partial responses and no limits).
    """

    topic: str
    function: str
    batch_size: int = 500
    window_seconds: int = 0
    starting_position: Literal["TRIM_HORIZON", "LATEST"] = "TRIM_HORIZON"
    filters: tuple[str, ...] = ()
    retries: int = -1
    record_age_seconds: int = -1
    bisect: bool = False
    report_item_failures: bool = True
    destination: str | None = None
    pollers: tuple[int, int] | None = (1, 3)
    timeout_seconds: int = 30

    @property
    def consumer_group(self) -> str:
        """The consumer group under which the mapping commits its offsets."""
        return f"campusg-{self.function}"


@dataclass(frozen=True)
class Schedule:
    """A function that the clock calls: each minute on AWS; at home every `SWEEP_SECONDS` if it is `urgent`."""

    function: str
    urgent: bool = True
    timeout_seconds: int = 55


# No limits and no destination: a limit would count a database outage as so many failures and give up records that are sound. What can't be
# taken is counted by the functions themselves and kept in `dead_letters`.
TRIGGERS = (
    Trigger(USER_EVENTS, "on_user_events"),
    Trigger(PAYMENT_EVENTS, "on_payment_events"),
    Trigger(ESCROW_EVENTS, "on_escrow_events"),
)

SETTINGS: dict[str, dict[str, str]] = {trigger.topic: REPLY_SETTINGS for trigger in TRIGGERS}

SCHEDULES = (
    Schedule("sweep_timeouts"),
    Schedule("relay_outbox"),
    Schedule("purge_expired", urgent=False),
    Schedule("audit_invariants", urgent=False),
)
