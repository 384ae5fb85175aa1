"""The embedded servers, started by themselves: as root or not, after a crash, and never longer than their parent."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from infra.stack import postgres
from infra.stack.broker import EMBEDDED_TOPIC_CONFIG, BrokerError, ensure_topics, start_broker
from infra.stack.launch import MAPPED
from infra.stack.logfile import LogFile
from infra.stack.ports import free_port
from infra.stack.postgres import EmbeddedPostgres, PostgresError, identity_for, start_postgres
from infra.stack.process import ServerCommand, ServerProcess
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker
from tests.support.stack import is_running

ROOT_USER = os.geteuid() == 0


@pytest.mark.parametrize("namespaces", [True, False])
def test_postgresql_never_runs_as_root_with_or_without_user_namespaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespaces: bool
) -> None:
    monkeypatch.setattr(postgres, "_has_user_namespaces", lambda: namespaces)
    expected = (MAPPED if namespaces else str(postgres.NOBODY)) if ROOT_USER else None
    closed = tmp_path / "closed home" / "data"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)

    assert identity_for(closed / "postgres") == expected
    server, process = start_postgres(closed, free_port(), tmp_path / "log")
    try:
        assert server.execute("SELECT current_user::text") == [(postgres.USER,)]
        assert stat.S_IMODE(closed.parent.stat().st_mode) == 0o700
    finally:
        process.stop()


def test_a_cluster_of_root_is_handed_over_where_user_namespaces_have_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, process = start_postgres(tmp_path, free_port(), tmp_path / "log")
    server.ensure_database()
    process.stop()
    monkeypatch.setattr(postgres, "_has_user_namespaces", lambda: False)

    server, process = start_postgres(tmp_path, free_port(), tmp_path / "log")

    assert server.execute("SELECT datname::text FROM pg_database WHERE datname = 'orders'") == [("orders",)]
    process.stop()


def test_postgresql_keeps_port_and_rows_through_a_crash(tmp_path: Path) -> None:
    server, process = start_postgres(tmp_path, free_port(), tmp_path / "log")
    server.execute("CREATE TABLE kept AS SELECT 1 AS number")
    assert server.execute("SHOW fsync") == [("on",)]
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: process.exit_code is not None)

    # At once after a crash the former server's children may still be ending; then the supervisor tries again.
    started = eventually(lambda: _started(tmp_path, server.port))

    assert started is not None
    again, second = started
    assert again.execute("SELECT number FROM kept") == [(1,)]
    second.stop()


def test_the_pid_file_of_a_crashed_postgresql_may_name_another_program_by_now(tmp_path: Path) -> None:
    server, process = start_postgres(tmp_path, free_port(), tmp_path / "log")
    pid_file = tmp_path / "postgres" / "postmaster.pid"
    content = pid_file.read_text()
    process.stop()
    stranger = subprocess.Popen(["sleep", "60"])
    pid_file.write_text(content.replace(str(process.pid), str(stranger.pid), 1))

    try:
        _, second = start_postgres(tmp_path, server.port, tmp_path / "log")
    finally:
        stranger.kill()
        stranger.wait()

    second.stop()


def test_an_initdb_that_was_interrupted_is_done_again(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    EmbeddedPostgres(tmp_path, free_port()).prepare()

    assert not unfinished.exists()
    assert (tmp_path / "postgres" / "global").is_dir()


def test_a_foreign_folder_in_the_place_of_the_cluster_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "notes.txt").write_text("mine")

    with pytest.raises(PostgresError, match="no PostgreSQL cluster"):
        EmbeddedPostgres(tmp_path, free_port()).prepare()

    assert (tmp_path / "postgres" / "notes.txt").read_text() == "mine"


def test_a_postgresql_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    port = free_port()
    broker, process = start_broker(tmp_path, port, tmp_path / "kafka.log")
    try:
        with pytest.raises(PostgresError, match="Address already in use"):
            start_postgres(tmp_path, broker.port, tmp_path / "log")
    finally:
        process.stop()


def test_a_broker_keeps_its_topics_through_a_crash_or_has_them_made_again(tmp_path: Path) -> None:
    broker, process = start_broker(tmp_path, free_port(), tmp_path / "log")
    ensure_topics(broker.bootstrap, {"orders": 3})
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: process.exit_code is not None)

    again, second = start_broker(tmp_path, broker.port, tmp_path / "log")
    ensure_topics(again.bootstrap, {"orders": 3, "more": 1})
    ensure_topics(again.bootstrap, {"orders": 3, "more": 1})

    assert again.bootstrap == broker.bootstrap
    second.stop()


def test_the_embedded_broker_s_topics_drop_what_is_old_also_those_made_with_other_settings(bare_kafka: KafkaBroker) -> None:
    ensure_topics(bare_kafka.bootstrap, {"orders": 1}, {"retention.ms": "3600000"}, {"orders": {"max.message.bytes": "1000"}})
    bare_kafka.create_topics({"orders": 1, "more": 1})

    admin = KafkaAdminClient(bootstrap_servers=bare_kafka.bootstrap)
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in ("orders", "more")]
    found = admin.describe_configs(asked, config_filter="all")["topic"]
    admin.close()
    for settings in found.values():
        assert {name: settings[name]["value"] for name in EMBEDDED_TOPIC_CONFIG} == EMBEDDED_TOPIC_CONFIG
    assert found["orders"]["max.message.bytes"]["value"] == "1000"


def test_a_topic_with_another_number_of_partitions_is_named(bare_kafka: KafkaBroker) -> None:
    bare_kafka.create_topics({"orders": 1})

    with pytest.raises(BrokerError, match=r"topic orders has 1 partitions where 3 are needed"):
        bare_kafka.create_topics({"orders": 3})


def test_a_broker_that_does_not_answer_is_given_up_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"KAFKA_BROKERS.*127\.0\.0\.1:1$"):
        ensure_topics("127.0.0.1:1", {"orders": 3}, patience=0.5)


def test_a_server_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert starter.stdout is not None
    server = int(starter.stdout.readline())
    assert is_running(server)

    starter.kill()
    starter.communicate()

    eventually(lambda: not is_running(server))


def test_where_the_kernel_does_not_tell_a_guard_ends_the_server() -> None:
    parent = subprocess.Popen(["sleep", "60"])
    guarded = subprocess.Popen([sys.executable, "-c", GUARDED, str(parent.pid)], cwd=Path(__file__).parents[2])

    parent.kill()
    parent.wait()

    assert guarded.wait(5) == -signal.SIGKILL


def test_a_server_that_ignores_the_request_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.stack.process.STOP_PATIENCE_SECONDS", 0.2)
    process = ServerProcess(
        ServerCommand(["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]), LogFile(tmp_path / "log")
    )
    eventually((tmp_path / "log").read_text)

    process.stop()

    assert process.exit_code == -signal.SIGKILL


def _started(data_dir: Path, port: int) -> tuple[EmbeddedPostgres, ServerProcess] | None:
    try:
        return start_postgres(data_dir, port, data_dir / "log")
    except PostgresError:
        return None


STARTER = """
import sys, time
from pathlib import Path
from infra.stack.logfile import LogFile
from infra.stack.process import ServerCommand, ServerProcess
print(ServerProcess(ServerCommand(["/bin/sleep", "60"]), LogFile(Path(sys.argv[1]))).pid, flush=True)
time.sleep(60)
"""
GUARDED = """
import os, signal, sys
from infra.stack.launch import leave_guard
leave_guard(int(sys.argv[1]), signal.SIGKILL)
os.execv("/bin/sleep", ["sleep", "60"])
"""
