"""How `make kafka` reads docker-compose.yml, and what it says where tools are missing."""

import signal
import socket
from pathlib import Path

import pytest

from infra.stack import apache_kafka
from infra.stack.apache_kafka import ApacheKafka, install, kafka_service, server_properties, start_kafka, version_of
from infra.stack.broker import BrokerError

PORTS = {"HOST": 1, "CONTAINERS": 2, "CONTROLLER": 3}
ADDRESSES = {
    "listeners": "HOST://127.0.0.1:1,CONTAINERS://127.0.0.1:2,CONTROLLER://127.0.0.1:3",
    "advertised.listeners": "HOST://127.0.0.1:1,CONTAINERS://127.0.0.1:2",
    "controller.quorum.voters": "1@127.0.0.1:3",
    "log.dirs": "/data",
}


def test_every_setting_is_the_container_s_but_addresses_and_the_folder() -> None:
    environment = kafka_service({})["environment"]
    properties = server_properties({name: str(value) for name, value in environment.items()}, Path("/data"), PORTS)
    assert {name: properties.pop(name) for name in ADDRESSES} == ADDRESSES
    as_compose_has_it = {name: str(value) for name, value in environment.items() if name != "CLUSTER_ID"}
    named_back = {f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in properties.items()}
    assert as_compose_has_it.items() - named_back.items() == {
        (name, str(environment[name])) for name in (f"KAFKA_{each.replace('.', '_').upper()}" for each in ADDRESSES)
    }
    assert properties["auto.create.topics.enable"] == "false"


def test_the_port_is_replaced_as_compose_does() -> None:
    advertised = kafka_service({"KAFKA_PORT": "19999"})["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert advertised == "HOST://127.0.0.1:19999,CONTAINERS://kafka:19092"


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match=r"Apache Kafka needs Java 17 or newer and Maven \(mvn\)"):
        install(kafka_service())


def test_a_port_that_is_taken_is_not_taken_for_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(BrokerError, match="KAFKA_PORT"):
        start_kafka(tmp_path, other.getsockname()[1], tmp_path / "log", kafka_service())


class Ended:
    """A process that has ended, or (None) is still there when somebody presses Ctrl-C."""

    def __init__(self, code: int | None) -> None:
        self._code = code
        self.stopped = False

    @property
    def exit_code(self) -> int:
        if self._code is None:
            raise KeyboardInterrupt
        return self._code

    def stop(self) -> None:
        self.stopped = True


def test_one_that_has_ended_is_started_again_also_where_that_fails_at_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    processes = [Ended(-9), Ended(-9), Ended(None)]
    started = iter([processes[0], BrokerError("it is slow"), *processes[1:]])

    def start(folder: Path, port: int, *_: object, **__: object) -> tuple[ApacheKafka, Ended]:
        process = next(started)
        if isinstance(process, BrokerError):
            raise process
        return ApacheKafka(folder, port, kafka_service()), process

    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setattr(apache_kafka, "install", lambda _: None)
    monkeypatch.setattr(apache_kafka, "start_kafka", start)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    assert apache_kafka.run() == 0

    shown = capsys.readouterr()
    assert shown.out.count("KAFKA_BROKERS=127.0.0.1:9092") == 3
    assert shown.err.count("has ended by itself and is started again") == 2
    assert "it is slow; it is started once more" in shown.err
    assert [each.stopped for each in processes] == [False, False, True]


@pytest.mark.parametrize(("told", "enough"), [("1.8.0_312", False), ("11.0.2", False), ("17.0.15", True), ("25", True)])
def test_it_knows_an_old_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str, enough: bool) -> None:
    for name in ("java", "mvn"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho 'openjdk version \"{told}\" 2025-04-15' >&2\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert (apache_kafka.missing_tools() == []) is enough


def test_the_jars_have_the_image_s_version() -> None:
    assert version_of({"image": "apache/kafka:4.1.1"}) == "4.1.1"
