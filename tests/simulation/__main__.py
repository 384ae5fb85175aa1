"""`make soak`: runs for MINUTES, from SEED on; or with SEED alone that one run, with its whole trace."""

import os
import sys
import time
from dataclasses import replace
from itertools import count

from infra.console import say
from tests.simulation.run import Outcome, shrink, simulate
from tests.simulation.world import Settings


def soak(minutes: float, settings: Settings) -> int:
    """Run seed after seed until the time is over, or until one is wrong: that is then made smaller, and its trace printed."""
    began, orders, points = time.monotonic(), 0, 0
    for seed in count(settings.seed):
        outcome = simulate(replace(settings, seed=seed))
        orders, points = orders + outcome.orders, points + outcome.points
        if outcome.wrong:
            say(f"seed {seed}: {outcome.wrong}; looking for a smaller run")
            return _tell(shrink(outcome))
        if time.monotonic() - began > minutes * 60:
            spent = (time.monotonic() - began) / 60
            say(f"{seed - settings.seed + 1} runs, {orders} orders, {points} points, {orders / spent:.0f} orders a minute: nothing wrong")
            return 0
    raise AssertionError("seeds don't end")


def _tell(outcome: Outcome) -> int:
    say(*outcome.trace)
    settings = outcome.settings
    say(f"seed {settings.seed}, {settings.orders} orders, {settings.trouble}: {outcome.wrong or 'nothing wrong'}")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    settings = Settings(int(os.environ.get("SEED") or "0"), int(os.environ.get("ORDERS") or "8"))
    minutes = os.environ.get("MINUTES") or ("" if os.environ.get("SEED") else "1")
    sys.exit(soak(float(minutes), settings) if minutes else _tell(simulate(settings)))
