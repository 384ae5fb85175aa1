"""What a load costs a month, item by item, at list prices and if it never changed."""

import math
from collections.abc import Mapping, Sequence

from chalicelib.messages.topics import TRIGGERS
from tests.benchmarks.scale import figures
from tests.benchmarks.scale.bounds import Creation
from tests.benchmarks.scale.deployment import Deployment
from tests.benchmarks.scale.limits import Plan
from tests.benchmarks.scale.place import STEPS

SECONDS = figures.HOURS * 3600
MB_A_GB = 1024


def monthly(plan: Plan) -> Mapping[str, float]:
    """US dollars a month for each item. The partners' own service is theirs."""
    found, deployment = plan.expected, plan.deployment
    items = {**_calls(deployment, found), **_rented(deployment, found)}
    return {item: usd * plan.copies for item, usd in items.items()}


def _calls(deployment: Deployment, found: Creation) -> Mapping[str, float]:
    """What is paid by the call."""
    orders = found.per_second * SECONDS
    batches = STEPS * orders / found.batches.size
    api = orders * found.function_ms / 1000 * deployment.memory_mb / MB_A_GB
    authorizer = orders * figures.AUTHORIZER_MS / 1000 * figures.AUTHORIZER_MB / MB_A_GB
    replies = batches * (found.batches.work_ms - figures.PICKUP_MS) / 1000 * deployment.memory_mb / MB_A_GB
    gb_seconds = tiered(api + authorizer + replies, figures.GB_SECOND_TIERS) / (api + authorizer + replies)
    logged = orders * (figures.LOG_BYTES + 2 * figures.PLATFORM_LOG_BYTES) + batches * figures.PLATFORM_LOG_BYTES
    return {
        "API Gateway": tiered(orders, figures.API_REQUEST_TIERS),
        "Lambda: API": (api + authorizer) * gb_seconds + 2 * orders * figures.LAMBDA_REQUEST,
        "Lambda: replies": replies * gb_seconds + batches * figures.LAMBDA_REQUEST,
        "logs": logged / 1e9 * figures.LOGS_GB,
    }


def _rented(deployment: Deployment, found: Creation) -> Mapping[str, float]:
    """What is paid by the hour, used or not, and what is stored."""
    load, database = found.per_second * 60, deployment.database
    pollers = len(TRIGGERS) * deployment.pollers
    units = max(math.ceil(pollers / figures.POLLERS_AN_EPU), math.ceil(found.per_second * figures.REPLY_BYTES / figures.EPU_BYTES))
    volume, written = deployment.volume(load), found.per_second * (figures.COMMAND_BYTES + figures.REPLY_BYTES) / 1e9
    storage = deployment.storage_gb(load) * figures.STORAGE_GB
    storage += (deployment.storage_iops(load) - volume.iops) * figures.STORAGE_IOPS
    storage += (deployment.storage_throughput(load) - volume.mb_s) * figures.STORAGE_MB_S
    brokers = deployment.brokers * deployment.kafka.usd_hour * figures.HOURS + written * SECONDS * figures.BROKER_INGRESS_GB
    brokers += written * figures.TOPIC_DAYS * 86_400 * figures.BROKER_STORAGE_GB
    return {
        "event pollers": units * figures.EPU_HOUR * figures.HOURS,
        "database instances": 2 * database.usd_hour * figures.HOURS,
        "database storage": storage,
        "RDS Proxy": database.vcpus * figures.PROXY_VCPU_HOUR * figures.HOURS if deployment.proxy else 0.0,
        "Kafka brokers": brokers,
    }


def tiered(amount: float, tiers: Sequence[tuple[float, float]]) -> float:
    """The price of an amount of which each tier, up to its end, has a price of its own."""
    total, begin = 0.0, 0.0
    for end, price in tiers:
        total += max(0.0, min(amount, end) - begin) * price
        begin = end
    return total
