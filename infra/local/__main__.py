"""The commands behind the Makefile: `python -m infra.local run`, and so on for each of COMMANDS."""

import os
import sys
from collections.abc import Callable

from chalicelib.errors import SettingsError
from infra.local.console import complain, hand_over, show_tracebacks
from infra.local.settings import data_dir, read_settings


def main() -> int:
    """Do what the first argument says; return the exit code."""
    show_tracebacks()
    command = COMMANDS.get(sys.argv[1]) if len(sys.argv) == 2 else None
    if command is None:
        complain(f"usage: python -m infra.local {' | '.join(COMMANDS)}")
        return 2
    try:
        return command()
    except SettingsError as error:
        complain(f"make {sys.argv[1]}: {error}")
        return 1
    except KeyboardInterrupt:
        # Before the stack listens for it itself there is nothing to end.
        return 0 if sys.argv[1] == "run" else 130


def _run() -> int:
    # Before the imports, which take longer than finding a wrong variable.
    settings = read_settings()
    from infra.local.run import run

    return run(settings)


def _stop() -> int:
    from infra.local.run import stop

    return stop()


def _demo() -> int:
    from infra.local.demo import demo

    return demo()


def _audit() -> int:
    from infra.local.audit import audit

    return audit()


def _why() -> int:
    from infra.local.why import why

    return why()


def _dead_letters() -> int:
    from infra.local.dead_letters import dead_letters

    return dead_letters()


def _redrive() -> int:
    from infra.local.dead_letters import redrive

    return redrive()


def _dismiss() -> int:
    from infra.local.dead_letters import dismiss

    return dismiss()


def _token() -> int:
    from infra.local.devkeys import TokenRequestError, requested_token

    try:
        hand_over(requested_token(data_dir(), os.environ.get("ROLE", ""), os.environ.get("SUB", "")) + "\n")
    except TokenRequestError as error:
        complain(f"make token: {error}")
        return 2
    return 0


def _env() -> int:
    from infra.local.runfile import VARIABLES_FILE

    folder = data_dir()
    try:
        hand_over((folder / VARIABLES_FILE).read_text())
    except FileNotFoundError:
        complain(f"make env: no stack runs on {folder}")
        return 1
    return 0


def _diagrams() -> int:
    from infra.local.diagrams import diagrams
    from infra.local.message_tables import list_messages

    return diagrams() or list_messages()


COMMANDS: dict[str, Callable[[], int]] = {
    "run": _run,
    "stop": _stop,
    "demo": _demo,
    "audit": _audit,
    "why": _why,
    "dead-letters": _dead_letters,
    "redrive": _redrive,
    "dismiss": _dismiss,
    "token": _token,
    "env": _env,
    "diagrams": _diagrams,
}

if __name__ == "__main__":
    sys.exit(main())
