"""The producer's life: made on first use, kept, made anew after a long rest; and a health check that leaves nothing behind."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.net import manager

from chalicelib.errors import Unavailable
from chalicelib.ids import new_id
from chalicelib.messaging import producer as producing
from chalicelib.messaging.producer import Patience, Producer
from infra.stack.ports import free_port
from tests.integration.test_publisher import event
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker

TOPIC = "life-of-a-producer"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The settings of every producer of kafka-python that is made."""
    found: list[dict[str, Any]] = []
    make = KafkaProducer.__init__

    def noting(self: KafkaProducer, **settings: Any) -> None:
        found.append(settings)
        make(self, **settings)

    monkeypatch.setattr(KafkaProducer, "__init__", noting)
    return found


@pytest.fixture
def producer(kafka_server: KafkaBroker) -> Iterator[Producer]:
    kafka_server.create_topics({TOPIC: 3})
    with closing(Producer(kafka_server.bootstrap)) as one:
        yield one


def send(producer: Producer) -> None:
    assert producer.send([event(new_id(), 1, TOPIC)], 5) == [None]


def test_a_cold_start_does_not_even_import_the_client() -> None:
    program = "import sys; sys.path.insert(0, 'orders_app'); import app; from chalicelib.messaging.producer import Producer; "
    program += "Producer('127.0.0.1:1'); print('kafka' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_it_is_made_on_first_use_and_kept(producer: Producer, made: list[dict[str, Any]]) -> None:
    assert made == []
    send(producer)
    send(producer)
    assert len(made) == 1


def test_it_is_made_anew_after_a_long_rest_and_the_old_one_is_gone(kafka_server: KafkaBroker, made: list[dict[str, Any]]) -> None:
    kafka_server.create_topics({TOPIC: 3})
    with closing(Producer(kafka_server.bootstrap, patience=Patience(idle_seconds=-1.0))) as producer:
        send(producer)
        threads = threading.active_count()
        send(producer)
        send(producer)
        assert len(made) == 3
        assert threading.active_count() == threads


def test_it_loses_nothing_and_repeats_nothing_by_itself(producer: Producer, made: list[dict[str, Any]]) -> None:
    send(producer)
    [settings] = made
    assert (settings["acks"], settings["enable_idempotence"], settings["linger_ms"]) == ("all", True, 0)
    waits = [settings[name] for name in ("max_block_ms", "request_timeout_ms", "delivery_timeout_ms")]
    assert waits == sorted(waits)


def test_an_interrupted_send_leaves_nothing_under_way(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: Any, **__: Any) -> None:
        raise Interrupted

    send(producer)
    threads = threading.active_count()
    monkeypatch.setattr(producing, "_outcome", interrupt)
    with pytest.raises(Interrupted):
        send(producer)
    assert threading.active_count() == threads - 1
    assert producer.resting


def test_its_connections_are_kept_alive_and_reset_at_their_end(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[socket.socket] = []
    connect = manager.create_connection

    async def noting(*arguments: Any, **options: Any) -> socket.socket:
        connection: socket.socket = await connect(*arguments, **options)
        connections.append(connection)
        return connection

    monkeypatch.setattr(manager, "create_connection", noting)
    send(producer)
    [connection] = [each for each in connections if each.fileno() >= 0]
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == b"\x01\x00\x00\x00\x00\x00\x00\x00"
    producer.close()
    assert connection.fileno() == -1


def test_a_health_check_leaves_no_thread_and_no_producer_behind(producer: Producer, made: list[dict[str, Any]]) -> None:
    before = threading.active_count()
    producer.check(2)
    eventually(lambda: threading.active_count() == before)
    assert [settings["enable_idempotence"] for settings in made] == [False]


def test_a_health_check_of_a_broker_that_is_away_says_so() -> None:
    with pytest.raises(Unavailable):
        Producer(f"127.0.0.1:{free_port()}").check(0.3)
