"""Plays what calls the Lambda functions on AWS, apart from HTTP: the Kafka event source mappings and the schedules.

Run as `python -m infra.stack.triggers`; settings come by environment. Functions are those of `orders_app/app.py`, called by their
handler strings. Each has a process of its own, which is killed at the function's timeout as on Lambda: forked from one that is forked
itself from this one, after `app` was imported and before there are threads or connections.
"""

import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from chalicelib.errors import SettingsError
from chalicelib.messages.topics import SCHEDULES, TRIGGERS, Schedule, Trigger
from chalicelib.observability import SERVICE
from chalicelib.settings import Brokers
from infra.aws import event_source_mappings
from infra.esm.environment import FunctionConfiguration, IsolatedFunction
from infra.esm.feed import Cluster
from infra.esm.forks import ForkServer
from infra.esm.invoke import HandlerNotFound, load_handler
from infra.esm.logs import configure
from infra.esm.mapping import EventSourceMapping
from infra.esm.poller import Poller
from infra.esm.readings import read_list
from infra.esm.request import from_aws
from infra.esm.retry import Backoff
from infra.esm.runtime import run_forked
from infra.esm.service import END_PATIENCE_SECONDS, Service
from infra.stack import ready
from infra.stack.clock import Clock
from infra.stack.dropped import DeadLetters
from infra.stack.settings import TriggerSettings

APP_FOLDER = Path(__file__).resolve().parents[2] / "orders_app"
# Far shorter than on AWS: what a restarted database had stopped goes on within seconds.
LOCAL_BACKOFF = Backoff(first_seconds=0.1, longest_seconds=2.0)
# A commit costs as much as a small batch; what comes again after a crash, the service has taken already and passes over.
COMMIT_SECONDS = 0.2
# How often what is not urgent is called, as everything is on AWS.
MINUTE = 60.0

log = logging.getLogger(__name__)


class Settings(TriggerSettings):
    """What the triggers need to know."""

    kafka_brokers: Brokers


def main() -> None:
    """Call the functions until SIGTERM; ends with a message where a setting is wrong or a function is missing."""
    configure()
    # The service's logger writes its lines itself.
    logging.getLogger(SERVICE).propagate = False
    # Until everything is loaded there is nothing to bring to an end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if str(APP_FOLDER) not in sys.path:
        sys.path.insert(0, str(APP_FOLDER))
    try:
        settings = Settings.read(os.environ)
        for declared in (*TRIGGERS, *SCHEDULES):
            load_handler(_handler(declared))
    except (SettingsError, HandlerNotFound) as error:
        sys.exit(f"triggers: {error}")
    # Imported by the functions on first use: so they are there, once for all.
    importlib.import_module("kafka")
    forks, pid = ForkServer.start(run_forked, ready.descriptors())
    ending = threading.Event()
    watcher = threading.Thread(target=_end_with, args=(pid, ending), daemon=True)
    watcher.start()
    pollers = [_poller(trigger, forks, settings) for trigger in TRIGGERS]
    run(Service(pollers), [_clock(schedule, forks, settings.sweep_seconds) for schedule in SCHEDULES])
    ending.set()
    forks.close()
    watcher.join(END_PATIENCE_SECONDS)


def run(service: Service, clocks: Sequence[Clock]) -> None:
    """Run all until SIGTERM or SIGINT; the clocks start once all positions are known, and readiness is announced then."""

    def stop(*_: object) -> None:
        for clock in clocks:
            clock.stop()
        service.stop()

    def begin() -> None:
        for clock in clocks:
            clock.start()
        ready.announce()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    started = service.run(begin)
    for clock in clocks:
        clock.join(max(0.0, started + END_PATIENCE_SECONDS - time.monotonic()))


def mapping_of(trigger: Trigger, brokers: str) -> EventSourceMapping:
    """The event source mapping of a trigger, read from the very request that the deployment makes."""
    return from_aws(event_source_mappings.request(trigger, event_source_mappings.self_managed(brokers.split(","))), time.time())


def _poller(trigger: Trigger, forks: ForkServer, settings: Settings) -> Poller:
    brokers = settings.kafka_brokers
    mapping, readings = mapping_of(trigger, brokers), read_list(settings.trigger_readings)
    cluster = Cluster(brokers, COMMIT_SECONDS)
    return Poller(mapping, _function(trigger, forks), cluster, LOCAL_BACKOFF, readings, destination=DeadLetters())


def _handler(declared: Trigger | Schedule) -> str:
    return f"app.{declared.function}"


def _function(declared: Trigger | Schedule, forks: ForkServer) -> IsolatedFunction:
    function = IsolatedFunction(FunctionConfiguration(declared.function, _handler(declared), declared.timeout_seconds), forks=forks)
    if isinstance(declared, Trigger) or declared.urgent:
        function.start()
    return function


def _clock(schedule: Schedule, forks: ForkServer, period: float) -> Clock:
    # What a process that was killed left undone is not left a moment longer than need be.
    return Clock(_function(schedule, forks), *((period, 0.0) if schedule.urgent else (max(period, MINUTE), None)))


def _end_with(pid: int, ending: threading.Event) -> None:
    """End this process, which its supervisor starts anew, when the process that forks has ended before its time."""
    os.waitpid(pid, 0)
    if not ending.is_set():
        log.error("the process that forks the functions has ended")
        os._exit(1)


if __name__ == "__main__":
    main()
