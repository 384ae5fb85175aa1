"""Records that no partner should ever have written: each ends where it belongs, and nobody behind it waits.

All parts are real: the broker, the emulated event source mapping as the service declares it, the deployed function, the database.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from secrets import token_hex
from uuid import uuid4

import pytest
from kafka import KafkaProducer

from chalicelib.messages.topics import ORDERS_DLQ, REPLY_SETTINGS, TRIGGERS
from chalicelib.operations.deaths import DELIVERIES
from infra.esm.readings import DEFAULT, Readings
from infra.esm.retry import Backoff
from infra.stack.triggers import mapping_of
from tests.integration.conftest import Service
from tests.support.bugs import plant_bug
from tests.support.database import Placed
from tests.support.esm import SOON, polling
from tests.support.eventually import eventually
from tests.support.kafka_records import Record, Sent, answer

TOPIC = "user-events"
PARTITION = 0
# As large as a record may be that the topics of replies take, with its headers and its frame.
LARGEST = int(REPLY_SETTINGS["max.message.bytes"]) - 1024


@dataclass(frozen=True)
class Kind:
    """A broken record made from a good answer, and the error class of the dead letter that it becomes; None: it becomes none."""

    make: Callable[[Record], Record]
    error_class: str | None


KINDS = {
    "no headers at all": Kind(lambda good: replace(good, headers=()), "Unintelligible"),
    "JSON that breaks off": Kind(lambda good: replace(good, value=b'{"customerId": "cu'), "Unintelligible"),
    "a value that is no text": Kind(lambda good: replace(good, value=b"\xff\xfe\x00\x01"), "Unintelligible"),
    "an unknown type that claims a saga": Kind(lambda good: good.having(ce_type="user.invented"), "Unintelligible"),
    "an unknown type that claims none": Kind(lambda good: good.having(ce_type="user.invented").without("ce_sagaid"), None),
    "what another partner has to say": Kind(lambda good: good.having(ce_type="escrow.held"), "Unintelligible"),
    "a saga that nobody knows": Kind(lambda good: good.having(ce_sagaid=str(uuid4())), "UnknownSaga"),
    "another order's key": Kind(lambda good: replace(good, key=str(uuid4()).encode()), "WrongKey"),
    "the largest value that the broker takes": Kind(lambda good: replace(good, value=b"x" * (LARGEST - _size(good))), "Unintelligible"),
    "no value": Kind(lambda good: replace(good, value=None), "Unintelligible"),
    "neither key nor headers": Kind(lambda good: replace(good, key=None, headers=()), "Unintelligible"),
    "an id with U+0000": Kind(lambda good: good.having(ce_id="a\0b"), "Unintelligible"),
    "an id that no index can hold": Kind(lambda good: good.having(ce_id=token_hex(4000)), "Unintelligible"),
    "a needed header that is no text": Kind(
        lambda good: replace(good, headers=tuple((name, b"\xff" if name == "ce_source" else value) for name, value in good.headers)),
        "Unintelligible",
    ),
}


def _size(record: Record) -> int:
    return len(record.key or b"") + sum(len(name) + len(value) for name, value in record.headers)


class Partner:
    """Writes to one partition of the user service's topic, while the mapping that the service declares for it is at work."""

    def __init__(self, service: Service, producer: KafkaProducer) -> None:
        self.service = service
        self._producer = producer

    def write(self, *records: Record) -> list[int]:
        """Append the records and return their offsets."""
        sent = [
            self._producer.send(TOPIC, record.value, record.key, headers=list(record.headers), partition=PARTITION) for record in records
        ]
        return [future.get(30).offset for future in sent]

    def asked(self, placed: Placed) -> Sent:
        """What the user service was asked for an order."""
        return self.service.world.pending(placed)

    def until_taken(self, placed: Placed) -> None:
        """Wait until the order's first reply has taken effect."""
        eventually(lambda: self.service.world.order(placed)["version"] == 2, every=0.005, what="the neighbour's reply")

    def copies(self) -> list[Sent]:
        """What is on `orders-dlq`."""
        return self.service.topic(ORDERS_DLQ)


@pytest.fixture
def readings() -> Readings:
    """How the emulator reads what AWS leaves open."""
    return DEFAULT


@pytest.fixture
def backoff() -> Backoff:
    """How long a failed batch waits: longer than any test waits for a neighbour's reply."""
    return Backoff(60, 60)


@pytest.fixture
def partner(service: Service, readings: Readings, backoff: Backoff) -> Iterator[Partner]:
    """A partner, and a service that has taken a reply before, as a container that is warm."""
    (trigger,) = [each for each in TRIGGERS if each.topic == TOPIC]
    producer = KafkaProducer(bootstrap_servers=service.broker, linger_ms=0)
    partner = Partner(service, producer)
    first = service.world.place()
    with polling(mapping_of(trigger, service.broker), service.app.on_user_events, service.broker, readings, backoff=backoff):
        partner.write(answer(partner.asked(first)))
        partner.until_taken(first)
        yield partner
    producer.close()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_broken_record_ends_where_it_belongs_and_delays_nobody(partner: Partner, kind: Kind) -> None:
    world = partner.service.world
    victim, neighbour = world.place(), world.place()
    broken = kind.make(answer(partner.asked(victim)))

    offset, _ = partner.write(broken, answer(partner.asked(neighbour)))

    partner.until_taken(neighbour)
    assert world.order(victim)["version"] == 1
    letters = world.dead_letters()
    assert [letter["error_class"] for letter in letters] == ([kind.error_class] if kind.error_class else [])
    if kind.error_class:
        kept = letters[0]
        assert (kept["topic"], kept["partition"], kept["offset"]) == (TOPIC, PARTITION, offset)
        assert (kept["key"], kept["value"]) == (broken.key, broken.value)
        (copy,) = eventually(partner.copies, what="the copy on orders-dlq")
        assert copy.header("__dlq.errors.offset") == str(offset)
        assert copy.header("__dlq.errors.exception.class") == kind.error_class
        fits = len(broken.value or b"") < 190_000
        assert fits or copy.header("__dlq.errors.value.omitted") == str(len(broken.value or b""))
        assert not fits or (copy.key, copy.value or None) == (broken.key, broken.value)


def test_what_other_tools_write_into_headers_makes_no_record_a_broken_one(partner: Partner) -> None:
    placed = partner.service.world.place()
    good = answer(partner.asked(placed))

    partner.write(replace(good, headers=(*good.headers, ("grpc-trace-bin", b"\xff\x00"))))

    partner.until_taken(placed)


@pytest.mark.breaks_invariants("a saga is ended by hand")
def test_a_reply_to_a_finished_saga_is_dropped_and_delays_nobody(partner: Partner) -> None:
    world = partner.service.world
    finished, neighbour = world.place(), world.place()
    reply = answer(partner.asked(finished))
    world.rows(
        "UPDATE campusg.sagas SET status = 'COMPENSATED', ended_at = now(), awaited_id = NULL, pending = NULL, due_at = NULL"
        " WHERE saga_id = :id",
        id=finished.saga_id,
    )
    world.rows("UPDATE campusg.orders SET active_saga_id = NULL WHERE order_id = :id", id=finished.order_id)

    partner.write(reply, answer(partner.asked(neighbour)))

    partner.until_taken(neighbour)
    assert world.order(finished)["version"] == 1
    assert world.dead_letters() == []


@pytest.mark.parametrize("backoff", [SOON], ids=["again soon"])
@pytest.mark.parametrize("readings", [Readings(partial="checkpoint"), Readings(partial="items")], ids=["checkpoint", "items"])
def test_a_record_that_meets_a_bug_delays_its_own_order_only_and_for_its_counted_tries(
    partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = partner.service.world
    spoiled, neighbour, later = world.place(), world.place(), world.place()
    tries = plant_bug(monkeypatch, spoiled.saga_id)
    poison = answer(partner.asked(spoiled))

    offset, *_ = partner.write(poison, poison.again(), answer(partner.asked(neighbour)))
    partner.until_taken(neighbour)
    partner.write(answer(partner.asked(later)))
    partner.until_taken(later)

    letters = eventually(lambda: [each for each in world.dead_letters() if each["offset"] == offset], what="the dead letter")
    assert [(letter["error_class"], letter["delivery_count"]) for letter in letters] == [("ZeroDivisionError", DELIVERIES)]
    assert len(tries) >= DELIVERIES
    # The neighbour was not behind these deliveries.
    assert world.order(neighbour)["updated_at"] < letters[0]["at"]
