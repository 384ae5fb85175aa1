"""`make chaos`: a whole stack under load while its parts are killed, frozen and cut off; nothing may be lost.

`make chaos MINUTES=3 ORDERS=600 SEED=1`, also on the Apache Kafka of `make kafka` by `KAFKA_BROKERS=…`, or by `STAGE=home` on the emulated
AWS. Returns 1 where anything was lost.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from infra.console import complain, say
from infra.deploy.errors import DeployError
from infra.deploy.release import STAGE
from infra.stack.files import make_private_folder
from infra.stack.settings import data_dir
from tests.chaos import deployed
from tests.chaos.place import Options, Place, own_stack
from tests.chaos.report import keep, table
from tests.chaos.run import Chaos
from tests.support.stack import StackFailedError

MINUTES, ORDERS_A_MINUTE = 3.0, 120


def main() -> int:
    """Run, print and judge; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    minutes = float(os.environ.get("MINUTES") or MINUTES)
    seed = int(os.environ.get("SEED") or time.time())
    a_minute = deployed.ORDERS_A_MINUTE if os.environ.get("STAGE") == STAGE else ORDERS_A_MINUTE
    orders = int(os.environ.get("ORDERS") or minutes * a_minute)
    options, place_of = _place(minutes * 60, orders, seed)
    folder = _folder(seed)
    say(f"chaos for {minutes:g} minutes over {orders} orders, SEED={seed}; data in {folder}")
    try:
        with place_of(folder / "stack") as place:
            outcome = Chaos(place, options, say).run()
    except (StackFailedError, DeployError) as error:
        complain(*f"make chaos: {error}".split("\n"))
        return 1
    except KeyboardInterrupt:
        return 130
    say(*table(outcome))
    if outcome.findings:
        keep(outcome, seed, folder / "log.jsonl")
        say(f"what every client saw, and what was found: {folder / 'log.jsonl'}; beside it what is left of the stack")
        return 1
    shutil.rmtree(folder)
    return 0


def _place(seconds: float, orders: int, seed: int) -> tuple[Options, Callable[[Path], AbstractContextManager[Place]]]:
    """What the environment asks for, and what that is made on."""
    if os.environ.get("STAGE") == STAGE:
        return Options(seconds, orders, seed, deployed.CATALOGUE, deployed.PACE), deployed.deployed
    options = Options(seconds, orders, seed, kafka_brokers=os.environ.get("KAFKA_BROKERS", ""))
    return options, partial(own_stack, options)


def _folder(seed: int) -> Path:
    home = data_dir() / "chaos"
    folder = home / f"{seed}"
    for each in (home.parent, home):
        make_private_folder(each)
    shutil.rmtree(folder, ignore_errors=True)
    make_private_folder(folder)
    return folder


if __name__ == "__main__":
    sys.exit(main())
