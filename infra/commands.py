"""The commands behind the Makefile: `python -m PACKAGE COMMAND`, for the packages that have some."""

import sys
from collections.abc import Callable, Mapping

from chalicelib.errors import SettingsError
from infra.console import complain, show_tracebacks


def run_command(package: str, commands: Mapping[str, Callable[[], int]]) -> int:
    """Do what the first argument says; return the exit code."""
    show_tracebacks()
    command = commands.get(sys.argv[1]) if len(sys.argv) == 2 else None
    if command is None:
        complain(f"usage: python -m {package} {' | '.join(commands)}")
        return 2
    try:
        return command()
    except SettingsError as error:
        complain(f"make {sys.argv[1]}: {error}")
        return 1
    except KeyboardInterrupt:
        # Before the stack listens for it itself there is nothing to end.
        return 0 if sys.argv[1] == "run" else 130
