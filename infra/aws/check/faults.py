"""Deliberate faults, each of which some checker must notice: they hold the checkers to what is believed of them."""

from dataclasses import dataclass
from typing import Any, Literal

from infra.aws.intrinsics import Value

# In place of what stands there.
GONE = object()
Step = str | int


@dataclass(frozen=True)
class Fault:
    """A value put at a place of a stack's resources; the place begins with the resource. No two faults share a resource.

    `seen_at` is the resource that SAM makes of that part of it, where it makes more than one.
    """

    stack: Literal["service", "data"]
    place: tuple[Step, ...]
    value: Any
    seen_at: str = ""

    @property
    def resource(self) -> str:
        return str(self.place[0])

    @property
    def sentence(self) -> str:
        """What is wrong, for people."""
        where = ".".join(map(str, self.place))
        return f"{self.stack}: {where} is gone" if self.value is GONE else f"{self.stack}: {where} is {self.value!r}"


def _properties(resource: str, *place: Step) -> tuple[Step, ...]:
    return (resource, "Properties", *place)


def _statement(role: str, policy: int, *place: Step) -> tuple[Step, ...]:
    """A place in the first statement of a role's policy that stands on a condition."""
    return _properties(role, "Policies", policy, "Fn::If", 1, "PolicyDocument", "Statement", 0, *place)


def _service(place: tuple[Step, ...], value: Any, seen_at: str = "") -> Fault:
    return Fault("service", place, value, seen_at)


def _data(place: tuple[Step, ...], value: Any) -> Fault:
    return Fault("data", place, value)


FAULTS = (
    _service(_properties("OnUserEventsMapping", "BatchSize"), 20_000),
    _service(_properties("OnPaymentEventsMapping", "StartingPosition"), "EARLIEST"),
    _service(_properties("OnEscrowEventsMapping", "FunctionResponseTypes"), ["ReportBatchItemFailure"]),
    _service(_properties("APIHandler", "Timeout"), 901),
    _service(_properties("TokenAuth", "Runtime"), "python3.8"),
    _service(
        _properties("SweepTimeouts", "Events", "SweepTimeoutsEvent", "Properties", "Schedule"),
        "rate(1 minutes)",
        "SweepTimeoutsSweepTimeoutsEvent",
    ),
    _service(_properties("Migrate", "MemorySize"), 64),
    _service(_properties("OnUserEvents", "Role"), {"Fn::GetAtt": ["NobodysRole", "Arn"]}),
    _service(_properties("RelayOutbox", "LoggingConfig", "LogGroup"), {"Ref": "NobodysLogGroup"}),
    _service(_properties("PurgeExpired", "VpcConfig", "Fn::If", 1), {"SubnetId": {"Ref": "SubnetIds"}}),
    _service(_properties("AuditInvariants", "Environment", "Variables", "STAGE"), {"Ref": "Stages"}),
    _service(_properties("APIHandlerLogGroup", "RetentionInDays"), 31),
    _service(_properties("DeadLettersNewAlarm", "ComparisonOperator"), "Greater"),
    _service(_properties("DeadLettersWaitingAlarm", "EvaluationPeriods"), 0),
    _service(_properties("InvariantViolationsAlarm", "Statistic"), "Max"),
    _service(_properties("DatabaseUnavailableAlarm", "TreatMissingData"), "breach"),
    _service(_properties("RestAPI", "MethodSettings", 0, "ThrottlingRateLimit"), "many", "RestAPIv1Stage"),
    _service(_statement("OnUserEventsRole", 4, "Action"), ["kafka-cluster:Connects"]),
    _service(_statement("APIHandlerRole", 4, "Effect"), "allow"),
    _service(_statement("RelayOutboxRole", 4, "Resource"), "*"),
    _service(_statement("SweepTimeoutsRole", 2, "Resource"), "arn:aws:s3:::bucket"),
    _data(_properties("Database", "EngineVersion"), "12.3"),
    _data(_properties("PollersReachBrokers", "IpProtocol"), "tcpp"),
    _data(_properties("Proxy", "DefaultAuthScheme"), "IAM"),
    _data(_properties("OrderEventsTopic", "PartitionCount"), 0),
    _data(_properties("Vpc", "CidrBlock"), "10.80.0.0/99"),
    _data(("Cluster", "DeletionPolicy"), "Keep"),
    _data(_properties("ClusterConfiguration", "ServerProperties"), GONE),
    _data(_properties("MakeRoles", "Environment", "Variables", "DATABASE_HOST"), {"Fn::GetAtt": ["Database", "Endpoint.Host"]}),
    _data(_properties("ProxyRole", "Policies", 0, "PolicyDocument", "Statement", 0, "Action"), ["rds-db:connects"]),
)


def put(template: Value, fault: Fault) -> None:
    """Change the template in this one place; raises LookupError where the place isn't there any more."""
    *way, last = fault.place
    found: Any = template["Resources"]
    for step in way:
        found = found[step]
    _ = found[last]
    if fault.value is GONE:
        del found[last]
    else:
        found[last] = fault.value
