"""The operator's commands, run in the tests' own process: starting one of its own takes a second, and what it does is the same."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.commands import run_command
from infra.operator.__main__ import COMMANDS
from tests.support.stack import VARIABLES


@dataclass(frozen=True)
class Ended:
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class OperatorCommand:
    """Runs commands on a DATA_DIR without a stack."""

    data_dir: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, command: str, **variables: Any) -> Ended:
        with pytest.MonkeyPatch.context() as patch:
            for name in VARIABLES:
                patch.delenv(name, raising=False)
            for name, value in {"DATA_DIR": self.data_dir, **variables}.items():
                patch.setenv(name, str(value))
            patch.setattr(sys, "argv", ["infra.operator", command])
            patch.setattr(sys, "excepthook", sys.excepthook)
            self.capsys.readouterr()
            try:
                code = run_command("infra.operator", COMMANDS)
            except Exception:  # noqa: BLE001 - the interpreter would end by it
                sys.excepthook(*sys.exc_info())
                code = 1
        out, err = self.capsys.readouterr()
        return Ended(code, out, err)
