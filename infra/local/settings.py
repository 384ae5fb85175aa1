"""The variables that `make run` takes, read once and typed."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.esm import readings

LONGEST_SECONDS = 10 * 365 * 86400
LONGEST_STEP_SECONDS = 3600
MOST_ATTEMPTS = 100


class SettingsError(Exception):
    """A variable is wrong; the message begins with its name."""


@dataclass(frozen=True)
class StackSettings:
    """How the stack is to run. `None` where a variable was not given (an empty one counts as not given)."""

    data_dir: Path
    http_port: int | None
    database_url: str | None = field(repr=False)
    kafka_brokers: str | None
    simulated_partners: bool
    accept_timeout_seconds: str
    complete_timeout_seconds: str
    step_timeout_seconds: str
    step_max_attempts: str
    sweep_seconds: str
    trigger_readings: str


def read_settings(environment: Mapping[str, str] = os.environ) -> StackSettings:
    """The settings in the environment, defaults filled in; raises SettingsError for the first one that is wrong."""
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    return StackSettings(
        data_dir=data_dir(environment),
        http_port=_whole(given, "HTTP_PORT", 65535) if "HTTP_PORT" in given else None,
        database_url=given.get("DATABASE_URL"),
        kafka_brokers=_brokers(given),
        simulated_partners=_choice(given, "PARTNERS", ("simulated", "none")) == "simulated",
        accept_timeout_seconds=_seconds(given, "ACCEPT_TIMEOUT_SECONDS", "1800"),
        complete_timeout_seconds=_seconds(given, "COMPLETE_TIMEOUT_SECONDS", "86400"),
        step_timeout_seconds=_seconds(given, "STEP_TIMEOUT_SECONDS", "10", LONGEST_STEP_SECONDS),
        step_max_attempts=str(_whole(given, "STEP_MAX_ATTEMPTS", MOST_ATTEMPTS) if "STEP_MAX_ATTEMPTS" in given else 5),
        sweep_seconds=_seconds(given, "SWEEP_SECONDS", "1"),
        trigger_readings=_readings(given),
    )


def data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """The absolute path of DATA_DIR; raises SettingsError if something else than a folder is there."""
    folder = Path(environment.get("DATA_DIR") or ".local").absolute()
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"DATA_DIR {folder} is no folder")
    return folder


def _whole(given: Mapping[str, str], name: str, highest: int) -> int:
    text = given[name]
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= highest):
        raise SettingsError(f"{name} must be a whole number from 1 to {highest}, not {text!r}")
    return int(text)


def _seconds(given: Mapping[str, str], name: str, default: str, highest: int = LONGEST_SECONDS) -> str:
    text = given.get(name, default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= highest:
        raise SettingsError(f"{name} must be a number of seconds above 0 and at most {highest}, not {text!r}")
    return text


def _choice(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = given.get(name, choices[0])
    if value not in choices:
        raise SettingsError(f"{name} must be {' or '.join(choices)}, not {value!r}")
    return value


def _readings(given: Mapping[str, str]) -> str:
    text = given.get("TRIGGER_READINGS", "")
    try:
        readings.read_list(text)
    except readings.UnknownReading as error:
        raise SettingsError(f"TRIGGER_READINGS must be name=value,…: {error}") from error
    return text


def _brokers(given: Mapping[str, str]) -> str | None:
    brokers = given.get("KAFKA_BROKERS")
    for broker in brokers.split(",") if brokers else ():
        host, _, port = broker.strip().rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and len(port) < 6 and 1 <= int(port) <= 65535):
            raise SettingsError(f"KAFKA_BROKERS must be host:port,…, not {brokers!r}")
    return brokers
