"""pg8000, with fewer round trips: a statement crosses the network once, some go along with the next one, and BEGIN with the first.

As it comes the driver sends a statement with parameters in three parts and waits for an answer to each, so that a pooler such as RDS Proxy
may even give the parts to different servers. PostgreSQL takes them together (documentation, "Pipelining" and "Extended Query"). This builds
on what the driver doesn't promise, so its version is pinned. No statement is named: a pooler would pin the connection for it.
"""

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import pg8000.legacy
from pg8000.converters import make_params
from pg8000.core import (
    BIND,
    BIND_COMPLETE,
    COMMAND_COMPLETE,
    DATA_ROW,
    EXECUTE_MSG,
    NULL_BYTE,
    PARSE,
    PARSE_COMPLETE,
    READY_FOR_QUERY,
    SYNC_MSG,
    Context,
    H_pack,
    _flush,
    _read,
    _write,
    ci_unpack,
    i_pack,
)
from pg8000.exceptions import DatabaseError, InterfaceError

BEGIN = "begin transaction"


# "Is TLS spoken here?", to which one letter is the answer (PostgreSQL documentation, "Message Formats", SSLRequest).
TLS_REQUEST = struct.pack("!ii", 8, 80877103)
# What a server says to it (PostgreSQL documentation, "SSL Session Encryption").
OFFERED, NOT_OFFERED = b"S", b"N"


class Later:
    """The answer to a statement that goes along with the next one."""

    def __init__(self) -> None:
        self._answered = False
        self._value: str | None = None

    @property
    def value(self) -> str | None:
        """The first column of its first row as text, if it has one; raises LookupError before the next statement was answered."""
        if not self._answered:
            raise LookupError("the statement has not been sent yet")
        return self._value

    def settle(self, value: str | None) -> None:
        """Called by the connection."""
        self._answered, self._value = True, value


class Connection(pg8000.legacy.Connection):  # type: ignore[misc]
    """A connection to PostgreSQL; `used_at` is the wall-clock time, in seconds, when the server last answered."""

    used_at = 0.0
    _begins = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """What pg8000 takes. Without `ssl_context`, which checks who is there, TLS is spoken where it is offered."""
        if named.get("ssl_context") is None:
            named |= {"sock": _connected(named["host"], named.get("port", 5432), named.get("timeout")), "ssl_context": False}
        try:
            super().__init__(*arguments, **named)
        except KeyError as error:
            # The driver has no word of its own for a message that PostgreSQL doesn't send.
            raise InterfaceError("network error") from error
        self._ahead = bytearray()
        self._awaited: list[Later] = []
        # What is longer than the driver's buffer goes in several writes, the last of which Nagle's algorithm would hold back until the
        # server has acknowledged the others: for 40 ms.
        with contextlib.suppress(OSError):
            self._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send_ahead(self, statement: str, parameters: Sequence[str | None]) -> Later:
        """Have a statement, with parameters $1, $2 and so on, run in this transaction right before the next statement or the commit.

        It crosses the network with that one, which raises its error. Not for what answers with many rows ahead of a long statement: both
        sides would wait until the other reads.
        """
        encoded = [None if value is None else self._bytes(value) for value in parameters]
        bound = b"".join(i_pack(-1) if value is None else i_pack(len(value)) + value for value in encoded)
        parse = _message(PARSE, NULL_BYTE + self._bytes(statement) + NULL_BYTE + H_pack(0))
        bind = _message(BIND, NULL_BYTE + NULL_BYTE + H_pack(0) + H_pack(len(encoded)) + bound + H_pack(0))
        self._begins = self._begins or not (self._in_transaction or self._awaited)
        self._ahead += parse + bind + EXECUTE_MSG
        self._awaited.append(Later())
        return self._awaited[-1]

    def rollback(self) -> None:
        """Take the transaction back, with what was to go ahead of its next statement."""
        self._ahead.clear()
        self._awaited.clear()
        self._begins = False
        super().rollback()

    def execute_simple(self, statement: str) -> Any:
        if statement == BEGIN:
            # The driver says so right before the transaction's first statement, and that takes it along.
            self._begins = True
            return Context(statement)
        self._check(statement)
        self._send_what_goes_ahead()
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
        self._send_what_goes_ahead()
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

    def _send_what_goes_ahead(self) -> None:
        if self._begins:
            self.send_QUERY(BEGIN)
        if self._ahead:
            _write(self._sock, bytes(self._ahead) + SYNC_MSG)
            self._ahead.clear()

    def _answered(self, context: Any) -> Any:
        try:
            return self._read_answers(context)
        except OSError as error:
            # The driver lets it through, and SQLAlchemy would take the connection for a good one.
            raise InterfaceError("network error") from error

    def _read_answers(self, context: Any) -> Any:
        begun, self._begins = self._begins, False
        awaited, self._awaited = self._awaited, []
        _flush(self._sock)
        reads: list[Callable[[], None]] = []
        if begun:
            reads.append(lambda: self._read_context(Context(BEGIN)))
        if awaited:
            reads.append(lambda: self._read_ahead(awaited))
        first: DatabaseError | None = None
        for read in reads:
            try:
                read()
            except DatabaseError as error:
                first = first or error
        if first is not None:
            # The statement was answered, too: left unread, that would be taken for the next one's answer.
            with contextlib.suppress(DatabaseError, InterfaceError):
                self.handle_messages(context)
            raise first
        self.handle_messages(context)
        self.used_at = time.time()
        return context

    def _read_context(self, context: Any) -> None:
        self.handle_messages(context)

    def _read_ahead(self, awaited: Sequence[Later]) -> None:
        """Read the answers to the statements that went ahead; raises the first one's error, after which none was run."""
        context = Context("ahead")
        waiting = iter(awaited)
        rows: list[str | None] = []
        code = None
        while code != READY_FOR_QUERY:
            code, size = ci_unpack(_read(self._sock, 5))
            data = _read(self._sock, size - 4)
            if code == DATA_ROW:
                rows = rows or [self._first_column(data)]
            elif code == COMMAND_COMPLETE:
                next(waiting).settle(rows[0] if rows else None)
                rows = []
            elif code not in (PARSE_COMPLETE, BIND_COMPLETE):
                self.message_types[code](data, context)
        if context.error is not None:
            raise context.error

    def _first_column(self, data: bytes) -> str | None:
        length = int.from_bytes(data[2:6], "big", signed=True)
        return None if length < 0 else data[6 : 6 + length].decode(self._client_encoding)

    def _bytes(self, text: str) -> bytes:
        return text.encode(str(self._client_encoding))


def _connected(host: str, port: int, timeout: float | None) -> socket.socket:
    """As pg8000 connects, but for the context: it makes one each time, and reads all of the system's authorities for it (30 ms)."""
    try:
        connected = socket.create_connection((host, port), timeout)
    except OSError as error:
        raise InterfaceError(f"Can't create a connection to host {host} and port {port}") from error
    try:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.sendall(TLS_REQUEST)
        answer = connected.recv(1)
        if answer == OFFERED:
            return _unverified().wrap_socket(connected, server_hostname=host)
        if answer != NOT_OFFERED:
            # It has gone away, can't take anybody, or is no PostgreSQL.
            raise ConnectionError("no answer that PostgreSQL gives")
    except OSError as error:
        connected.close()
        raise InterfaceError("network error") from error
    return connected


@lru_cache(maxsize=1)
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _message(code: bytes, data: bytes) -> bytes:
    return bytes(code + i_pack(len(data) + 4) + data)


_scan = pg8000.legacy.convert_paramstyle


@lru_cache(maxsize=512)
def _scanned(statement: str) -> str:
    return str(_scan("format", statement, ())[0])


def _convert_paramstyle(style: str, statement: str, arguments: Any) -> tuple[str, Any]:
    """The driver looks for placeholders character by character, in Python, 0.7 ms for one of our statements: once a statement will do."""
    return (_scanned(statement), arguments) if style == "format" else _scan(style, statement, arguments)


pg8000.legacy.convert_paramstyle = _convert_paramstyle
