"""pg8000, with fewer round trips: each statement crosses the network once, and BEGIN goes along with the first.

As it comes the driver sends a statement with parameters in three parts and waits for an answer to each, so that a pooler such as RDS Proxy
may even give the parts to different servers. PostgreSQL takes them together (documentation, "Pipelining" and "Extended Query"). This builds
on what the driver doesn't promise, so its version is pinned.
"""

import contextlib
import time
from functools import lru_cache
from typing import Any

import pg8000.legacy
from pg8000.converters import make_params
from pg8000.core import NULL_BYTE, SYNC_MSG, Context, _flush, _write
from pg8000.exceptions import DatabaseError

BEGIN = "begin transaction"


class Connection(pg8000.legacy.Connection):  # type: ignore[misc]
    """A connection to PostgreSQL; `used_at` is the wall-clock time, in seconds, when the server last answered."""

    used_at = 0.0
    _begins = False

    def execute_simple(self, statement: str) -> Any:
        if statement == BEGIN:
            # The driver says so right before the transaction's first statement, and that takes it along.
            self._begins = True
            return Context(statement)
        self._check(statement)
        self._send_begin()
        self.send_QUERY(statement)
        return self._answered(Context(statement))

    def execute_unnamed(self, statement: str, vals: Any = (), oids: Any = (), stream: Any = None) -> Any:
        if stream is not None:
            return super().execute_unnamed(statement, vals, oids, stream)
        if not vals:
            # COMMIT and ROLLBACK come this way: one message in place of five.
            return self.execute_simple(statement)
        parameters = make_params(self.py_types, vals)
        self._check(statement, *parameters)
        self._send_begin()
        self.send_PARSE(NULL_BYTE, statement, oids)
        self.send_DESCRIBE_STATEMENT(NULL_BYTE)
        self.send_BIND(NULL_BYTE, parameters)
        self.send_EXECUTE()
        _write(self._sock, SYNC_MSG)
        return self._answered(Context(statement))

    def _check(self, *texts: str | None) -> None:
        """Raise UnicodeEncodeError before anything is sent: half a statement left behind would be the beginning of the next one."""
        for text in texts:
            if text is not None:
                text.encode(self._client_encoding)

    def _send_begin(self) -> None:
        if self._begins:
            self.send_QUERY(BEGIN)

    def _answered(self, context: Any) -> Any:
        begun, self._begins = self._begins, False
        _flush(self._sock)
        if begun:
            self._read_begun(context)
        self.handle_messages(context)
        self.used_at = time.time()
        return context

    def _read_begun(self, context: Any) -> None:
        try:
            self.handle_messages(Context(BEGIN))
        except DatabaseError:
            # The statement was answered, too: left unread, that would be taken for the next one's answer.
            with contextlib.suppress(DatabaseError):
                self.handle_messages(context)
            raise


_scan = pg8000.legacy.convert_paramstyle


@lru_cache(maxsize=512)
def _scanned(statement: str) -> str:
    return str(_scan("format", statement, ())[0])


def _convert_paramstyle(style: str, statement: str, arguments: Any) -> tuple[str, Any]:
    """The driver looks for placeholders character by character, in Python, 0.7 ms for one of our statements: once a statement will do."""
    return (_scanned(statement), arguments) if style == "format" else _scan(style, statement, arguments)


pg8000.legacy.convert_paramstyle = _convert_paramstyle
