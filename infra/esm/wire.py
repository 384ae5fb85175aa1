"""Messages over a socket between an execution environment and the process that invokes it: a length of four bytes, then as many."""

import socket
import struct
import time

_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 20


class ChannelClosed(Exception):
    """The other side is gone."""


class Channel:
    """One end of the connection; it owns the socket."""

    def __init__(self, connection: socket.socket) -> None:
        """Wrap a connected stream socket."""
        self._socket = connection

    def close(self) -> None:
        """Close the socket; the other side is told."""
        self._socket.close()

    def send(self, message: bytes, patience_seconds: float | None = None) -> None:
        """Send a message; raises ChannelClosed, and TimeoutError if it isn't taken in time."""
        self._socket.settimeout(patience_seconds)
        try:
            self._socket.sendall(_LENGTH.pack(len(message)) + message)
        except ConnectionError as error:
            raise ChannelClosed from error

    def receive(self, patience_seconds: float | None = None) -> bytes:
        """The next message; raises ChannelClosed, and TimeoutError if it isn't there in time."""
        deadline = None if patience_seconds is None else time.monotonic() + patience_seconds
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size, deadline))
        return self._read(length, deadline)

    def _read(self, length: int, deadline: float | None) -> bytes:
        read = bytearray()
        while len(read) < length:
            if deadline is not None:
                # A timeout of 0 would mean not to wait at all, which is told by another error.
                self._socket.settimeout(max(deadline - time.monotonic(), 1e-6))
            else:
                self._socket.settimeout(None)
            try:
                chunk = self._socket.recv(min(length - len(read), _CHUNK))
            except ConnectionError as error:
                raise ChannelClosed from error
            if not chunk:
                raise ChannelClosed
            read += chunk
        return bytes(read)
