"""Calls a Python handler as Lambda does: found by its handler string, given JSON and a context, answering JSON."""

import importlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from .function_names import FunctionName

Handler = Callable[[Any, Any], Any]


class FunctionError(Exception):
    """The function failed: it raised, ended, took too long, or answered something that is no JSON.

    `kind` is what Lambda's Invoke answers as `FunctionError`; its runtimes say "Unhandled" for all of these.
    """

    kind: str = "Unhandled"


class FunctionTimedOut(FunctionError):
    """The function took longer than its timeout; on Lambda it is killed there and then."""

    def __init__(self, timeout_seconds: float) -> None:
        """The message is Lambda's."""
        super().__init__(f"Task timed out after {timeout_seconds:.2f} seconds")


class HandlerNotFound(FunctionError):
    """A handler string that leads to no function."""


class NotInvoked(Exception):
    """The function was not called, or nobody knows: it was throttled, or the service failed. That counts as no attempt."""


class EventTooLarge(NotInvoked):
    """The service does not take an event of this size."""


class Invocable(Protocol):
    """A function that can be called as Lambda calls one: one event at a time."""

    @property
    def name(self) -> str:
        """The function's name."""
        ...

    def invoke(self, event_text: str) -> Any:
        """Call it with the event (JSON) and return its answer, read from JSON; raises FunctionError, NotInvoked."""
        ...

    def close(self) -> None:
        """Give back what it holds; it isn't called again."""
        ...


@dataclass(frozen=True)
class Function:
    """A function that is called in the caller's thread: its name, handler and limits (by default Lambda's: 3 s, 128 MB).

    Nothing can stop it, so one that takes longer than its timeout is waited for and counts as timed out all the same.
    """

    name: str
    handler: Handler
    timeout_seconds: float = 3.0
    memory_size: int = 128

    def invoke(self, event_text: str) -> Any:
        """Call the handler with the event and return its answer, both passed through JSON; raises FunctionError."""
        begun = time.monotonic()
        try:
            answer = json.loads(json.dumps(self.handler(json.loads(event_text), LambdaContext(self))))
        except (Exception, SystemExit) as error:
            # An entry point: whatever a function does is its own failure, never its caller's.
            raise FunctionError(f"{type(error).__name__}: {error}") from error
        if time.monotonic() - begun > self.timeout_seconds:
            raise FunctionTimedOut(self.timeout_seconds)
        return answer

    def close(self) -> None:
        """Nothing is held."""


class LambdaContext:
    """The context object of Lambda's Python runtime, for one invocation."""

    def __init__(self, function: Function) -> None:
        """The time that remains counts from here."""
        self._deadline = time.monotonic() + function.timeout_seconds
        named = FunctionName.read(function.name)
        self.function_name = named.name
        self.function_version = named.version
        self.invoked_function_arn = named.arn
        # Lambda's runtime hands on the text of an environment variable.
        self.memory_limit_in_mb = str(function.memory_size)
        self.aws_request_id = str(uuid4())
        self.log_group_name = f"/aws/lambda/{named.name}"
        self.log_stream_name = "local"
        self.identity = None
        self.client_context = None

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's timeout, never below 0."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def load_handler(handler: str) -> Handler:
    """The callable that a handler string such as `app.on_events` names; raises HandlerNotFound with the reason."""
    module_name, dot, function_name = handler.rpartition(".")
    if not dot or not module_name or not function_name:
        raise HandlerNotFound(f"handler {handler!r} is not of the form module.function")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise HandlerNotFound(f"handler {handler!r}: module {module_name!r} can't be imported: {error}") from error
    found = getattr(module, function_name, None)
    if found is None:
        raise HandlerNotFound(f"handler {handler!r}: module {module_name!r} has no {function_name!r}")
    if not callable(found):
        raise HandlerNotFound(f"handler {handler!r} is not callable")
    loaded: Handler = found
    return loaded
