"""The simulated partners over a real broker and a real PostgreSQL."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from chalicelib.messages import commands, envelope, topics
from chalicelib.messages.envelope import Incoming, MessageContext, Outgoing
from infra.partners import ledger, requests, service
from infra.partners.database import connect
from infra.partners.service import GROUP, Worker, run
from infra.partners.settings import Settings
from infra.partners.store import Store
from infra.stack.broker import EMBEDDED_TOPIC_CONFIG, ensure_topics, start_broker
from infra.stack.ports import free_port
from infra.stack.process import ServerProcess
from tests.support import record_batches
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker

NOW = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)
REPLY_TOPICS = (topics.USER_EVENTS, topics.PAYMENT_EVENTS, topics.ESCROW_EVENTS)


def message(command: commands.Command, order_id: str, *, id: str | None = None, saga_id: str = "saga-1") -> Outgoing:
    return envelope.encode(command, order_id, MessageContext("correlation-1", saga_id=saga_id), id=id or str(uuid4()), time=NOW)


def authorize(order_id: str, customer_id: str = "cust_1") -> commands.AuthorizePayment:
    return commands.AuthorizePayment(
        order_id=order_id, customer_id=customer_id, payment_method_id="pm_1", amount=Decimal("12.99"), currency="SGD"
    )


def hold(order_id: str) -> commands.HoldEscrow:
    return commands.HoldEscrow(
        order_id=order_id,
        customer_id="cust_1",
        amount=Decimal("12.99"),
        food_fee=Decimal("9.00"),
        delivery_fee=Decimal("3.99"),
        currency="SGD",
    )


class World:
    """The order service's side of the broker: what it sends, and all that was ever answered."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._producer = KafkaProducer(bootstrap_servers=[bootstrap])
        self._consumer = KafkaConsumer(bootstrap_servers=[bootstrap], auto_offset_reset="earliest", max_poll_records=5000)
        self._consumer.assign([TopicPartition(topic, number) for topic in REPLY_TOPICS for number in range(3)])
        self.replies: list[Any] = []

    def send(self, *messages: Outgoing) -> None:
        for each in messages:
            self._producer.send(each.topic, key=each.key, value=each.value, headers=list(each.headers))
        self._producer.flush(10)

    def answers(self, count: int) -> Sequence[Any]:
        """The first `count` replies, in the order of their arrival here."""

        def enough() -> bool:
            for records in self._consumer.poll(timeout_ms=50).values():
                self.replies.extend(records)
            return len(self.replies) >= count

        eventually(enough, what=f"reply number {count}")
        return self.replies

    def wire(self, record: Any) -> tuple[str, bytes, bytes, list[tuple[str, bytes]]]:
        return record.topic, record.key, record.value, list(record.headers)

    def committed(self, topic: str) -> int:
        """How many records of a topic the partners are done with."""
        consumer = KafkaConsumer(bootstrap_servers=[self.bootstrap], group_id=GROUP, enable_auto_commit=False)
        try:
            return sum(consumer.committed(TopicPartition(topic, number)) or 0 for number in range(3))
        finally:
            consumer.close()

    def close(self) -> None:
        self._producer.close(timeout=1)
        self._consumer.close(autocommit=False)


def type_of(record: Any) -> str:
    return str(dict(record.headers)["ce_type"], "utf-8")


@pytest.fixture
def world(kafka: KafkaBroker) -> Iterator[World]:
    world = World(kafka.bootstrap)
    yield world
    world.close()


@pytest.fixture
def settings(kafka: KafkaBroker, empty_database: str) -> Settings:
    return Settings(empty_database, (kafka.bootstrap,))


@contextlib.contextmanager
def at_work(settings: Settings) -> Iterator[None]:
    """The partners in a thread of this process."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(settings, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


@contextlib.contextmanager
def process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The partners as the process they are, once they have said that they are ready."""
    reading, writing = os.pipe()
    environment = {**os.environ, "DATABASE_URL": settings.database_url, "KAFKA_BROKERS": ",".join(settings.kafka_brokers)}
    child = subprocess.Popen([sys.executable, "-m", "infra.partners"], env={**environment, "READY_FD": str(writing)}, pass_fds=[writing])
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            assert pipe.read() == b"ready\n"
        yield child
    finally:
        child.kill()
        child.wait(10)


def test_an_order_is_taken_through_all_partners(world: World, settings: Settings) -> None:
    with at_work(settings):
        world.send(
            message(commands.ValidateCustomer(customer_id="cust_1"), "order-1"),
            message(authorize("order-1"), "order-1"),
            message(hold("order-1"), "order-1"),
            message(
                commands.SendNotification(
                    recipient_id="cust_1",
                    recipient_type="CUSTOMER",
                    notification_type="ORDER_OPENED",
                    title="Open",
                    message="Für dich",
                    order_id="order-1",
                ),
                "order-1",
            ),
        )
        types = {type_of(record) for record in world.answers(3)}
        eventually(lambda: ledger.ledger_of(settings.database_url, "order-1").notifications, what="the notification")
    assert types == {"user.customer_validated", "payment.authorized", "escrow.held"}
    books = ledger.ledger_of(settings.database_url, "order-1")
    assert [(row["amount"], row["status"]) for row in books.payments] == [(Decimal("12.99"), "AUTHORIZED")]
    assert [(row["amount"], row["status"]) for row in books.holds] == [(Decimal("12.99"), "HELD")]
    assert books.notifications[0]["message"] == "Für dich"
    assert {(row["type"], row["reply_type"]) for row in books.answers} == {
        ("user.validate_customer", "user.customer_validated"),
        ("payment.authorize", "payment.authorized"),
        ("escrow.hold", "escrow.held"),
        ("notification.send", None),
    }
    open_money = ledger.open_money(settings.database_url)
    assert {(money.kind, money.order_id, money.amount) for money in open_money} == {
        ("authorization", "order-1", Decimal("12.99")),
        ("hold", "order-1", Decimal("12.99")),
    }


def test_money_given_back_is_no_longer_open(world: World, settings: Settings) -> None:
    with at_work(settings):
        world.send(message(authorize("order-1", "silent_1"), "order-1"), message(hold("order-1"), "order-1"))
        world.answers(1)
        eventually(lambda: len(ledger.open_money(settings.database_url)) == 2, what="open money")
        undo = commands.ReleasePayment(order_id="order-1"), commands.RefundEscrow(order_id="order-1")
        world.send(*(message(command, "order-1") for command in undo))
        types = sorted(type_of(record) for record in world.answers(3))
    assert types == ["escrow.held", "escrow.refunded", "payment.released"]
    assert ledger.open_money(settings.database_url) == []


def test_without_partners_there_is_no_open_money(empty_database: str) -> None:
    assert ledger.open_money(empty_database) == []
    assert ledger.ledger_of(empty_database, "order-1").payments == []


def test_a_repeated_command_gets_the_very_same_bytes_also_from_another_process(world: World, settings: Settings) -> None:
    accepted, refused = message(authorize("order-1"), "order-1"), message(authorize("order-2", "declined_é"), "order-2")
    with at_work(settings):
        world.send(accepted, refused, accepted)
        world.answers(3)
    with at_work(settings):
        world.send(refused, accepted)
        records = [world.wire(record) for record in world.answers(5)]
    for order_id, copies in (b"order-1", 3), (b"order-2", 2):
        of_order = [record for record in records if record[1] == order_id]
        assert of_order == of_order[:1] * copies
    assert len(ledger.ledger_of(settings.database_url, "order-1").payments) == 1


def test_what_its_undo_came_before_is_refused_also_by_another_process(world: World, settings: Settings) -> None:
    with at_work(settings):
        world.send(
            message(commands.ReleasePayment(order_id="order-1"), "order-1"),
            message(commands.RefundEscrow(order_id="order-1"), "order-1"),
            message(hold("order-2"), "order-2"),
        )
        world.answers(3)
        escrow_id = ledger.ledger_of(settings.database_url, "order-2").holds[0]["escrow_id"]
        world.send(message(commands.UnassignRunner(order_id="order-2", escrow_id=escrow_id), "order-2"))
        world.answers(4)
    assign = commands.AssignRunner(order_id="order-2", escrow_id=escrow_id, runner_id="run_1")
    with at_work(settings):
        world.send(message(authorize("order-1"), "order-1"), message(hold("order-1"), "order-1"), message(assign, "order-2"))
        world.answers(7)
        world.send(message(assign, "order-2", saga_id="saga-2"))
        types = [type_of(record) for record in world.answers(8)[4:]]
    assert sorted(types[:3]) == ["escrow.hold_failed", "escrow.runner_assignment_failed", "payment.declined"]
    assert types[3] == "escrow.runner_assigned"


def test_what_can_t_be_read_blocks_nothing(world: World, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    junk = Outgoing(topics.PAYMENT_COMMANDS, b"order-1", b"\xff\x00junk", (("ce_id", b"\xff"),))
    bad = message(authorize("order-1"), "order-1")
    with at_work(settings):
        world.send(junk, Outgoing(bad.topic, bad.key, b'{"orderId":"order-1"}', bad.headers), Outgoing(bad.topic, bad.key, None, ()))
        world.send(message(authorize("order-1"), "order-1"))
        assert type_of(world.answers(1)[0]) == "payment.authorized"
        eventually(lambda: world.committed(topics.PAYMENT_COMMANDS) == 4, what="the committed offsets")
    assert [record.message for record in caplog.records].count("command can't be read, skipped") == 3


def test_commands_are_read_whatever_their_codec(world: World, settings: Settings) -> None:
    with at_work(settings):
        for number, codec in enumerate(record_batches.CODECS.values()):
            command = message(authorize(f"order-{number}"), f"order-{number}")
            assert record_batches.produce(world.bootstrap, command.topic, in_a_batch(command, codec)) == 0
        answers = world.answers(len(record_batches.CODECS))
    assert {type_of(record) for record in answers} == {"payment.authorized"}


@pytest.mark.embedded("Apache Kafka refuses to take such a batch")
def test_a_batch_that_can_t_be_read_is_skipped_and_blocks_nothing(
    world: World, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    command = message(authorize("order-1"), "order-1")
    broken = record_batches.batch(b"x", b"y", attributes=7)
    with at_work(settings):
        for records in (in_a_batch(command), broken, in_a_batch(command, record_batches.CODECS["lz4"]), broken):
            assert record_batches.produce(world.bootstrap, command.topic, records) == 0
        assert [type_of(record) for record in world.answers(2)] == ["payment.authorized"] * 2
        eventually(lambda: world.committed(command.topic) == 6, what="the committed offsets")
    skipped = [record for record in caplog.records if record.message == "batch can't be read, skipped"]
    assert [(record.topic, record.partition, record.offset, record.until) for record in skipped] == [  # type: ignore[attr-defined]
        (command.topic, 0, 1, 2),
        (command.topic, 0, 4, 5),
    ]
    assert "starting over" not in caplog.text


def in_a_batch(command: Outgoing, codec: record_batches.Codec = record_batches.CODECS["none"]) -> bytes:
    headers = [(name.encode(), value) for name, value in command.headers]
    return record_batches.batch(command.value or b"", codec=codec, key=command.key, headers=headers)


def test_answers_not_sent_before_a_crash_are_sent_after_it(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KafkaTimeoutError("as if the process had died here")

    world.send(message(authorize("order-1"), "order-1", id="command-1"))
    with monkeypatch.context() as patched, Worker(settings) as worker:
        patched.setattr(worker._replies, "send", crash)
        with pytest.raises(KafkaTimeoutError):
            worker.serve(threading.Event())
    before = ledger.ledger_of(settings.database_url, "order-1")
    assert [row["command_id"] for row in before.answers] == ["command-1"]
    assert world.committed(topics.PAYMENT_COMMANDS) == 0
    with at_work(settings):
        (reply,) = world.answers(1)
        eventually(lambda: world.committed(topics.PAYMENT_COMMANDS) == 1, what="the committed offset")
    assert json.loads(reply.value)["paymentId"] == before.payments[0]["payment_id"]
    assert ledger.ledger_of(settings.database_url, "order-1") == before


def test_offsets_are_committed_once_in_a_while_and_at_a_clean_end(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "COMMIT_SECONDS", 60.0)
    with at_work(settings):
        world.send(message(authorize("order-1"), "order-1"))
        eventually(lambda: world.committed(topics.PAYMENT_COMMANDS) == 1, what="the first commit")
        world.send(message(authorize("order-2"), "order-2"))
        world.answers(2)
        assert world.committed(topics.PAYMENT_COMMANDS) == 1
    assert world.committed(topics.PAYMENT_COMMANDS) == 2


def test_a_batch_of_500_takes_as_many_statements_as_a_batch_of_one(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(empty_database)
    round_trips: list[str] = []
    # pg8000's own four ways to the server, one round trip each.
    for name in "execute_simple", "execute_named", "execute_unnamed", "prepare_statement":
        monkeypatch.setattr(store._connection, name, _counted(getattr(store._connection, name), name, round_trips))

    def worked(count: int) -> list[str]:
        batch = [_read(message(command(f"order-{uuid4()}"), "order")) for _ in range(count // 2) for command in (authorize, hold)]
        round_trips.clear()
        assert len(store.work(batch or [_read(message(authorize("one"), "one"))], NOW, lambda: str(uuid4())).replies) == max(count, 1)
        return list(round_trips)

    try:
        assert worked(500) == worked(1) == ["execute_simple", "execute_named", "execute_named", "execute_simple"]
    finally:
        store.close()


def test_500_commands_at_once_are_all_answered(world: World, settings: Settings) -> None:
    orders = [f"order-{number}" for number in range(500)]
    with at_work(settings):
        world.send(*(message(authorize(order_id), order_id) for order_id in orders))
        answered = [record.key.decode() for record in world.answers(500)]
    assert sorted(answered) == sorted(orders)
    assert len(ledger.open_money(settings.database_url)) == 500


def test_long_statements_are_not_held_back(empty_database: str) -> None:
    with contextlib.closing(connect(empty_database)) as connection:
        assert connection._usock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_what_is_seven_days_old_is_forgotten_unless_its_money_is_open(empty_database: str) -> None:
    store = Store.open(empty_database)
    for order_id, command in (
        ("settled", commands.ReleasePayment(order_id="settled")),
        ("open", authorize("open")),
        ("recent", commands.ReleasePayment(order_id="recent")),
    ):
        store.work([_read(message(command, order_id))], NOW, lambda: str(uuid4()))
    with contextlib.closing(connect(empty_database)) as connection:
        connection.run("update partners.orders set last_message_at = now() - interval '8 days' where order_id <> 'recent'")
        store.forget_old()
        assert connection.run("select order_id from partners.answers order by order_id") == [["open"], ["recent"]]
    store.close()


def test_a_database_connection_that_is_killed_is_survived(world: World, settings: Settings) -> None:
    with at_work(settings):
        world.send(message(authorize("order-1"), "order-1"))
        world.answers(1)
        with contextlib.closing(connect(settings.database_url)) as connection:
            connection.run(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'campusg-partners' "
                "and pid <> pg_backend_pid() and datname = current_database()"
            )
        world.send(message(authorize("order-2"), "order-2"))
        world.answers(2)
    assert len(ledger.open_money(settings.database_url)) == 2


def test_a_broker_that_is_restarted_and_lost_everything_is_served_from_its_start(empty_database: str, tmp_path: Path) -> None:
    folder, port = tmp_path / "first", free_port()
    folder.mkdir()
    broker, server = start_broker(folder, port, tmp_path / "log")
    ensure_topics(broker.bootstrap, topics.PARTITIONS, EMBEDDED_TOPIC_CONFIG)
    settings = Settings(empty_database, (broker.bootstrap,))
    command = message(authorize("order-1"), "order-1")
    second: ServerProcess | None = None
    try:
        with at_work(settings):
            before = World(broker.bootstrap)
            before.send(command)
            first = before.wire(before.answers(1)[0])
            eventually(lambda: before.committed(topics.PAYMENT_COMMANDS) == 1, what="the committed offset")
            before.close()
            server.kill()
            (tmp_path / "second").mkdir()
            broker, second = start_broker(tmp_path / "second", port, tmp_path / "log")
            ensure_topics(broker.bootstrap, topics.PARTITIONS, EMBEDDED_TOPIC_CONFIG)
            after = World(broker.bootstrap)
            # The same offsets as before the restart: who only reconnects takes them for read.
            after.send(command)
            assert after.wire(after.answers(1)[0]) == first
            after.close()
    finally:
        for process_to_end in filter(None, (server, second)):
            process_to_end.kill()


def test_a_broker_that_takes_connections_but_says_nothing_costs_no_thread_a_try(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CLIENT_SETTINGS", {**service.CLIENT_SETTINGS, "bootstrap_timeout_ms": 100})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        deaf = Settings(settings.database_url, (f"127.0.0.1:{silent.getsockname()[1]}",))
        before = set(threading.enumerate())
        for _ in range(4):
            with pytest.raises(KafkaError):
                Worker(deaf)

    assert set(threading.enumerate()) <= before


def test_two_processes_may_start_at_once_on_an_empty_database(world: World, settings: Settings) -> None:
    with process(settings), process(settings):
        world.send(message(authorize("order-1"), "order-1"))
        copies = {str(world.wire(record)) for record in world.answers(2)}
    assert len(copies) == 1
    assert len(ledger.ledger_of(settings.database_url, "order-1").payments) == 1


def test_the_process_ends_soon_after_sigterm_also_when_the_database_hangs(world: World, settings: Settings) -> None:
    with process(settings) as child:
        child.send_signal(signal.SIGTERM)
        assert child.wait(8) == 0
    with process(settings) as child, contextlib.closing(connect(settings.database_url)) as connection:
        connection.run("begin; lock table partners.orders in access exclusive mode")
        world.send(message(authorize("order-1"), "order-1"))
        eventually(
            lambda: connection.run("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")[0][0] > 0,
            what="the partners waiting for the lock",
        )
        child.send_signal(signal.SIGTERM)
        # The database is given up after ten seconds.
        assert child.wait(8) == 0


def test_a_missing_setting_ends_the_process_with_a_sentence(kafka: KafkaBroker) -> None:
    environment = {**os.environ, "DATABASE_URL": "", "KAFKA_BROKERS": kafka.bootstrap}
    result = subprocess.run([sys.executable, "-m", "infra.partners"], env=environment, capture_output=True, text=True, timeout=20)
    assert result.returncode != 0
    assert "DATABASE_URL" in result.stderr.splitlines()[-1]


def _counted(function: Any, name: str, calls: list[str]) -> Any:
    def counting(*arguments: Any, **named: Any) -> Any:
        calls.append(name)
        return function(*arguments, **named)

    return counting


def _read(record: Outgoing) -> requests.Request:
    return requests.read(Incoming(record.topic, 0, 0, record.key, record.value, record.headers))
