"""The variables that `make run` takes: those that stand here, and those that the service's own settings share with it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from chalicelib.errors import SettingsError
from chalicelib.settings import A_YEAR, Brokers, DatabaseUrl, SharedSettings
from infra.esm import readings


def _readings(text: str) -> str:
    try:
        readings.read_list(text)
    except readings.UnknownReading as error:
        raise ValueError(f"must be name=value,…: {error}") from error
    return text


class TriggerSettings(SharedSettings):
    """What besides the service's own settings steers whoever calls its functions."""

    sweep_seconds: float = Field(default=1, gt=0, le=A_YEAR)
    trigger_readings: Annotated[str, AfterValidator(_readings)] = ""


class StackSettings(TriggerSettings):
    """How the stack is to run. `None` where a variable was not given (an empty one counts as not given)."""

    data_dir: Path
    http_port: int | None = Field(default=None, ge=1, le=65535)
    database_url: DatabaseUrl | None = None
    kafka_brokers: Brokers | None = None
    partners: Literal["simulated", "none"] = "simulated"

    def variables(self) -> dict[str, str]:
        """What the parts find in their environment of these settings, defaults filled in."""
        return {name.upper(): str(getattr(self, name)).removesuffix(".0") for name in TriggerSettings.model_fields}


def read_settings(environment: Mapping[str, str] = os.environ) -> StackSettings:
    """The settings in the environment, defaults filled in; raises SettingsError that names every one that is wrong."""
    return StackSettings.read({name: value.strip() for name, value in environment.items()} | {"DATA_DIR": str(data_dir(environment))})


def data_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """The absolute path of DATA_DIR; raises SettingsError if something else than a folder is there."""
    folder = Path(environment.get("DATA_DIR") or ".local").absolute()
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"DATA_DIR {folder} is no folder")
    return folder
