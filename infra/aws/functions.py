"""The Lambda functions of the service stack, as literals: time, memory, and what each may reach."""

from dataclasses import dataclass
from typing import Any, Literal

from chalicelib.messages.topics import SCHEDULES, TRIGGERS, Schedule, Trigger
from infra.aws.intrinsics import Value, camel, sub

# In every name, so that the stages of one account never meet.
PREFIX = "campusg-orders-${Stage}"
# API Gateway gives up after 29 s; the longest `Prefer: wait` is 20.
API_SECONDS = 29


@dataclass(frozen=True)
class Function:
    """One function of `app.py`, by the name that Chalice knows it by.

    `database` says as which of the two roles it works there, `publishes` whether it writes to Kafka, `repeated` whether what calls it
    calls again by itself when it fails. One without a database has no need of the network either, and reaches the internet.
    """

    name: str
    timeout_seconds: int
    memory_mb: int = 1024
    database: Literal["functions", "owner"] | None = "functions"
    publishes: bool = True
    trigger: Trigger | None = None
    repeated: bool = False

    @property
    def logical_id(self) -> str:
        """What Chalice calls it in its template."""
        return "APIHandler" if self.name == "api_handler" else camel(self.name)

    @property
    def role_id(self) -> str:
        return f"{self.logical_id}Role"

    @property
    def log_group_id(self) -> str:
        return f"{self.logical_id}LogGroup"

    @property
    def deployed_name(self) -> Value:
        """Its name on AWS."""
        return sub(f"{PREFIX}-{self.name}")


def _triggered(trigger: Trigger) -> Function:
    return Function(trigger.function, trigger.timeout_seconds, trigger=trigger, repeated=True)


def _scheduled(schedule: Schedule, **differences: Any) -> Function:
    return Function(schedule.function, schedule.timeout_seconds, repeated=True, **differences)


API = Function("api_handler", API_SECONDS)
AUTHORIZER = Function("token_auth", timeout_seconds=10, memory_mb=512, database=None, publishes=False)
MIGRATE = Function("migrate", timeout_seconds=900, database="owner", publishes=False)
# Their only messages are log lines.
QUIET = {"purge_expired", "audit_invariants"}

FUNCTIONS = (
    API,
    AUTHORIZER,
    *(_triggered(trigger) for trigger in TRIGGERS),
    *(_scheduled(schedule, publishes=schedule.function not in QUIET) for schedule in SCHEDULES),
    MIGRATE,
)
