"""What befalls an order from elsewhere: a record that can't be read, a lost reply, a bank that forgets, a writer that is gone."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chalicelib.ids import new_id
from chalicelib.messages.envelope import Incoming
from chalicelib.messaging import dead_letters
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.runtime import Runtime
from chalicelib.settings import Settings
from tests.crash_matrix.lane import FUNCTION_SETTINGS
from tests.crash_matrix.walk import Walk
from tests.support.database import NEW_ORDER, Placed, World
from tests.support.kafka_records import Record, answer
from tests.support.partner_script import Partners

NOWHERE = {"DATABASE_URL": "postgresql+pg8000://h/d", "KAFKA_BROKERS": "h:1"}
RULES = Runtime(Settings.read({**FUNCTION_SETTINGS, **NOWHERE})).rules


def leave(walk: Walk) -> None:
    """The order is placed, and its messages are left to the relay."""
    world = World(walk.lane.engine, RULES)
    walk.order_id = str(world.place(replace(NEW_ORDER, customer_id=walk.customer)).order_id)


def expire(walk: Walk) -> None:
    """The bank no longer keeps the money, and says so."""
    walk.lane.kafka.send(Partners().expire(walk.order_id, _payment(walk)["payment_id"]))


def poison(walk: Walk) -> None:
    """A partner sends a record that can't be read."""
    headers = {"ce_specversion": "1.0", "ce_id": str(new_id()), "ce_type": "payment.authorized", "ce_source": "/campusg/payments"}
    encoded = tuple((name, text.encode()) for name, text in headers.items())
    walk.lane.kafka.send(Record("payment-events", walk.order_id.encode(), b"\xff{", encoded))


def lose_reply(walk: Walk) -> None:
    """The reply to the order's authorization could not be taken, and is kept as a dead letter."""
    [row] = walk.lane.rows("SELECT saga_id FROM campusg.sagas WHERE order_id = :id", id=walk.order_id)
    placed = Placed(UUID(walk.order_id), row["saga_id"])
    payment = _payment(walk)
    reply = answer(World(walk.lane.engine, RULES).pending(placed), paymentId=payment["payment_id"], amount=str(payment["amount"]))
    record = Incoming(reply.topic, reply.partition, reply.offset, reply.key, reply.value, reply.headers)
    ids = "payment.authorized", placed.order_id, placed.saga_id
    letter = DeadLetter(new_id(), record, "FunctionDied", "the function died of it", 5, *ids)
    with walk.lane.engine.begin() as session:
        dead_letters.insert(session, [letter], datetime.now(UTC))


def letter_of(walk: Walk) -> str:
    """The id of the order's dead letter."""
    [row] = walk.lane.rows("SELECT dead_letter_id FROM campusg.dead_letters WHERE key = :key", key=walk.order_id.encode())
    return str(row["dead_letter_id"])


def _payment(walk: Walk) -> Any:
    [row] = walk.lane.rows("SELECT payment_id, amount FROM partners.payments WHERE order_id = :id", id=walk.order_id)
    return row
