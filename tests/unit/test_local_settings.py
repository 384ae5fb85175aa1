"""The variables of `make run`."""

import re
from pathlib import Path

import pytest

from chalicelib.errors import SettingsError
from chalicelib.settings import Settings, SharedSettings, TokenSettings
from infra.stack.settings import read_settings

OPERATIONS = Path(__file__).parents[2] / "infra/docs/operations.md"
# Whose default is a sentence, and what AWS sets.
OPEN = {
    *("data_dir", "http_port", "database_url", "kafka_brokers", "trigger_readings", "jwks_url", "dev_jwks_file", "database_ca_file"),
    *("aws_default_region", "aws_lambda_function_name", "database_host", "database_user", "database_secret_arn"),
}


def test_without_any_variable_the_defaults_hold() -> None:
    settings = read_settings({})

    assert settings.data_dir == Path(".local").absolute()
    assert settings.http_port is None
    assert settings.database_url is None
    assert settings.kafka_brokers is None
    assert settings.partners == "simulated"
    assert settings.sweep_seconds == 1


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
    assert settings.partners == "none"
    assert settings.step_timeout_seconds == 0.5
    assert settings.kafka_brokers == "a:9092,b:9093"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("HTTP_PORT", value) for value in ("abc", "0", "65536", "-1", "80.5", "8٠")),
        *(("STEP_TIMEOUT_SECONDS", value) for value in ("abc", "-1", "0", "nan", "inf", "3601")),
        *(("STEP_MAX_ATTEMPTS", value) for value in ("0", "1.5", "101", "-1")),
        ("SWEEP_SECONDS", "nan"),
        *(("TRIGGER_READINGS", value) for value in ("unreadable", "unreadable=skip", "a=b", "unreadable=drop;partial=items")),
        ("ACCEPT_TIMEOUT_SECONDS", "0"),
        ("ACCEPT_TIMEOUT_SECONDS", "40000000"),
        ("COMPLETE_TIMEOUT_SECONDS", "1e300"),
        ("RATE_LIMIT_PER_MINUTE", "-1"),
        ("CORS_ALLOW_ORIGIN", "orders.example"),
        ("DATABASE_URL", "postgresql://user@host/db"),
        ("PARTNERS", "foo"),
        *(("KAFKA_BROKERS", value) for value in ("nonsense", ":9092", "a:b", "a:9092,", "a:70000")),
        ("DATA_DIR", __file__),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}[: ]"):
        read_settings({name: value})


def test_a_limit_is_named_as_people_write_it() -> None:
    with pytest.raises(SettingsError, match=r"^ACCEPT_TIMEOUT_SECONDS: must be at most 31536000$"):
        read_settings({"ACCEPT_TIMEOUT_SECONDS": "40000000"})


def test_the_password_is_not_in_the_repr() -> None:
    assert "secret" not in repr(read_settings({"DATABASE_URL": "postgresql+pg8000://user:secret@host/db"}))


@pytest.mark.parametrize("given", [{}, {"STEP_TIMEOUT_SECONDS": "0.1", "STEP_MAX_ATTEMPTS": "7", "ACCEPT_TIMEOUT_SECONDS": "31536000"}])
def test_the_functions_read_what_the_stack_has_read(given: dict[str, str]) -> None:
    stack = read_settings(given)
    function = Settings.read(
        {**stack.variables(), "DATABASE_URL": "postgresql+pg8000://h/d", "KAFKA_BROKERS": "h:1", "JWKS_URL": "https://h"}
    )

    assert stack.model_dump(include=set(SharedSettings.model_fields)) == function.model_dump(include=set(SharedSettings.model_fields))


def test_the_operators_table_says_the_defaults() -> None:
    section = OPERATIONS.read_text().partition("\n## Settings\n")[2].partition("\n### ")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:3]] for row in section.splitlines() if row.startswith("| `")]
    told = {name: default for names, defaults in rows for name, default in zip(names.split(", "), defaults.split(", "), strict=True)}
    fields = {**Settings.model_fields, **TokenSettings.model_fields, **type(read_settings({})).model_fields}
    for name, field in fields.items():
        default = told.pop(f"`{name.upper()}`", None)
        if name in OPEN:
            continue
        assert default is not None, f"{name} is not in the table"
        assert re.split("[:`]", default.strip("`"))[0] == str(field.default), name
    assert set(told) == {"`PYTHON`"}
