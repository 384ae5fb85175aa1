"""Reads what ListEventSourceMappings answers into the requests that would make such mappings."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from .mapping import EventSourceMapping, InvalidMapping, require
from .request import from_aws

# They tell of a mapping's life, not of what is delivered.
_LIFE = frozenset(
    {
        "EventSourceMappingArn",
        "FilterCriteriaError",
        "FunctionArn",
        "LastModified",
        "LastProcessingResult",
        "State",
        "StateTransitionReason",
        "UUID",
    }
)
_NOT_POLLED = frozenset({"Disabled", "Disabling"})
_MSK = ":kafka:"


def kafka_mappings(listed: Iterable[Mapping[str, Any]], now: float) -> list[EventSourceMapping]:
    """The mappings of Kafka topics among those listed, but for those that are being deleted; raises InvalidMapping with the UUID."""
    return [_read(mapping, now) for mapping in listed if _is_kafka(mapping) and mapping.get("State") != "Deleting"]


def _is_kafka(listed: Mapping[str, Any]) -> bool:
    return bool(listed.get("SelfManagedEventSource")) or _MSK in (listed.get("EventSourceArn") or "")


def _read(listed: Mapping[str, Any], now: float) -> EventSourceMapping:
    request = {name: value for name, value in listed.items() if name not in _LIFE and value not in (None, "", [], {})}
    request |= {"FunctionName": listed.get("FunctionArn", ""), "Enabled": listed.get("State") not in _NOT_POLLED}
    since = request.get("StartingPositionTimestamp")
    if isinstance(since, datetime):
        request["StartingPositionTimestamp"] = since.timestamp()
    if "ProvisionedPollerConfig" not in request and request.get("MaximumBatchingWindowInSeconds") == 0:
        # On demand there is no window of 0, so nobody asked for one.
        del request["MaximumBatchingWindowInSeconds"]
    uuid = listed.get("UUID")
    try:
        require("Topics" in request, "Topics: the endpoint does not tell them, --mapping is needed")
        return replace(from_aws(request, now), known_uuid=uuid)
    except InvalidMapping as error:
        raise InvalidMapping(f"event source mapping {uuid}: {error}") from error
