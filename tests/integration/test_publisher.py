"""From the outbox to the broker: nothing lost, first copies in order, whatever becomes of the publishers."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import pytest

from chalicelib.db.connection import make_engine
from chalicelib.ids import new_id
from chalicelib.messages.envelope import Outgoing
from chalicelib.messaging import outbox
from chalicelib.messaging.outbox import Queued
from chalicelib.messaging.producer import Producer
from chalicelib.messaging.publisher import FIRST_LOOK, LIMITS, Limits, Publisher
from tests.support.database import World
from tests.support.eventually import eventually
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


def test_four_publishers_at_once_keep_the_order_of_each_order(world: World, kafka: KafkaBroker, producer: Producer) -> None:
    orders, versions = [new_id() for _ in range(100)], 5

    def write_and_publish(number: int) -> None:
        with closing(Producer(kafka.bootstrap)) as producer:
            publisher = publisher_of(world, producer)
            for version in range(1, versions + 1):
                written = [
                    world.write(order_id, event(order_id, version), event(order_id, version, COMMANDS)) for order_id in orders[number::4]
                ]
                if version % 2:
                    publisher.publish(written)
                else:
                    world.leave(*written)
                    publisher.relay()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_and_publish, range(4)))
    publisher_of(world, producer).relay()
    assert world.outbox() == []
    for topic in (EVENTS, COMMANDS):
        assert sequences(on_topic(kafka.bootstrap, topic)) == {order_id: list(range(1, versions + 1)) for order_id in orders}


def test_a_publisher_that_dies_between_sending_and_deleting_leaves_repeats_but_order(
    world: World, kafka: KafkaBroker, producer: Producer
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


def test_a_publisher_that_wakes_up_late_only_repeats(world: World, kafka: KafkaBroker) -> None:
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


def test_what_a_writer_publishes_is_sent_by_nobody_else_meanwhile(world: World, kafka: KafkaBroker, producer: Producer) -> None:
    order_id = new_id()
    written, relay = world.write(order_id, event(order_id, 1)), publisher_of(world, producer).relay
    publisher_of(world, Told(producer, before=relay)).publish([written])
    relay()
    assert len(on_topic(kafka.bootstrap, EVENTS)) == 1
    assert world.outbox() == []


def test_what_stands_behind_a_row_of_somebody_else_goes_out_once_that_is_gone(world: World, kafka: KafkaBroker, producer: Producer) -> None:
    order_id = new_id()
    first, second = (world.write(order_id, event(order_id, number), event(order_id, number, "user-commands")) for number in (1, 2))
    behind = threading.Thread(target=publisher_of(world, producer).publish, args=([second],))

    def meanwhile() -> None:
        behind.start()
        time.sleep(2 * FIRST_LOOK)
        assert order_id not in sequences(on_topic(kafka.bootstrap, EVENTS))

    with closing(Producer(kafka.bootstrap)) as other:
        # A client's first record in a topic takes longer than the rows behind are looked at.
        assert other.send([event(new_id(), 1), event(new_id(), 1, COMMANDS)], 10) == [None, None]
        publisher_of(world, Told(other, before=meanwhile)).publish([first])
    behind.join(10)
    for topic in (EVENTS, COMMANDS):
        assert sequences(on_topic(kafka.bootstrap, topic))[order_id] == [1, 2]
    assert world.outbox() == []


def test_what_stands_behind_a_row_that_stays_is_left_to_the_relay(world: World, kafka: KafkaBroker, producer: Producer) -> None:
    order_id = new_id()
    stalled, mine = world.write(order_id, event(order_id, 1)), world.write(order_id, event(order_id, 2), event(order_id, 2, COMMANDS))
    publisher = publisher_of(world, producer)
    publisher.publish([mine])
    assert on_topic(kafka.bootstrap, EVENTS) == []
    assert sequences(on_topic(kafka.bootstrap, COMMANDS)) == {order_id: [2]}
    publisher.relay()
    assert on_topic(kafka.bootstrap, EVENTS) == [], "the row ahead is still somebody's"
    world.leave(stalled)
    publisher.relay()
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {order_id: [1, 2]}


def test_the_rows_of_a_writer_whose_connection_is_gone_are_the_relay_s_at_once(
    world: World, kafka: KafkaBroker, producer: Producer
) -> None:
    order_id = new_id()
    killed = make_engine(world.engine.url.render_as_string(hide_password=False), pool_size=1)
    World(killed, world.rules).write(order_id, event(order_id, 1))
    publisher = publisher_of(world, producer)
    publisher.relay()
    assert on_topic(kafka.bootstrap, EVENTS) == [], "its connection is idle, but there"

    killed.dispose()

    eventually(lambda: publisher.relay() or world.outbox() == [])
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {order_id: [1]}


def test_threads_that_publish_at_the_same_time_share_a_send(world: World, kafka: KafkaBroker, producer: Producer) -> None:
    orders = [new_id() for _ in range(20)]
    written = {order_id: world.write(order_id, event(order_id, 1), event(order_id, 2)) for order_id in orders}
    sends, begun = [], threading.Event()

    def wait_for_all() -> None:
        sends.append(None)
        if len(sends) == 1:
            begun.set()
            eventually(lambda: len(publisher._turns) == len(orders) - 1)

    publisher = publisher_of(world, Told(producer, before=wait_for_all))
    with ThreadPoolExecutor(len(orders)) as pool:
        first = pool.submit(publisher.publish, [written[orders[0]]])
        assert begun.wait(10)
        others = [pool.submit(publisher.publish, [written[order_id]]) for order_id in orders[1:]]
        assert [each.result(10) for each in (first, *others)] == [None] * len(orders)
    # Two waves each, for the first and for all others together.
    assert len(sends) == 4
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {order_id: [1, 2] for order_id in orders}
    assert world.outbox() == []


def backlog(world: World, number: int) -> list[UUID]:
    """So many orders of one bucket whose one event has waited for a minute."""
    orders = [UUID(int=each * outbox.BUCKETS) for each in range(2, number + 2)]
    with world.engine.begin() as session:
        outbox.insert(session, [Queued(order_id, event(order_id, 1)) for order_id in orders])
    world.rows("UPDATE campusg.outbox SET created_at = created_at - interval '1 minute', not_before = NULL")
    return orders


MINE = UUID(int=outbox.BUCKETS)


def test_what_is_left_to_the_relay_while_it_works_off_a_long_queue_goes_with_its_next_round(
    world: World, kafka: KafkaBroker, producer: Producer
) -> None:
    others, rounds = backlog(world, 100), []

    class Watched(Told):
        def send(self, messages: Sequence[Outgoing], timeout: float) -> list[Exception | None]:
            rounds.append([message.key for message in messages])
            if len(rounds) == 2:
                world.queue(MINE, event(MINE, 1))
            return super().send(messages, timeout)

    publisher_of(world, Watched(producer), Limits(rows_of_relay=20)).relay()
    assert [str(MINE).encode() in each for each in rounds] == [False, False, True, False, False]
    assert len(on_topic(kafka.bootstrap, EVENTS)) == len(others) + 1


def test_a_reading_of_the_newest_rows_has_no_row_without_the_earlier_ones_of_its_order(
    world: World, kafka: KafkaBroker, producer: Producer
) -> None:
    orders = [UUID(int=each * outbox.BUCKETS) for each in range(1, 6)]
    for number in range(1, 31):
        for order_id in orders:
            world.queue(order_id, event(order_id, number))
    publisher_of(world, producer, Limits(rows_of_relay=7)).relay()
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {order_id: list(range(1, 31)) for order_id in orders}


@pytest.mark.parametrize("number", [2, 3])
def test_more_rows_than_one_reading_holds_are_published_in_one_go(
    world: World, kafka: KafkaBroker, producer: Producer, number: int
) -> None:
    orders = [new_id(), new_id()]
    for order_id in orders:
        world.queue(order_id, *(event(order_id, each) for each in range(1, 6)))
    publisher_of(world, producer, Limits(rows_of_relay=number)).relay()
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
