"""Where a path's operations are seen: the driver, the producers, the commits of offsets, and the answers of functions.

Each wrapper tells the board of the instant before its operation, then does the real one. For what may have happened though nobody was told
(a commit, a produce request) there is an instant between sending and the answer as well.
"""

import re
import time
from collections.abc import Sequence
from typing import Any

import pg8000.native
from pg8000.core import _flush

from chalicelib.db.driver import Connection, Later
from chalicelib.messaging import brokers
from chalicelib.messaging.brokers import Brokers
from chalicelib.operations.shared_wait import SharedWait
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import Saga
from infra.esm import leaders, wire
from infra.esm.batch import Batch
from infra.esm.consumer import Commits
from infra.esm.environment import IsolatedFunction
from infra.esm.session import Session
from infra.partners import replies
from infra.partners.service import Worker
from tests.crash_matrix.board import Board

# Not operations of the path: what SQLAlchemy asks of each new connection belongs to connecting, and whether a connection is pinged depends
# on how long it rested.
ASIDE = (
    "SELECT 1",
    "select pg_catalog.version()",
    "select current_schema()",
    "show transaction isolation level",
    "show standard_conforming_strings",
)
TABLE = re.compile(r"\b(?:campusg|partners)\.(\w+)")
GATE_SECONDS = 0.001


def install(board: Board) -> None:
    """Have this process, and those forked from it, tell the board."""
    _driver(board)
    _producer(board)
    _answers(board)
    _waits(board)
    _pollers(board)
    _partners(board)
    _partners_ports(board)


def label_of(statement: str) -> str:
    """A statement by its verb and the tables that it names."""
    words = re.sub(r"\s+", " ", statement).strip()
    tables = list(dict.fromkeys(TABLE.findall(words)))
    return " ".join([words.split(" ", 1)[0].lower(), *tables]) if tables else words[:60]


def _driver(board: Board) -> None:
    answered, send_ahead, connect = Connection._answered, Connection.send_ahead, Connection.__init__

    def connecting(self: Any, *arguments: Any, **named: Any) -> None:
        self.labels_ahead = []
        self.is_new = True
        board.instant("connect to PostgreSQL")
        connect(self, *arguments, **named)

    def ahead(self: Any, statement: str, parameters: Sequence[str | None]) -> Later:
        self.labels_ahead.append(label_of(statement))
        return send_ahead(self, statement, parameters)

    def asked(self: Any, context: Any) -> Any:
        labels, self.labels_ahead = self.labels_ahead, []
        if context.statement in ASIDE or (self.is_new and context.statement == "rollback"):
            return answered(self, context)
        self.is_new = False
        label = ", ".join([*labels, label_of(context.statement)])
        board.instant(label)
        if context.statement == "commit":
            _flush(self._sock)
            board.instant(f"the answer to {label}")
        return answered(self, context)

    Connection.__init__, Connection.send_ahead, Connection._answered = connecting, ahead, asked  # type: ignore[method-assign]


def _producer(board: Board) -> None:
    produce, ask = Brokers._produce, Brokers._request

    def producing(self: Brokers, going: Sequence[brokers.Batch], deadline: float) -> Any:
        self.producing = ", ".join(f"{len(batch.records)} to {batch.partition.topic}" for batch in going)  # type: ignore[attr-defined]
        board.instant(f"produce {self.producing}")  # type: ignore[attr-defined]
        return produce(self, going, deadline)

    def requesting(self: Brokers, node: int | None, request: Any, deadline: float) -> Any:
        future = ask(self, node, request, deadline)
        if type(request).__name__.startswith("ProduceRequest"):
            self._net.poll(timeout_ms=0)
            board.instant(f"the acknowledgement of {self.producing}")  # type: ignore[attr-defined]
        return future

    Brokers._produce, Brokers._request = producing, requesting  # type: ignore[method-assign]


def _answers(board: Board) -> None:
    send = wire.Channel.send

    def sending(self: wire.Channel, message: bytes, patience_seconds: float | None = None) -> None:
        # The first message of a function only says that it is ready.
        if not board.is_function or message == b"{}":
            send(self, message, patience_seconds)
            return
        board.instant("answer")
        send(self, message, patience_seconds)
        board.instant("its end, answered", last=True)

    wire.Channel.send = sending  # type: ignore[method-assign]


def _waits(board: Board) -> None:
    """How often a request that waits looks for its saga is a matter of time."""
    wait = SharedWait.wait

    def waiting(self: SharedWait, saga: Saga, begun: float, deadline: float) -> SagaWithOrder | None:
        board.pause()
        seen = wait(self, saga, begun, deadline)
        board.muted = False
        return seen

    SharedWait.wait = waiting  # type: ignore[method-assign]


def _pollers(board: Board) -> None:
    deliver, invoke, settle = Session._deliver, IsolatedFunction.invoke, Commits.settle

    def delivering(self: Session, batch: Batch) -> None:
        board.note_delivering(begun=True)
        deliver(self, batch)
        board.note_delivering(begun=False)

    def invoking(self: IsolatedFunction, event_text: str) -> Any:
        board.instant(f"invoke {self.name}")
        answer = invoke(self, event_text)
        board.instant(f"take the answer of {self.name}")
        return answer

    def settling(self: Commits, patience_seconds: float) -> None:
        if self._done == self._committed:
            return
        board.instant(f"commit offsets of {self._topic}")
        settle(self, patience_seconds)
        board.instant(f"go on behind the offsets of {self._topic}", last=True)

    Session._deliver, IsolatedFunction.invoke, Commits.settle = delivering, invoking, settling  # type: ignore[method-assign]


def _partners(board: Board) -> None:
    handle, commit = Worker.handle, Worker._commit

    def handling(self: Worker, polled: Any) -> None:
        if not polled or board.partners_may_work:
            board.muted = False
            handle(self, polled)
            board.muted = True
            return
        while not board.partners_may_work:
            time.sleep(GATE_SECONDS)
        # What has come meanwhile belongs to the same batch: all is polled again.
        for partition, records in polled.items():
            self._fetching.go_to(partition, records[0].offset)

    def committing(self: Worker) -> None:
        if self._done:
            board.muted = False
            board.instant("commit offsets")
            commit(self)
            board.instant("go on behind the offsets", last=True)
            board.muted = True

    Worker.handle, Worker._commit = handling, committing  # type: ignore[method-assign]


def _partners_ports(board: Board) -> None:
    run, run_prepared = pg8000.native.Connection.run, pg8000.native.PreparedStatement.run

    def running(self: Any, sql: str, *arguments: Any, **named: Any) -> Any:
        board.instant(label_of(sql))
        return run(self, sql, *arguments, **named)

    def running_prepared(self: Any, *arguments: Any, **named: Any) -> Any:
        board.instant(label_of(self.statement))
        return run_prepared(self, *arguments, **named)

    class ReplyConnection(leaders.Connection):
        """The way of the replies, under the real class's name where it is made."""

        def send(self, request: bytes) -> None:
            board.instant("produce replies")
            super().send(request)

        def receive(self) -> bytes:
            board.instant("the acknowledgement of replies")
            return super().receive()

    pg8000.native.Connection.run, pg8000.native.PreparedStatement.run = running, running_prepared
    vars(replies)["Connection"] = ReplyConnection
