"""The listening server: a thread a connection, and an end that lets running requests finish."""

import logging
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chalice.local import ThreadedHTTPServer

logger = logging.getLogger(__name__)


class GatewayServer(ThreadedHTTPServer):
    """`chalice local`'s server with a longer queue of connections to accept, and `running`, the number of requests it works on."""

    # With the default of 5, the 6th of a burst waits a second for its SYN to be sent again.
    request_queue_size = 128

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.is_stopping = False
        self.running = 0
        self._changed = threading.Condition()
        super().__init__(*arguments, **options)

    def server_bind(self) -> None:
        """Bind without the reverse look-up of the host's name that the standard library does, and nobody here needs."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[0], self.server_address[1]

    @contextmanager
    def running_request(self) -> Iterator[None]:
        """Count a request as running, from its first byte to the last of its answer."""
        with self._changed:
            self.running += 1
        try:
            yield
        finally:
            with self._changed:
                self.running -= 1
                self._changed.notify_all()

    def stop(self, grace_seconds: float) -> bool:
        """Stop accepting, then wait up to `grace_seconds` for the running requests; whether all of them ended.

        `serve_forever` must run in another thread.
        """
        self.is_stopping = True
        self.shutdown()
        self.server_close()
        with self._changed:
            return self._changed.wait_for(lambda: self.running == 0, grace_seconds)

    def handle_error(self, *_: Any) -> None:
        """Log what ended a connection, unless it was the client."""
        if not isinstance(sys.exception(), OSError):
            logger.exception("a connection ended by an unexpected error")
