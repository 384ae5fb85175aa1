"""Every number that the model starts from, with its source. `make scale DOCS=1` lists them in infra/docs/scale.md.

Prices are list prices of one region, us-east-1, without free tiers and discounts, as of November 2026.
Look them up before a decision.
"""

from typing import Literal

Kind = Literal["counted", "measured", "documented", "price", "assumed"]


class Figure(float):
    """A number with its unit, what it says and where it is from."""

    unit: str
    says: str
    kind: Kind
    source: str

    def __new__(cls, value: float, unit: str, says: str, kind: Kind, source: str) -> "Figure":
        """A float that is calculated with like any other."""
        figure = super().__new__(cls, value)
        figure.unit, figure.says, figure.kind, figure.source = unit, says, kind, source
        return figure


STATEMENTS = "tests/integration/test_statements.py"
ENGINE = "2026-11-29, 2 cores shared with other programs, straight line through batches of 1, 10 and 100 replies"
PLACING = "2026-11-29, same machine, 400 one after the other in one process"
STACK = "2026-11-29, same machine, `make run` under load"
LAMBDA = "AWS Lambda developer guide"
RDS = "Amazon RDS user guide, PostgreSQL"
MSK = "Amazon MSK developer guide, Express brokers"
EBS = "Amazon EC2 user guide, EBS-optimized instances, baseline"
LIST = "list price, us-east-1"
UNSEEN = "list price, us-east-1, not looked up"

# What one create_order costs.
POST_COMPUTE = Figure(2.6, "ms", "processor time of a POST in its function", "measured", "2026-11-28, in process")
POST_DATABASE = Figure(2.9, "ms", "PostgreSQL's processor time for a POST, its publishing included", "measured", PLACING)
POST_CROSSINGS = Figure(3, "", "crossings of the network to the database in a POST", "counted", STATEMENTS)
BATCH_COMPUTE = Figure(2.5, "ms", "processor time of a batch of replies, whatever its size", "measured", ENGINE)
RECORD_COMPUTE = Figure(0.49, "ms", "processor time of each reply in a batch", "measured", ENGINE)
BATCH_DATABASE = Figure(3.06, "ms", "PostgreSQL's processor time for a batch, whatever its size", "measured", ENGINE)
RECORD_DATABASE = Figure(0.22, "ms", "PostgreSQL's processor time for each reply in a batch", "measured", ENGINE)
BATCH_CROSSINGS = Figure(3, "", "crossings of a batch", "counted", STATEMENTS)
LOOK_COMPUTE = Figure(0.2, "ms", "processor time of a look at a saga that is waited for", "measured", PLACING)
LOOK_DATABASE = Figure(0.47, "ms", "PostgreSQL's processor time for a look", "measured", PLACING)
LOOKS = Figure(3, "", "looks until an awaited saga has ended", "assumed", "the first comes when sagas have usually ended")
WAL_BYTES = Figure(23_000, "bytes", "log of one create_order, without whole pages", "counted", "tests/integration/test_growth.py")
PAGES = Figure(2, "", "pages of an order that a checkpoint writes, and the log once more", "assumed", "8 kB are stored")
STORED_BYTES = Figure(8_000, "bytes", "stored for an order that has ended, with its indexes", "measured", "make grow")
COMMAND_BYTES = Figure(7_149, "bytes", "eight messages of a create_order, with keys and headers", "counted", "2026-11-29")
REPLY_BYTES = Figure(1_567, "bytes", "its three replies", "counted", "2026-11-29")
LOG_BYTES = Figure(800, "bytes", "lines that API and functions log for an order", "measured", STACK)

# What AWS puts between them.
VCPU_MB = Figure(1_769, "MB", "memory with which a function has one whole vCPU", "documented", LAMBDA)
CORE = Figure(1.0, "", "a vCPU of Lambda or RDS over a core of the measuring machine", "assumed", "not measured")
API_GATEWAY_MS = Figure(20, "ms", "API Gateway, authorizer and invocation, before and after the function", "assumed", "not measured")
CROSSING_MS = Figure(1.0, "ms", "one crossing from a function through RDS Proxy and back", "assumed", "same region")
FLUSH_MS = Figure(3.0, "ms", "a commit's flush to both instances of a Multi-AZ database", "assumed", "not measured")
ACKNOWLEDGE_MS = Figure(5.0, "ms", "acknowledgement of a send by all in-sync replicas", "assumed", "not measured")
PICKUP_MS = Figure(15, "ms", "from a record's arrival to its function", "assumed", "documented are under 100 ms end to end")
PARTNER_P50_MS = Figure(50, "ms", "a partner's part, from our command to its reply, median", "assumed", "others' service")
PARTNER_P99_MS = Figure(200, "ms", "the same, 99th percentile", "assumed", "others' service")
SPREAD = Figure(0.5, "", "standard deviation over mean of our own times", "assumed", "as the stack's latencies at low load scatter")

# What AWS allows.
API_REQUESTS = Figure(10_000, "/s", "requests of API Gateway in an account; raised on request", "documented", "API Gateway quotas")
CONCURRENCY = Figure(1_000, "", "functions at a time in an account; raised on request", "documented", LAMBDA)
POLLER_INVOCATIONS = Figure(5, "", "invocations at a time of one event poller", "documented", LAMBDA)
POLLER_BYTES = Figure(5e6, "bytes/s", "throughput of one event poller", "documented", LAMBDA)
MOST_POLLERS = Figure(2_000, "", "event pollers of a mapping or a group of mappings", "documented", LAMBDA)
BYTES_A_CONNECTION = Figure(9_531_392, "bytes", "memory of the instance for each connection, at most 5,000", "documented", RDS)
MOST_CONNECTIONS = Figure(5_000, "", "max_connections, the default's most", "documented", RDS)
PROXY_SHARE = Figure(0.9, "", "of max_connections that RDS Proxy may use", "assumed", "the rest is for people and jobs")
STRIPE_GB = Figure(400, "GB", "size from which RDS stripes gp3 over four volumes", "documented", RDS)
MOST_STORAGE_GB = Figure(65_536, "GB", "size of a gp3 volume", "documented", RDS)
WRITE_BYTES = Figure(262_144, "bytes", "most bytes that count as one operation", "documented", "Amazon EBS user guide, gp3")
BROKER_CONNECTIONS = Figure(3_000, "", "connections of a broker with IAM; a setting can raise it", "documented", MSK)

# What AWS asks for it.
HOURS = Figure(730, "h", "hours of a month", "assumed", "a year has 8,760")
LAMBDA_REQUEST = Figure(0.2e-6, "USD", "a request of Lambda", "price", LIST)
EPU_HOUR = Figure(0.185, "USD", "an hour of an event poller unit, up to ten pollers or 20 MB/s", "price", f"{LAMBDA}, scaling modes")
POLLERS_AN_EPU = Figure(10, "", "pollers of a unit", "documented", LAMBDA)
EPU_BYTES = Figure(20e6, "bytes/s", "throughput of a unit", "documented", LAMBDA)
PROXY_VCPU_HOUR = Figure(0.015, "USD", "an hour of RDS Proxy, for each vCPU of the instance", "price", UNSEEN)
STORAGE_GB = Figure(0.23, "USD", "a GB of gp3 a month, Multi-AZ", "price", LIST)
STORAGE_IOPS = Figure(0.04, "USD", "an operation per second above the baseline a month, Multi-AZ", "price", LIST)
STORAGE_MB_S = Figure(0.16, "USD", "a MB/s above the baseline a month, Multi-AZ", "price", UNSEEN)
BROKER_INGRESS_GB = Figure(0.01, "USD", "a GB written to Express brokers", "price", UNSEEN)
BROKER_STORAGE_GB = Figure(0.10, "USD", "a GB of Express storage a month", "price", UNSEEN)
TOPIC_DAYS = Figure(7, "days", "for which topics keep their records", "assumed", "Kafka's default retention")
LOGS_GB = Figure(0.50, "USD", "a GB of CloudWatch Logs taken in", "price", UNSEEN)
AUTHORIZER_MS = Figure(
    15, "ms", "the authorizer, which each order's customer asks for once", "assumed", "answers are kept for 60 s a token"
)
AUTHORIZER_MB = Figure(256, "MB", "its memory", "assumed", "it imports neither database nor Kafka")
PLATFORM_LOG_BYTES = Figure(350, "bytes", "Lambda's own lines for an invocation", "assumed", "START, END and REPORT")

# Tiers: up to so much a month, the price of one.
API_REQUEST_TIERS = ((333e6, 3.5e-6), (1e9, 2.8e-6), (20e9, 2.38e-6), (float("inf"), 1.51e-6))
GB_SECOND_TIERS = ((6e9, 1.66667e-5), (15e9, 1.5e-5), (float("inf"), 1.33334e-5))


def figures() -> list[Figure]:
    """All of them, in the order in which they stand here."""
    return [each for each in globals().values() if isinstance(each, Figure)]
