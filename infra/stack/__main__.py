"""The commands behind the Makefile: `python -m infra.stack run`, and so on for each of COMMANDS."""

import os
import sys
from collections.abc import Callable

from infra.commands import run_command
from infra.console import complain, hand_over
from infra.stack.settings import data_dir, read_settings


def _run() -> int:
    # Before the imports, which take longer than finding a wrong variable.
    settings = read_settings()
    from infra.stack.run import run

    return run(settings)


def _stop() -> int:
    from infra.stack.run import stop

    return stop()


def _demo() -> int:
    from infra.stack.demo import demo

    return demo()


def _grow() -> int:
    from infra.stack.grow import grow

    return grow()


def _waterfall() -> int:
    from infra.stack.waterfall import waterfall

    return waterfall()


def _token() -> int:
    from infra.stack.devkeys import TokenRequestError, requested_token

    try:
        hand_over(requested_token(data_dir(), os.environ.get("ROLE", ""), os.environ.get("SUB", "")) + "\n")
    except TokenRequestError as error:
        complain(f"make token: {error}")
        return 2
    return 0


def _env() -> int:
    from infra.stack.runfile import VARIABLES_FILE

    folder = data_dir()
    try:
        hand_over((folder / VARIABLES_FILE).read_text())
    except FileNotFoundError:
        complain(f"make env: no stack runs on {folder}")
        return 1
    return 0


def _migrate() -> int:
    from infra.stack.setup import migrate

    return migrate()


def _topics() -> int:
    from infra.stack.setup import topics

    return topics()


def _keys() -> int:
    from infra.stack.setup import keys

    return keys()


def _kafka() -> int:
    from infra.stack.apache_kafka import run

    return run()


def _kafka_jars() -> int:
    from infra.stack.apache_kafka import fetch

    return fetch()


COMMANDS: dict[str, Callable[[], int]] = {
    "run": _run,
    "stop": _stop,
    "demo": _demo,
    "grow": _grow,
    "waterfall": _waterfall,
    "token": _token,
    "env": _env,
    "migrate": _migrate,
    "topics": _topics,
    "keys": _keys,
    "kafka": _kafka,
    "kafka-jars": _kafka_jars,
}

if __name__ == "__main__":
    sys.exit(run_command("infra.stack", COMMANDS))
