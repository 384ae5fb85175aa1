"""`Prefer: wait`: how it is read, and how the answer is waited for without holding a connection."""

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.entrypoints import waiting
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import SagaStatus
from tests.support.examples import SAGA_ID, a_saga, an_order


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=5", 5),
        ("WAIT=5", 5),
        ("wait = 5", 5),
        ('wait="5"', 5),
        ("wait=0", 0),
        ("wait=20", 20),
        ("wait=21", 20),
        ("wait=99999999999999", 20),
        ("respond-async, wait=3", 3),
        ("wait=3; foo=bar", 3),
        ("wait=3, wait=9", 3),
        ("wait=3;", 3),
        ('wait=3 ; foo ;; bar="a, b" ', 3),
        ('wait="1\\0"', 10),
        ('foo="a, wait=9", wait=3', 3),
        ('foo="\\", wait=9", wait=3', 3),
        ("foo=a b, wait=3", 3),
        (",, wait=3,", 3),
        ("wait=" + "0" * 5000 + "3", 3),
        ("wait=" + "9" * 5000, 20),
        ("", None),
        ("respond-async", None),
        ("wait", None),
        ("wait=", None),
        ("wait=soon", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=٣", None),
        ("await=3", None),
        ("foo; wait=3", None),
        ("wait=soon, wait=3", None),
        ("wait; x=1, wait=3", None),
        ('wait=""', None),
        ('"wait=3"', None),
        ('foo="bar, wait=3', None),
    ],
)
def test_the_wait_that_is_preferred_is_read_and_capped(prefer: str, seconds: int | None) -> None:
    assert waiting.preferred_wait({"prefer": prefer}) == seconds


def test_without_the_header_nobody_waits() -> None:
    assert waiting.preferred_wait({}) is None


class World:
    """A clock that only sleeping moves, and a saga whose status over time is given; it watches for connections held meanwhile."""

    def __init__(self, *statuses: tuple[float, SagaStatus]) -> None:
        self.now = 0.0
        self.looks: list[float] = []
        self.connected = False
        self._statuses = statuses

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert not self.connected
        assert seconds > 0
        self.now += seconds

    @contextmanager
    def transaction(self) -> Any:
        self.connected = True
        yield self
        self.connected = False

    def look(self, session: Any, saga_id: Any) -> SagaWithOrder | None:
        assert session is self
        assert saga_id == SAGA_ID
        self.looks.append(self.now)
        status = [status for since, status in self._statuses if since <= self.now][-1:]
        return SagaWithOrder(a_saga(CREATE_ORDER, status=status[0]), an_order()) if status else None


def waited(monkeypatch: pytest.MonkeyPatch, world: World, seconds: float) -> SagaWithOrder:
    monkeypatch.setattr(waiting, "time", world)
    monkeypatch.setattr(waiting, "runtime", lambda: SimpleNamespace(database=world))
    monkeypatch.setattr(waiting, "read_with_order", world.look)
    return waiting.wait_for(SAGA_ID, seconds)


@pytest.mark.parametrize("end", [SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.FAILED])
def test_waiting_ends_soon_after_the_saga_has_ended_or_is_suspended(monkeypatch: pytest.MonkeyPatch, end: SagaStatus) -> None:
    world = World((0, SagaStatus.RUNNING), (0.2, SagaStatus.COMPENSATING), (0.5, end))

    assert waited(monkeypatch, world, 20).saga.status is end
    assert 0.5 <= world.now <= 0.65


def test_a_saga_that_goes_on_is_seen_once_more_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World((0, SagaStatus.RUNNING))

    assert waited(monkeypatch, world, 3).saga.status is SagaStatus.RUNNING
    assert world.looks[-1] == pytest.approx(3)


def test_pauses_grow_so_that_a_long_wait_takes_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World((0, SagaStatus.RUNNING))
    waited(monkeypatch, world, 20)

    pauses = [later - earlier for earlier, later in zip(world.looks, world.looks[1:], strict=False)]
    assert pauses[0] <= 0.01
    assert max(pauses) <= 0.15 + 1e-9
    assert len(world.looks) < 160


def test_waiting_no_time_looks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World((0, SagaStatus.RUNNING))
    waited(monkeypatch, world, 0)

    assert world.looks == [0]


def test_a_saga_that_is_gone_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LookupError, match="is gone"):
        waited(monkeypatch, World(), 5)
