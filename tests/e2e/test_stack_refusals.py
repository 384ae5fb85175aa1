"""What `make run` refuses: it names the variable, shows no password, and leaves nothing running."""

import socket
from pathlib import Path

import pytest

from tests.support.servers import PostgresServer
from tests.support.stack import local_command

PASSWORD = "hush-hush"


@pytest.mark.parametrize(
    "variables",
    [
        {"HTTP_PORT": "abc"},
        {"STEP_TIMEOUT_SECONDS": "-1"},
        {"ACCEPT_TIMEOUT_SECONDS": "40000000"},
        {"CORS_ALLOW_ORIGIN": "orders.example"},
        {"DATABASE_URL": f"postgresql://user:{PASSWORD}@127.0.0.1/orders"},
        {"DATABASE_URL": f"postgresql+pg8000://user:{PASSWORD}@127.0.0.1:1/orders"},
        {"DATABASE_URL": f"nonsense {PASSWORD}"},
    ],
    ids=lambda variables: "=".join(*variables.items()).replace(PASSWORD, "***"),
)
def test_a_wrong_variable_is_named_and_nothing_is_started(tmp_path: Path, variables: dict[str, str]) -> None:
    refused = local_command("run", tmp_path / "data", **variables)

    assert refused.returncode == 1
    assert next(iter(variables)) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert PASSWORD not in refused.stdout + refused.stderr
    assert not (tmp_path / "data" / "run.json").exists()
    assert not (tmp_path / "data" / "postgres").exists()


def test_a_given_port_that_is_busy_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        refused = local_command("run", tmp_path / "data", HTTP_PORT=port)

    assert refused.returncode == 1
    assert f"HTTP_PORT {port}" in refused.stderr
    assert not (tmp_path / "data" / "postgres").exists()


def test_a_broker_that_does_not_answer_is_named_with_its_address(tmp_path: Path) -> None:
    refused = local_command("run", tmp_path / "data", KAFKA_BROKERS="127.0.0.1:1")

    assert refused.returncode == 1
    assert "KAFKA_BROKERS" in refused.stderr
    assert "127.0.0.1:1" in refused.stderr


def test_a_wrong_password_or_database_is_said_in_the_words_of_postgresql(
    tmp_path: Path, postgres_server: PostgresServer, empty_database: str
) -> None:
    user_and_password, _, place = empty_database.rpartition("@")
    wrong = f"{user_and_password.rpartition(':')[0]}:{PASSWORD}@{place}"

    refused = local_command("run", tmp_path / "data", DATABASE_URL=wrong)
    missing = local_command("run", tmp_path / "data", DATABASE_URL=postgres_server.server.url("nosuch"))

    assert "DATABASE_URL" in refused.stderr
    assert "password authentication failed" in refused.stderr
    assert PASSWORD not in refused.stderr
    assert 'database "nosuch" does not exist' in missing.stderr


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")

    refused = local_command("run", tmp_path / "data")

    assert refused.returncode == 1
    assert f"DATA_DIR {tmp_path / 'data'}" in refused.stderr
