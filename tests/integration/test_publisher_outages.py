"""Publishing while the broker or the database is away: it returns in time, raises nothing, and nothing is lost."""

import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import Database, make_engine
from chalicelib.ids import new_id
from chalicelib.messages.topics import PARTITIONS
from chalicelib.messaging.producer import Patience, Producer
from chalicelib.messaging.publisher import Limits, Publisher
from infra.stack.broker import ensure_topics, start_broker
from infra.stack.ports import free_port
from tests.integration.test_publisher import EVENTS, event, publisher_of, sequences
from tests.support.database import World
from tests.support.kafka_records import on_topic
from tests.support.servers import KafkaBroker


@pytest.fixture
def producer(kafka: KafkaBroker) -> Any:
    with closing(Producer(kafka.bootstrap)) as made:
        yield made


def test_without_a_broker_one_of_many_finds_out_and_the_next_publishing_after_the_rest_delivers(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts, connect = [], Producer._connect

    def counting(self: Producer) -> Any:
        attempts.append(self)
        return connect(self)

    monkeypatch.setattr(Producer, "_connect", counting)
    port, orders = free_port(), [new_id() for _ in range(20)]
    written = [world.write(order_id, event(order_id, 1)) for order_id in orders]
    with closing(Producer(f"127.0.0.1:{port}", patience=Patience(max_block_ms=300, rest_seconds=60))) as producer:
        publisher = publisher_of(world, producer)
        threads = [threading.Thread(target=publisher.publish, args=([each],)) for each in written]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(attempts) == 1
        assert len(world.outbox()) == 20
        assert world.rows("SELECT 1 FROM campusg.outbox WHERE not_before > clock_timestamp()") == []
        broker, process = start_broker(tmp_path, port, tmp_path / "log")
        try:
            ensure_topics(broker.bootstrap, PARTITIONS)
            producer._resting_until = 0.0
            publisher.relay()
            assert sequences(on_topic(broker.bootstrap, EVENTS)) == {order_id: [1] for order_id in orders}
        finally:
            process.stop()
    assert world.outbox() == []


def test_a_broker_that_stops_answering_costs_a_bounded_time_whatever_the_number_of_rows(world: World, tmp_path: Path) -> None:
    hasty = Patience(max_block_ms=2_000, request_timeout_ms=2_000)
    broker, process = start_broker(tmp_path, free_port(), tmp_path / "log")
    try:
        ensure_topics(broker.bootstrap, PARTITIONS)
        with closing(Producer(broker.bootstrap, patience=hasty)) as producer:
            warm = new_id()
            publisher_of(world, producer).publish([world.write(warm, event(warm, 1))])
            assert world.outbox() == []
            os.kill(process.pid, signal.SIGSTOP)
            orders = [new_id() for _ in range(50)]
            written = [world.write(order_id, event(order_id, 1), event(order_id, 1, "no-such-topic")) for order_id in orders]
            begun = time.monotonic()
            publisher_of(world, producer, Limits(send_seconds=0.8)).publish(written)
            assert time.monotonic() - begun < 10
            assert len(world.outbox()) == 100
            os.kill(process.pid, signal.SIGCONT)
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.stop()


@pytest.mark.parametrize("transactions", [0, 1])
def test_a_database_that_goes_away_while_publishing_is_no_error_of_the_caller(
    world: World, kafka: KafkaBroker, producer: Producer, transactions: int
) -> None:
    order_id = new_id()
    written = world.write(order_id, event(order_id, 1))
    away = make_engine(f"postgresql+pg8000://u:p@127.0.0.1:{free_port()}/d", pool_size=1)
    engines = iter([*[world.engine] * transactions, *[away] * 100])

    class Vanishing(Database):
        def __init__(self) -> None:
            super().__init__(away)

        def transaction(self) -> Any:
            return next(engines).begin()

    publisher = Publisher(Vanishing(), producer, new_id)
    publisher.publish([written])
    assert len(world.outbox()) == 1 - transactions
    assert len(on_topic(kafka.bootstrap, EVENTS)) == 1
    with pytest.raises(sa.exc.SQLAlchemyError):
        publisher.relay()
