"""The producer's life: made on first use, kept, made anew after a long rest; and a health check that leaves nothing behind."""

import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psutil
import pytest
from kafka.net import manager

from chalicelib.errors import Unavailable
from chalicelib.ids import new_id
from chalicelib.messaging.brokers import Brokers
from chalicelib.messaging.producer import Patience, Producer
from infra.stack.ports import free_port
from tests.integration.test_publisher import event
from tests.support.servers import KafkaBroker

TOPIC = "life-of-a-producer"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Brokers]:
    """Every set of connections that is made."""
    found: list[Brokers] = []
    make = Brokers.__init__

    def noting(self: Brokers, settings: Mapping[str, Any]) -> None:
        found.append(self)
        make(self, settings)

    monkeypatch.setattr(Brokers, "__init__", noting)
    return found


@pytest.fixture
def producer(kafka_server: KafkaBroker) -> Iterator[Producer]:
    kafka_server.create_topics({TOPIC: 3})
    with closing(Producer(kafka_server.bootstrap)) as one:
        yield one


def send(producer: Producer) -> None:
    assert producer.send([event(new_id(), 1, TOPIC)], 5) == [None]


def connections_to(producer: Producer) -> list[str]:
    """This process's connections to the producer's broker that are not closed."""
    [broker] = producer._settings["bootstrap_servers"]
    port = int(broker.rpartition(":")[2])
    return [each.status for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port]


def test_it_is_made_on_first_use_and_kept(producer: Producer, made: list[Brokers]) -> None:
    assert made == []
    send(producer)
    send(producer)
    assert len(made) == 1


def test_it_is_made_anew_after_a_long_rest_and_the_old_one_is_gone(kafka_server: KafkaBroker, made: list[Brokers]) -> None:
    kafka_server.create_topics({TOPIC: 3})
    with closing(Producer(kafka_server.bootstrap, patience=Patience(idle_seconds=-1.0))) as producer:
        send(producer)
        open_files = psutil.Process().num_fds()
        send(producer)
        send(producer)
        assert len(made) == 3
        # Other tests' may end at any time.
        assert psutil.Process().num_fds() <= open_files


def test_it_sends_in_the_thread_of_its_caller(producer: Producer) -> None:
    threads = set(threading.enumerate())
    send(producer)
    assert set(threading.enumerate()) <= threads


def test_several_threads_may_send(producer: Producer) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = pool.map(lambda number: producer.send([event(new_id(), number, TOPIC)] * 3, 5), range(40))
    assert list(outcomes) == [[None] * 3] * 40


def test_an_interrupted_send_leaves_nothing_under_way(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: Any, **__: Any) -> None:
        raise Interrupted

    send(producer)
    monkeypatch.setattr(Brokers, "_wait", interrupt)
    with pytest.raises(Interrupted):
        send(producer)
    assert connections_to(producer) == []
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


def test_a_health_check_leaves_nothing_behind(producer: Producer, made: list[Brokers]) -> None:
    threads, open_files = set(threading.enumerate()), psutil.Process().num_fds()
    producer.check(10)
    assert len(made) == 1
    assert set(threading.enumerate()) <= threads
    assert psutil.Process().num_fds() <= open_files


def test_a_health_check_of_a_broker_that_is_away_says_so() -> None:
    with pytest.raises(Unavailable):
        Producer(f"127.0.0.1:{free_port()}").check(0.3)
