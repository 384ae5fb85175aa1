"""The variables of `make run`."""

from pathlib import Path

import pytest

from infra.local.settings import SettingsError, read_settings


def test_without_any_variable_the_defaults_hold() -> None:
    settings = read_settings({})

    assert settings.data_dir == Path(".local").absolute()
    assert settings.http_port is None
    assert settings.database_url is None
    assert settings.kafka_brokers is None
    assert settings.simulated_partners
    assert (settings.accept_timeout_seconds, settings.complete_timeout_seconds) == ("1800", "86400")
    assert (settings.step_timeout_seconds, settings.step_max_attempts, settings.sweep_seconds) == ("10", "5", "1")


def test_an_empty_variable_counts_as_not_given() -> None:
    names = [
        "DATA_DIR",
        "HTTP_PORT",
        "DATABASE_URL",
        "KAFKA_BROKERS",
        "PARTNERS",
        "STEP_TIMEOUT_SECONDS",
        "STEP_MAX_ATTEMPTS",
        "SWEEP_SECONDS",
        "TRIGGER_READINGS",
    ]

    assert read_settings(dict.fromkeys(names, "")) == read_settings({})
    assert read_settings(dict.fromkeys(names[1:], " ")) == read_settings({})


def test_given_variables_are_taken() -> None:
    settings = read_settings(
        {"DATA_DIR": "a folder", "HTTP_PORT": "8080", "PARTNERS": "none", "STEP_TIMEOUT_SECONDS": "0.5", "KAFKA_BROKERS": "a:9092, b:9093"}
    )

    assert settings.data_dir == Path.cwd() / "a folder"
    assert settings.http_port == 8080
    assert not settings.simulated_partners
    assert settings.step_timeout_seconds == "0.5"
    assert settings.kafka_brokers == "a:9092, b:9093"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("HTTP_PORT", value) for value in ("abc", "0", "65536", "-1", "80.5", "8٠")),
        *(("STEP_TIMEOUT_SECONDS", value) for value in ("abc", "-1", "0", "nan", "inf", "3601")),
        *(("STEP_MAX_ATTEMPTS", value) for value in ("0", "1.5", "101", "-1")),
        ("SWEEP_SECONDS", "nan"),
        *(("TRIGGER_READINGS", value) for value in ("unreadable", "unreadable=skip", "a=b", "unreadable=drop;partial=items")),
        ("ACCEPT_TIMEOUT_SECONDS", "0"),
        ("COMPLETE_TIMEOUT_SECONDS", "1e300"),
        ("PARTNERS", "foo"),
        *(("KAFKA_BROKERS", value) for value in ("nonsense", ":9092", "a:b", "a:9092,", "a:70000")),
        ("DATA_DIR", __file__),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} "):
        read_settings({name: value})


def test_the_password_is_not_in_the_repr() -> None:
    assert "secret" not in repr(read_settings({"DATABASE_URL": "postgresql+pg8000://user:secret@host/db"}))
