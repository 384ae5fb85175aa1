"""`make chaos`: a whole stack under load while its parts are killed, frozen and cut off; nothing may be lost.

`make chaos MINUTES=3 ORDERS=600 SEED=1`, also on the Apache Kafka of `make kafka` by `KAFKA_BROKERS=…`. Returns 1 where anything was lost.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from infra.console import complain, say
from infra.stack.files import make_private_folder
from infra.stack.settings import data_dir
from tests.chaos.place import Options, own_stack
from tests.chaos.report import keep, table
from tests.chaos.run import Chaos
from tests.support.stack import StackFailedError

MINUTES, ORDERS_A_MINUTE = 3.0, 120


def main() -> int:
    """Run, print and judge; return the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    minutes = float(os.environ.get("MINUTES") or MINUTES)
    seed = int(os.environ.get("SEED") or time.time())
    orders = int(os.environ.get("ORDERS") or minutes * ORDERS_A_MINUTE)
    options = Options(minutes * 60, orders, seed, kafka_brokers=os.environ.get("KAFKA_BROKERS", ""))
    folder = _folder(seed)
    say(f"chaos for {minutes:g} minutes over {orders} orders, SEED={seed}; data in {folder}")
    try:
        with own_stack(options, folder / "stack") as place:
            outcome = Chaos(place, options, say).run()
    except StackFailedError as error:
        complain(*f"make chaos: {error}".split("\n"))
        return 1
    except KeyboardInterrupt:
        return 130
    say(*table(outcome))
    if outcome.findings:
        keep(outcome, seed, folder / "log.jsonl")
        say(f"what every client saw: {folder / 'log.jsonl'}; the data and logs of the stack: {folder / 'stack'}")
        return 1
    shutil.rmtree(folder)
    return 0


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
