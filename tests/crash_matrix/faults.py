"""Faults that may be planted, to see that the matrix finds them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from chalicelib.entrypoints.changes import Change
from chalicelib.runtime import runtime
from infra.esm.session import Session


def publish_before_commit() -> None:
    """What a request writes goes out before its transaction has committed."""
    transaction = Change.transaction

    @contextmanager
    def early(self: Any) -> Iterator[sa.Connection]:
        with transaction(self) as session:
            yield session
            # The rows' numbers come with the next statement.
            session.execute(sa.text("SELECT 1 AS sent"))
            runtime().publisher.publish(self.call.written)

    Change.transaction = early  # type: ignore[method-assign]


def commit_before_work() -> None:
    """Offsets are committed before the function is called with the records."""
    deliver = Session._deliver

    def early(self: Any, batch: Any) -> None:
        self._commits.commit(batch.ends)
        deliver(self, batch)

    Session._deliver = early  # type: ignore[method-assign]


FAULTS: Mapping[str, Callable[[], None]] = {each.__name__: each for each in (publish_before_commit, commit_before_work)}
