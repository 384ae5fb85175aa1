"""Records that the local triggers give up become dead letters. Lambda would drop them: a function never sees them."""

import json

from chalicelib.entrypoints.kafka import give_up
from chalicelib.entrypoints.lambda_events import records
from chalicelib.ids import new_id, new_id_source
from chalicelib.messaging.decode import Ignored, receive
from chalicelib.operations.take_replies import Delivery
from infra.esm.failures import TOO_LARGE, Failure


class TooLarge(Exception):
    """The record's event is larger than the 6 MB that Lambda hands to a function."""


class GivenUp(Exception):
    """The record is not delivered any more; the message is Lambda's condition."""


class DeadLetters:
    """An on-failure destination: a dead letter for each record that would have been taken or refused."""

    def deliver(self, failure: Failure) -> None:
        """Keep the records of the failure; raises what the database raises, so that they come again while it is away."""
        error = TooLarge(TooLarge.__doc__) if failure.condition == TOO_LARGE else GivenUp(failure.condition)
        for record in records(json.loads(failure.event_text)):
            received = receive(record)
            if not isinstance(received, Ignored):
                give_up(Delivery(received, new_id_source(), new_id()), error, failure.invoke_count)

    def close(self) -> None:
        """Nothing is open: the runtime is the functions' own."""
