"""What was sent into a stalled network, or before a freeze: nothing is lost, and nothing comes to life later but a repeat."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import psutil
import pytest
from kafka.net import connection, inet, manager, selector, transport

from chalicelib.ids import new_id
from chalicelib.messaging import brokers
from chalicelib.messaging import producer as producing
from chalicelib.messaging.producer import Patience, Producer
from chalicelib.messaging.publisher import Limits
from tests.integration.test_publisher import COMMANDS, EVENTS, event, publisher_of, sequences
from tests.support.database import World
from tests.support.eventually import eventually
from tests.support.frozen_publisher import environment
from tests.support.kafka_records import on_topic
from tests.support.proxy import Proxy, standing_before
from tests.support.servers import KafkaBroker


@pytest.fixture
def proxy(kafka: KafkaBroker) -> Iterator[Proxy]:
    with standing_before(kafka.server.port) as standing:
        yield standing


def hasty(proxy: Proxy) -> Producer:
    """A producer that gives up soon."""
    return Producer(proxy.bootstrap, patience=Patience(request_timeout_ms=3_000))


def copies(kafka: KafkaBroker, topic: str) -> Counter[str]:
    """How often each message stands in the topic, by key and id."""
    return Counter(f"{(each.key or b'').decode()} {each.id}" for each in on_topic(kafka.bootstrap, topic))


def connections(proxy: Proxy) -> list[str]:
    """This process's connections to the proxy that are not closed."""
    mine = psutil.Process().net_connections("tcp")
    return [each.status for each in mine if each.raddr and each.raddr.port == proxy.port and each.laddr.port != proxy.port]


def test_what_was_already_on_its_way_arrives_late_as_a_repeat_and_never_out_of_turn(world: World, kafka: KafkaBroker, proxy: Proxy) -> None:
    orders = [new_id() for _ in range(10)]
    with closing(hasty(proxy)) as producer, closing(Producer(kafka.bootstrap)) as other:
        publisher_of(world, producer).publish(
            [world.write(order_id, event(order_id, 1), event(order_id, 1, COMMANDS)) for order_id in orders]
        )
        assert world.outbox() == []
        proxy.hold()
        publisher_of(world, producer, Limits(send_seconds=0.8)).publish(
            [world.write(order_id, event(order_id, 2), event(order_id, 3), event(order_id, 2, COMMANDS)) for order_id in orders]
        )
        assert len(world.outbox()) == 30
        assert producer.resting
        assert connections(proxy) == []
        publisher_of(world, other).relay()
        assert world.outbox() == []
        passed_on, kept = proxy.produced, proxy.kept()
        assert kept > 0
        proxy.release()
        eventually(lambda: proxy.kept() == 0)
        assert proxy.produced > passed_on
    found = copies(kafka, EVENTS)
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {order_id: [1, 2, 3] for order_id in orders}
    # The wave that was under way may have come twice; the one behind it had not been handed over.
    assert {number for number in found.values()} <= {1, 2}
    assert all(found[f"{order_id} {EVENTS} {number}"] == 1 for order_id in orders for number in (1, 3))
    assert any(found[f"{order_id} {EVENTS} 2"] == 2 for order_id in orders)


def test_what_was_still_ours_is_never_sent_by_a_producer_thrown_away(world: World, kafka: KafkaBroker, proxy: Proxy) -> None:
    orders, warm = [new_id() for _ in range(40)], new_id()
    with closing(hasty(proxy)) as producer, closing(Producer(kafka.bootstrap)) as other:
        publisher_of(world, producer).publish([world.write(warm, event(warm, 1))])
        proxy.stall()
        publisher_of(world, producer, Limits(send_seconds=0.8)).publish(
            [world.write(order_id, event(order_id, 1, size=120_000), event(order_id, 2)) for order_id in orders]
        )
        assert len(world.outbox()) == 80
        assert connections(proxy) == []
        publisher_of(world, other).relay()
        passed_on = proxy.produced
        proxy.release()
        # A client of its own, to be sure that the proxy has passed on what came before it.
        last = new_id()
        with closing(Producer(proxy.bootstrap)) as later:
            publisher_of(world, later).publish([world.write(last, event(last, 1))])
        eventually(lambda: proxy.kept() == 0)
    assert world.outbox() == []
    assert proxy.produced == passed_on + 1
    assert set(copies(kafka, EVENTS).values()) == {1}
    assert sequences(on_topic(kafka.bootstrap, EVENTS)) == {**{order_id: [1, 2] for order_id in orders}, warm: [1], last: [1]}


def test_nothing_is_under_way_when_sending_returns_whatever_became_of_each_record(kafka: KafkaBroker, proxy: Proxy) -> None:
    order_id = new_id()
    records = [event(order_id, 1), event(order_id, 2, size=1_100_000), event(order_id, 3, COMMANDS)]
    with closing(hasty(proxy)) as producer:
        assert [type(outcome).__name__ for outcome in producer.send(records, 5)] == ["NoneType", "MessageSizeTooLargeError", "NoneType"]
        assert not producer.resting
        proxy.hold()
        outcomes = producer.send(records, 0.5)
        assert [type(outcome).__name__ for outcome in outcomes] == ["KafkaTimeoutError", "MessageSizeTooLargeError", "KafkaTimeoutError"]
        assert producer.resting
        assert connections(proxy) == []
        proxy.release()
        eventually(lambda: proxy.kept() == 0)


@pytest.mark.parametrize("idle_seconds", [0.0, 600.0], ids=["longer than it trusts a connection", "shorter"])
def test_a_frozen_environment_whose_connection_the_broker_closed_sends_when_it_thaws(
    world: World, database_url: str, kafka: KafkaBroker, proxy: Proxy, idle_seconds: float
) -> None:
    order_id = new_id()
    with environment(database_url, proxy.bootstrap, idle_seconds=idle_seconds) as lambda_:
        world.queue(order_id, event(order_id, 1))
        lambda_.invoke()
        lambda_.freeze()
        proxy.cut()
        world.queue(order_id, event(order_id, 2), event(order_id, 3))
        lambda_.begin()
        assert len(world.outbox()) == 2
        lambda_.thaw()
        lambda_.end()
        assert world.outbox() == []
    assert copies(kafka, EVENTS) == Counter({f"{order_id} {EVENTS} {number}": 1 for number in (1, 2, 3)})


def test_a_connection_that_was_dropped_without_a_word_is_not_trusted_after_a_long_freeze(
    world: World, database_url: str, kafka: KafkaBroker, proxy: Proxy
) -> None:
    order_id = new_id()
    with environment(database_url, proxy.bootstrap, idle_seconds=0.0) as lambda_:
        world.queue(order_id, event(order_id, 1))
        lambda_.invoke()
        lambda_.freeze()
        proxy.forget()
        world.queue(order_id, event(order_id, 2))
        lambda_.thaw()
        begun = time.monotonic()
        lambda_.invoke()
        assert time.monotonic() - begun < Patience().request_timeout_ms / 1000
        assert world.outbox() == []
    assert copies(kafka, EVENTS) == Counter({f"{order_id} {EVENTS} {number}": 1 for number in (1, 2)})


def test_after_a_short_freeze_such_a_connection_costs_one_publishing_and_the_relay_takes_over(
    world: World, database_url: str, kafka: KafkaBroker, proxy: Proxy
) -> None:
    order_id = new_id()
    impatience = {"request_timeout_ms": 2_000, "rest_seconds": 0}
    with environment(database_url, proxy.bootstrap, **impatience) as lambda_, closing(Producer(kafka.bootstrap)) as other:
        world.queue(order_id, event(order_id, 1))
        lambda_.invoke()
        lambda_.freeze()
        proxy.forget()
        world.queue(order_id, event(order_id, 2), event(order_id, 3))
        lambda_.thaw()
        lambda_.invoke()
        publisher_of(world, other).relay()
        assert world.outbox() == []
        lambda_.freeze()
        lambda_.thaw()
        world.queue(order_id, event(order_id, 4))
        lambda_.invoke()
        assert world.outbox() == []
    assert copies(kafka, EVENTS) == Counter({f"{order_id} {EVENTS} {number}": 1 for number in (1, 2, 3, 4)})


class Clock:
    """Real clocks that can be put forward, as a thaw may do."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._real = SimpleNamespace(monotonic=time.monotonic, time=time.time)

    def monotonic(self) -> float:
        return float(self._real.monotonic()) + self.ahead

    def time(self) -> float:
        return float(self._real.time()) + self.ahead


@pytest.mark.parametrize("idle_seconds", [240.0, float("inf")], ids=["rebuilt", "kept"])
@pytest.mark.parametrize(
    "hours", [0.1, pytest.param(24.0, marks=pytest.mark.embedded("Apache Kafka 4 takes no time an hour ahead of its own"))]
)
def test_a_clock_that_jumps_while_nothing_is_under_way_loses_nothing(
    kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch, idle_seconds: float, hours: float
) -> None:
    clock = Clock()
    for module in (connection, inet, manager, selector, transport, brokers, producing):
        monkeypatch.setattr(module, "time", clock)
    order_id = new_id()
    with closing(Producer(kafka.bootstrap, patience=Patience(idle_seconds=idle_seconds))) as producer:
        for number in (1, 2, 3):
            assert producer.send([event(order_id, number)], 5) == [None]
            clock.ahead += hours * 3600
    assert copies(kafka, EVENTS) == Counter({f"{order_id} {EVENTS} {number}": 1 for number in (1, 2, 3)})
