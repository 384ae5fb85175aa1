"""A bug in the engine, planted for tests of what becomes of work that fails by our own fault."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from chalicelib.sagas.engine import UnitOfWork


def fail() -> None:
    raise ZeroDivisionError("a bug")


def plant_bug(monkeypatch: pytest.MonkeyPatch, *saga_ids: UUID, fault: Callable[[], None] = fail) -> list[UUID]:
    """Whatever is applied to these sagas (none named: to any) meets the fault first; the list grows by a saga's id each time."""
    real = UnitOfWork.apply
    met: list[UUID] = []

    def apply(self: UnitOfWork, saga: Any, *arguments: Any, **named: Any) -> None:
        if not saga_ids or saga.saga_id in saga_ids:
            met.append(saga.saga_id)
            fault()
        real(self, saga, *arguments, **named)

    monkeypatch.setattr(UnitOfWork, "apply", apply)
    return met
