"""A lane: one database, one broker, one template, and the components forked from it, which are started anew when they have ended."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.messages.topics import PARTITIONS, SCHEDULES, SETTINGS
from infra.esm.environment import FunctionConfiguration, IsolatedFunction
from infra.esm.forks import ForkedProcess, ForkServer
from infra.stack.clock import scheduled_event
from tests.crash_matrix.board import Board
from tests.crash_matrix.kafka_client import KafkaClient
from tests.crash_matrix.requests import answer_of
from tests.support.database import EMPTY
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker
from tests.support.stack import ROOT

FUNCTIONS = ("on_user_events", "on_payment_events", "on_escrow_events")
# Nothing is resent, expired or completed by itself while a path is walked: time passes where the path says so.
FUNCTION_SETTINGS: Mapping[str, str] = {
    "DATABASE_POOL_SIZE": "2",
    "POWERTOOLS_METRICS_DISABLED": "true",
    "LOG_LEVEL": "ERROR",
    "STEP_TIMEOUT_SECONDS": "600",
    "STEP_MAX_ATTEMPTS": "2",
    "ACCEPT_TIMEOUT_SECONDS": "86400",
}
HTTP_TIMEOUT_SECONDS = 30.0


class Lane:
    """Walks one path at a time. What the processes print is in `lane.log` of its folder."""

    def __init__(self, folder: Path, database_url: str, broker: KafkaBroker, faults: Sequence[str] = ()) -> None:
        """Nothing runs yet but the template, which imports. `faults` are planted in all components."""
        broker.create_topics(PARTITIONS, SETTINGS)
        self.folder = folder
        self.bootstrap = broker.bootstrap
        self.board = Board.empty(folder)
        self.database_url = database_url
        self.engine = make_engine(database_url, pool_size=2, discreet=False)
        self.kafka = KafkaClient(broker.bootstrap)
        self._output = (folder / "lane.log").open("ab")
        self._template, connection = self._start_template(database_url, faults)
        self._forks = ForkServer(connection)
        self._http = self._function("http", "app.app", HTTP_TIMEOUT_SECONDS)
        self._schedules = {each.function: self._function(each.function, f"app.{each.function}", each.timeout_seconds) for each in SCHEDULES}
        self._servers: dict[str, ForkedProcess] = {}

    def close(self) -> None:
        """End everything."""
        self._forks.close()
        self._template.wait(10)
        self.kafka.close()
        self.engine.dispose()
        self._output.close()

    def request(self, event: Mapping[str, Any]) -> tuple[int, Any, Mapping[str, str]]:
        """Invoke the HTTP function: status, JSON and headers of its answer; raises FunctionError."""
        return answer_of(self._http.invoke(json.dumps(event)))

    def call_schedule(self, name: str) -> None:
        """Invoke a scheduled function; raises FunctionError."""
        self._schedules[name].invoke(json.dumps(scheduled_event(name, datetime.now(UTC))))

    def supervise(self) -> None:
        """Start the pollers and the partners where they don't run, as the stack's supervisor does."""
        for name in ("pollers", "partners"):
            server = self._servers.get(name)
            if server is None or server.poll() is not None:
                if name == "pollers":
                    self.board.note_delivering(begun=False)
                    for function in FUNCTIONS:
                        self.board.forget(function)
                self._servers[name] = self._forks.fork({"name": name}, [self._output.fileno()])

    def renew_functions(self) -> None:
        """Have each function begin its next invocation in a process of its own, as in a new execution environment."""
        for function in (self._http, *self._schedules.values()):
            function.close()
        pids = [pid for name in FUNCTIONS if self._is_ours(pid := self.board.pid(name))]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Whoever forked them has seen it then.
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), every=0.001, what="the end of the functions")

    def begin_anew(self) -> None:
        """Empty the tables, as looking for what is wrong reads all of them; nothing may be under way."""
        self.rows(EMPTY)
        if self.rows("SELECT 1 WHERE to_regclass('partners.orders') IS NOT NULL"):
            self.rows("TRUNCATE partners.orders, partners.payments, partners.holds, partners.notifications, partners.answers")
        self.kafka.new_events()

    def rows(self, statement: str, **parameters: Any) -> list[Mapping[str, Any]]:
        """Run a statement in a transaction of its own and return its rows, if it has any."""
        with self.engine.begin() as session:
            result = session.execute(sa.text(statement), parameters)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def _is_ours(self, pid: int) -> bool:
        """Whether a process of this lane has that id: of one that ended long ago, somebody else may have it now."""
        try:
            return str(self.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    def _function(self, name: str, handler: str, timeout: float) -> IsolatedFunction:
        return IsolatedFunction(FunctionConfiguration(name, handler, timeout), forks=self._forks)

    def _start_template(self, database_url: str, faults: Sequence[str]) -> tuple["subprocess.Popen[bytes]", socket.socket]:
        ours, theirs = socket.socketpair()
        imported, announce = os.pipe()
        arguments = [f"--connection={theirs.fileno()}", f"--folder={self.folder}", *(f"--fault={fault}" for fault in faults)]
        variables = {"DATABASE_URL": database_url, "KAFKA_BROKERS": self.bootstrap, "READY_FD": str(announce), **FUNCTION_SETTINGS}
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash_matrix.template", *arguments],
                cwd=ROOT,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=(theirs.fileno(), announce),
            )
        os.close(announce)
        # Its end where it can't be imported.
        if not os.read(imported, 32):
            raise AssertionError(f"the template can't start: {(self.folder / 'lane.log').read_text()}")
        os.close(imported)
        return process, ours


@contextmanager
def running(folder: Path, database_url: str, broker: KafkaBroker, faults: Sequence[str] = ()) -> Iterator[Lane]:
    """A lane while the block runs."""
    lane = Lane(folder, database_url, broker, faults)
    try:
        yield lane
    finally:
        lane.close()
