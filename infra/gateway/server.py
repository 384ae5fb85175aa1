"""The listening server: threads that accept and serve connections, and an end that lets running requests finish."""

import logging
import socket
import threading
import time
from contextlib import closing, suppress

from infra.gateway.admission import Admission, Limits
from infra.gateway.api import Gateway
from infra.gateway.connection import Connection, Timeouts

# With 5, the default elsewhere, the 6th of a burst waits a second for its SYN to be sent again.
BACKLOG = 128
THREAD_NAME = "gateway"
SPARE_THREADS = 64
ACCEPT_PAUSE_SECONDS = 0.1
# For connections beyond the limit: they get an answer each, and none may stay for long.
CROWDED = Timeouts(idle=1.0, request=1.0, send=1.0, linger=1.0)

logger = logging.getLogger(__name__)


class GatewayServer:
    """A server on `host`:`server_port`, once `start` was called; `running` is the number of requests it works on.

    Each of its threads accepts a connection, serves it to its end, and accepts the next. Whenever none is left to accept, one more is
    started, as far as the limits go; beyond some spare ones they end. The constructor raises OSError where the port can't be listened on.
    """

    def __init__(self, gateway: Gateway, host: str, port: int, timeouts: Timeouts, limits: Limits) -> None:
        self._admission, self._timeouts, self._limits = Admission(gateway, limits.requests), timeouts, limits
        self._turning_away = Admission(gateway, 0)
        self.host = host
        self._is_stopping = False
        self.running = 0
        self._accepting = self._serving = 0
        self._changed = threading.Condition()
        self._listener = socket.create_server((host, port), backlog=BACKLOG)
        self.server_port = int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Accept connections from now on."""
        self._add_thread()

    def stop(self, grace_seconds: float) -> bool:
        """Stop accepting, then wait up to `grace_seconds` for the running requests; whether all of them ended."""
        self._is_stopping = True
        # Wakes the threads that accept, which closing alone does not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            return self._changed.wait_for(lambda: self.running == 0, grace_seconds)

    def _add_thread(self) -> None:
        with self._changed:
            self._accepting += 1
        try:
            threading.Thread(target=self._accept, name=THREAD_NAME, daemon=True).start()
        except RuntimeError:
            logger.warning("no further thread can be started: connections wait for those there are")
            with self._changed:
                self._accepting -= 1

    def _accept(self) -> None:
        while not self._is_stopping:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if not self._is_stopping:
                    logger.warning("a connection can't be accepted: %s", error.strerror)
                    time.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            with self._changed:
                self._accepting -= 1
                self._serving += 1
                is_one_too_many = self._serving > self._limits.connections
                is_last = self._accepting == 0 and self._serving < self._limits.connections + self._limits.told
            if is_last:
                self._add_thread()
            with closing(connection):
                self._serve(connection, turn_away=is_one_too_many)
            with self._changed:
                self._serving -= 1
                if self._accepting >= SPARE_THREADS:
                    return
                self._accepting += 1

    def _serve(self, connection: socket.socket, *, turn_away: bool) -> None:
        gateway, timeouts = (self._turning_away, CROWDED) if turn_away else (self._admission, self._timeouts)
        try:
            client = Connection(connection, gateway, timeouts, lambda: turn_away or self._is_stopping)
            while client.await_request() and self._answer(client):
                pass
            client.end()
        except OSError:
            # The client is gone, or doesn't go.
            pass
        except Exception:
            logger.exception("a connection ended by an unexpected error")

    def _answer(self, client: Connection) -> bool:
        with self._changed:
            self.running += 1
        try:
            return client.answer()
        finally:
            with self._changed:
                self.running -= 1
                self._changed.notify_all()
