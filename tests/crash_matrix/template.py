"""The process that has imported everything and forks the components: `python -m tests.crash_matrix.template`.

What is forked runs the service's own entry points. A component that kills itself takes its children along, as in the stack.
"""

import argparse
import importlib
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import infra.partners.service
from chalicelib.messages.topics import TRIGGERS, Trigger
from infra.esm.environment import FunctionConfiguration, IsolatedFunction
from infra.esm.feed import Cluster
from infra.esm.forks import ForkServer, Job, exit_after, serve_jobs
from infra.esm.poller import Poller
from infra.esm.retry import Backoff
from infra.esm.runtime import run_forked
from infra.esm.service import Service
from infra.partners.settings import Settings as PartnerSettings
from infra.stack import ready
from infra.stack.triggers import APP_FOLDER, mapping_of
from tests.crash_matrix import ports
from tests.crash_matrix.board import Board
from tests.crash_matrix.faults import FAULTS
from tests.crash_matrix.refusals import unwilling_partners

# Imported on first use otherwise, in each process anew.
MORE = ("app", "kafka", "_strptime", "tests.crash_matrix.warm")
BACKOFF = Backoff(first_seconds=0.01, longest_seconds=0.1)


def main() -> None:
    """Import, wrap the ports, and fork until the other side is gone."""
    parser = argparse.ArgumentParser(prog="template")
    parser.add_argument("--connection", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--fault", choices=FAULTS, action="append", default=[])
    options = parser.parse_args()
    sys.path.insert(0, str(APP_FOLDER))
    for module in MORE:
        importlib.import_module(module)
    logging.basicConfig(level=logging.WARNING)
    importlib.import_module("tests.crash_matrix.warm").warm_up()
    for fault in options.fault:
        FAULTS[fault]()
    board = Board(options.folder)
    ports.install(board)
    unwilling_partners(options.folder)
    connection = socket.socket(fileno=options.connection)
    connection.set_inheritable(False)
    ready.announce()
    exit_after(lambda: serve_jobs(connection, lambda job: _work(board, job)))


def _work(board: Board, job: Job) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    component = job.request["name"]
    board.become(component)
    if component == "pollers":
        _poll(board, job)
    elif component == "partners":
        _keep_output(job)
        # Until they take commands.
        board.muted = True
        infra.partners.service.COMMIT_SECONDS = 0.0
        infra.partners.service.run(PartnerSettings.from_environment(os.environ), threading.Event())
    else:
        run_forked(job)


def _poll(board: Board, job: Job) -> None:
    """The event source mappings, whose functions are forked from this process before it has threads."""
    _keep_output(job)

    def work(inner: Job) -> None:
        board.become(inner.request["name"])
        run_forked(inner)

    forks, _ = ForkServer.start(work)
    Service([_poller(trigger, forks) for trigger in TRIGGERS]).run()


def _poller(trigger: Trigger, forks: ForkServer) -> Poller:
    brokers = os.environ["KAFKA_BROKERS"]
    configuration = FunctionConfiguration(trigger.function, f"app.{trigger.function}", trigger.timeout_seconds)
    return Poller(mapping_of(trigger, brokers), IsolatedFunction(configuration, forks=forks), Cluster(brokers), BACKOFF)


def _keep_output(job: Job) -> None:
    [output] = job.descriptors
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)


if __name__ == "__main__":
    main()
