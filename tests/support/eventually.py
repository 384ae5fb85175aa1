"""Waiting for what happens in another process, with a deadline instead of a guess."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, within: float = 30.0, every: float = 0.02, what: str = "it") -> T:
    """Return the first truthy result of `look`; fail with the last one after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {within} s; last seen: {seen!r}")
        time.sleep(every)
