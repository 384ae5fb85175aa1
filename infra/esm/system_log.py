"""What Lambda's pollers write to the function's log group, line by line as JSON.

Types and members are those of the AWS Lambda developer guide ("Kafka event source mapping logging").
"""

import json
import logging
import time
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from .function_names import LOCAL_ACCOUNT, LOCAL_REGION
from .mapping import LOG_LEVELS, EventSourceMapping

LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING}

log = logging.getLogger(__name__)


class PartitionOffsets(NamedTuple):
    """How far one partition got: its end, the last offset read, the last one done with, the next one as committed (None: never)."""

    end: int
    consumed: int
    processed: int
    committed: int | None

    @property
    def lag(self) -> int:
        """How many records are not done yet."""
        return max(0, self.end - self.processed - 1)


class SystemLog:
    """The system log of one mapping; silent below its SystemLogLevel, and altogether without one."""

    def __init__(self, mapping: EventSourceMapping, bootstrap_servers: str) -> None:
        """Nothing is written yet."""
        self._mapping = mapping
        self._bootstrap_servers = bootstrap_servers
        level = mapping.system_log_level
        self._levels = LOG_LEVELS[LOG_LEVELS.index(level) :] if level else ()

    def processing(self, message: str, code: str) -> None:
        """ESM_PROCESSING_EVENT: something went wrong; `code` names the kind of error."""
        self._write("WARN", "ESM_PROCESSING_EVENT", {"error": {"errorMessage": message, "errorCode": code}})

    def poller_status(self, partitions: Collection[int]) -> None:
        """POLLER_STATUS_EVENT: a consumer was made, or holds other partitions than before."""
        mapping = self._mapping
        connection = {
            "brokerEndpoints": self._bootstrap_servers,
            "consumerId": f"{mapping.uuid}-0",
            "topics": list(mapping.topics),
            "consumerGroupId": mapping.group_id,
            "securityProtocol": "PLAINTEXT",
            "totalPartitionCount": len(partitions),
            "assignedPartitionCount": len(partitions),
            "assignedPartitions": [f"{mapping.topic}-{number}" for number in sorted(partitions)],
        }
        self._write("INFO", "POLLER_STATUS_EVENT", {"kafkaEventSourceConnection": connection})

    def kafka_status(self, offsets: Mapping[int, PartitionOffsets]) -> None:
        """KAFKA_STATUS_EVENT: how far each partition got."""
        for number, partition in sorted(offsets.items()):
            fields = {
                "partition": f"{self._mapping.topic}-{number}",
                "endOffset": partition.end,
                "consumedOffset": partition.consumed,
                "processedOffset": partition.processed,
                "committedOffset": partition.committed,
            }
            self._write("DEBUG", "KAFKA_STATUS_EVENT", {"kafkaPartitionOffsets": fields})

    def _write(self, level: str, event_type: str, fields: dict[str, Any]) -> None:
        if level not in self._levels:
            return
        mapping = self._mapping
        head: dict[str, Any] = {
            "eventType": event_type,
            "timestamp": int(time.time() * 1000),
            "resourceArn": f"arn:aws:lambda:{LOCAL_REGION}:{LOCAL_ACCOUNT}:event-source-mapping:{mapping.uuid}",
        }
        if mapping.event_source_arn is not None:
            head["eventSourceArn"] = mapping.event_source_arn
        # At DEBUG this line is wanted by the mapping, whatever the process's own level says.
        log.log(max(LEVELS[level], logging.INFO), json.dumps(head | {"eventProcessorId": f"{mapping.uuid}/0", "logLevel": level} | fields))
