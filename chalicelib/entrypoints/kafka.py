"""What the Kafka triggers call: a batch of records in, the records that failed out."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.entrypoints.lambda_events import partial_response, records
from chalicelib.errors import RecordsFailed
from chalicelib.ids import new_fresh, new_id
from chalicelib.messages.envelope import Incoming
from chalicelib.messages.topics import TRIGGERS
from chalicelib.messaging.decode import receive
from chalicelib.operations.take_replies import Delivery
from chalicelib.runtime import runtime

# Kept back from the function's time limit to publish and to report.
RESERVE_SECONDS = 12.0


def take_partner_events(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Take a batch of partner events. Raises where the database is away, so that the whole batch comes again.

    Records that failed are named in the answer where the topic's mapping reads that; elsewhere an answer would count as success, so
    RecordsFailed is raised.
    """
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    deliveries = [Delivery(receive(record), new_fresh(), new_id()) for record in records(event)]
    consumed = runtime().consumer.consume(deliveries, deadline)
    if consumed.failed and not _answers_are_read(consumed.failed):
        raise RecordsFailed(f"{len(consumed.failed)} of {len(deliveries)} records failed and must come again")
    return partial_response(consumed.failed)


def _answers_are_read(failed: Sequence[Incoming]) -> bool:
    reporting = {trigger.topic for trigger in TRIGGERS if trigger.report_item_failures}
    return {record.topic for record in failed} <= reporting
