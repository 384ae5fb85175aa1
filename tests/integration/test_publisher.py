"""From the outbox to the broker: nothing lost, first copies in order, whatever becomes of the publishers."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import pytest

from chalicelib.ids import new_id
from chalicelib.messages.envelope import Outgoing
from chalicelib.messaging import outbox
from chalicelib.messaging.outbox import Queued
from chalicelib.messaging.producer import Producer
from chalicelib.messaging.publisher import LIMITS, Limits, Publisher
from tests.support.database import World
from tests.support.kafka_records import Sent, on_topic
from tests.support.servers import KafkaBroker

EVENTS, COMMANDS = "order-events", "user-commands"


def event(order_id: UUID, number: int, topic: str = EVENTS, size: int = 0) -> Outgoing:
    headers = (("ce_id", f"{topic} {number}".encode()), ("ce_sequence", str(number).encode()))
    return Outgoing(topic, str(order_id).encode(), b"v" * size, headers)


def sequences(sent: Sequence[Sent]) -> dict[UUID, list[int]]:
    """The numbers of each order as they stand in its partition, first copies only."""
    found: defaultdict[UUID, list[int]] = defaultdict(list)
    for each in sent:
        numbers, number = found[UUID((each.key or b"").decode())], int(each.header("ce_sequence"))
        if number not in numbers:
            numbers.append(number)
    return dict(found)


class Told:
    """A producer that does something of one's own before or after it sends."""

    def __init__(self, producer: Producer, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None) -> None:
        self._producer, self._before, self._after = producer, before, after

    @property
    def resting(self) -> bool:
        return self._producer.resting

    def send(self, messages: Sequence[Outgoing], timeout: float) -> list[Exception | None]:
        self._before()
        outcomes = self._producer.send(messages, timeout)
        self._after()
        return outcomes


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def producer(kafka: KafkaBroker) -> Iterator[Producer]:
    with closing(Producer(kafka.bootstrap)) as made:
        yield made


NO_LEASE = Limits(lease=timedelta(0))


def publisher_of(world: World, producer: object, limits: Limits = LIMITS) -> Publisher:
    return Publisher(world.database, producer, new_id, limits)  # type: ignore[arg-type]


def test_four_publishers_at_once_keep_the_order_of_each_order(world: World, kafka: KafkaBroker) -> None:
    orders, versions = [new_id() for _ in range(200)], 5

    def write_and_publish(number: int) -> None:
        with closing(Producer(kafka.bootstrap)) as producer:
            publisher = publisher_of(world, producer)
            for version in range(1, versions + 1):
                mine = orders[number::4]
                for order_id in mine:
                    world.queue(order_id, event(order_id, version), event(order_id, version, COMMANDS))
                publisher.publish(mine if version % 2 else orders)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_publish, range(4)))
    assert world.outbox() == []
    for topic in (EVENTS, COMMANDS):
        assert sequences(on_topic(kafka.bootstrap, topic)) == {order_id: list(range(1, versions + 1)) for order_id in orders}


def test_a_publisher_that_dies_between_sending_and_deleting_leaves_repeats_but_order(
    world: World, kafka: KafkaBroker, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In one bucket, so that the relay takes them together.
    orders = [UUID(int=number * outbox.BUCKETS) for number in range(1, 21)]
    for order_id in orders:
        world.queue(order_id, *(event(order_id, number) for number in (1, 2, 3)))
    waves = iter(range(100))

    def die_in_the_second_wave() -> None:
        if next(waves) == 1:
            raise Killed

    with pytest.raises(Killed):
        publisher_of(world, Told(producer, after=die_in_the_second_wave), NO_LEASE).relay()
    assert len(world.outbox()) == 60
    for order_id in orders:
        world.queue(order_id, event(order_id, 4))
    publisher_of(world, producer).relay()
    sent = on_topic(kafka.bootstrap, EVENTS)
    assert world.outbox() == []
    assert len(sent) == 40 + 80
    assert sequences(sent) == {order_id: [1, 2, 3, 4] for order_id in orders}


def test_a_publisher_that_wakes_up_late_only_repeats(world: World, kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = new_id()
    world.queue(order_id, event(order_id, 1), event(order_id, 2))
    frozen, thaw = threading.Event(), threading.Event()
    with closing(Producer(kafka.bootstrap)) as late, closing(Producer(kafka.bootstrap)) as other:

        def freeze() -> None:
            frozen.set()
            assert thaw.wait(10)

        sleeper = threading.Thread(target=publisher_of(world, Told(late, before=freeze), NO_LEASE).relay)
        sleeper.start()
        assert frozen.wait(10)
        publisher_of(world, other).relay()
        world.queue(order_id, event(order_id, 3))
        publisher_of(world, other).relay()
        thaw.set()
        sleeper.join(10)
    assert world.outbox() == []
    sent = on_topic(kafka.bootstrap, EVENTS)
    assert [int(each.header("ce_sequence")) for each in sent] == [1, 2, 3, 1, 2]


def test_a_lease_keeps_others_from_sending_the_same_rows(world: World, kafka: KafkaBroker, producer: Producer) -> None:
    order_id = new_id()
    world.queue(order_id, event(order_id, 1))
    second = publisher_of(world, producer)
    publisher_of(world, Told(producer, before=lambda: second.publish([order_id]))).publish([order_id])
    assert len(on_topic(kafka.bootstrap, EVENTS)) == 1


def test_who_gives_the_bucket_back_publishes_what_came_meanwhile(world: World, kafka: KafkaBroker, producer: Producer) -> None:
    order_id = new_id()
    world.queue(order_id, event(order_id, 1))
    other, came = publisher_of(world, producer), []

    def meanwhile() -> None:
        if not came:
            came.append(order_id)
            world.queue(order_id, event(order_id, 2))
            other.publish([order_id])
            assert on_topic(kafka.bootstrap, EVENTS) == []

    publisher_of(world, Told(producer, before=meanwhile)).publish([order_id])
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {order_id: [1, 2]}
    assert world.outbox() == []


def test_a_publisher_takes_only_the_buckets_it_is_asked_for_and_the_relay_takes_all(
    world: World, kafka: KafkaBroker, producer: Producer
) -> None:
    mine, other = UUID(int=1), UUID(int=2)
    for order_id in (mine, other):
        world.queue(order_id, event(order_id, 1))
    publisher = publisher_of(world, producer)
    publisher.publish([mine])
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {mine: [1]}
    publisher.relay()
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {mine: [1], other: [1]}


def backlog(world: World, number: int) -> list[UUID]:
    """So many orders of one bucket whose one event has waited for a minute."""
    orders = [UUID(int=each * outbox.BUCKETS) for each in range(2, number + 2)]
    with world.engine.begin() as session:
        outbox.insert(session, [Queued(order_id, event(order_id, 1)) for order_id in orders])
    world.rows("UPDATE campusg.outbox SET created_at = created_at - interval '1 minute'")
    return orders


MINE = UUID(int=outbox.BUCKETS)


def test_ones_own_rows_wait_for_nobody_elses_and_the_rest_is_left_to_the_relay(
    world: World, kafka: KafkaBroker, producer: Producer
) -> None:
    others = backlog(world, 300)
    world.queue(MINE, event(MINE, 1), event(MINE, 2))
    publisher = publisher_of(world, producer)
    publisher.publish([MINE])
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {MINE: [1, 2]}
    publisher.relay()
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {MINE: [1, 2], **{order_id: [1] for order_id in others}}


def test_what_is_written_while_the_relay_works_off_a_long_queue_goes_with_its_next_round(
    world: World, kafka: KafkaBroker, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer finds the bucket leased and leaves."""
    others, second, rounds = backlog(world, 100), publisher_of(world, producer), []

    class Watched(Told):
        def send(self, messages: Sequence[Outgoing], timeout: float) -> list[Exception | None]:
            rounds.append([message.key for message in messages])
            if len(rounds) == 2:
                world.queue(MINE, event(MINE, 1))
                second.publish([MINE])
            return super().send(messages, timeout)

    publisher_of(world, Watched(producer), Limits(rows_of_relay=20)).relay()
    assert [str(MINE).encode() in each for each in rounds] == [False, False, True, False, False]
    assert len(on_topic(kafka.bootstrap, EVENTS)) == len(others) + 1


def test_a_reading_of_the_newest_rows_has_no_row_without_the_earlier_ones_of_its_order(
    world: World, kafka: KafkaBroker, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [UUID(int=each * outbox.BUCKETS) for each in range(1, 6)]
    for number in range(1, 31):
        for order_id in orders:
            world.queue(order_id, event(order_id, number))
    publisher_of(world, producer, Limits(rows_of_relay=7)).relay()
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {order_id: list(range(1, 31)) for order_id in orders}


@pytest.mark.parametrize("number", [2, 3])
def test_more_rows_than_one_reading_holds_are_published_in_one_go(
    world: World, kafka: KafkaBroker, producer: Producer, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    orders = [new_id(), new_id()]
    for order_id in orders:
        world.queue(order_id, *(event(order_id, each) for each in range(1, 6)))
    publisher_of(world, producer, Limits(rows=number)).publish(orders)
    assert world.outbox() == []
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {order_id: [1, 2, 3, 4, 5] for order_id in orders}


def test_a_row_that_the_broker_refuses_stops_its_own_order_only(world: World, kafka: KafkaBroker, producer: Producer) -> None:
    large, other = new_id(), new_id()
    world.rows("ALTER TABLE campusg.outbox DROP CONSTRAINT bounded")
    try:
        world.queue(large, event(large, 1), event(large, 2, size=1_100_000), event(large, 3))
        world.queue(other, event(other, 1), event(other, 2), event(other, 3))
        publisher_of(world, producer).relay()
        assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {large: [1], other: [1, 2, 3]}
        assert [int(row.header("ce_sequence")) for row in world.outbox()] == [2, 3]
        assert not producer.resting
        [row] = world.rows("SELECT failures FROM campusg.outbox WHERE not_before > clock_timestamp()")
        assert row["failures"] == 1
    finally:
        world.rows("DELETE FROM campusg.outbox")
        world.rows("ALTER TABLE campusg.outbox ADD CONSTRAINT bounded CHECK (coalesce(length(value), 0) + length(headers::text) <= 262144)")


def test_a_row_that_no_client_sends_stops_its_own_order_only(world: World, kafka: KafkaBroker, producer: Producer) -> None:
    broken, other = new_id(), new_id()
    world.queue(broken, Outgoing(EVENTS, None, None, ()))
    world.queue(other, event(other, 1))
    publisher_of(world, producer).relay()
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {other: [1]}
    assert not producer.resting
