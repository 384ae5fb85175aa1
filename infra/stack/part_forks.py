"""The stack's side of preload.py: starts the process that forks parts, and has it fork them."""

import dataclasses
import socket
from collections.abc import Sequence

from infra.esm.forks import ForkFailed, ForkServer
from infra.stack.preload import PARTS
from infra.stack.process import Process, ServerCommand, launcher


class PartForks:
    """A new process takes the place of one that has ended, whose parts have ended with it."""

    def __init__(self, pass_fds: Sequence[int]) -> None:
        """Nothing is started yet. The process and the parts inherit `pass_fds`."""
        self._pass_fds = pass_fds
        self._server: ForkServer | None = None

    def start(self, command: ServerCommand, output: int, announce: int) -> Process:
        """Start the process that forks; a `Launch`, to be called in the main thread."""
        if self._server is not None:
            self._server.close()
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [*command.arguments, f"--connection={theirs.fileno()}", *PARTS]
            launch = launcher([*self._pass_fds, theirs.fileno()])
            process = launch(dataclasses.replace(command, arguments=arguments), output, announce)
        self._server = ForkServer(ours)
        return process

    def fork(self, command: ServerCommand, output: int, announce: int) -> Process:
        """Have a part forked; a `Launch`. Raises ForkFailed; the process that forks must have announced itself."""
        if self._server is None:
            raise ForkFailed("the process that forks was not started")
        request = {"arguments": list(command.arguments), "environment": dict(command.environment)}
        return self._server.fork(request, [output, announce])
