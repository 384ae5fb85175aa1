"""What the clock brings about for sagas that wait for an answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa

from chalicelib.ids import new_id_source
from chalicelib.operations.sweep import MOST_AT_ONCE, Sweeper
from tests.integration.conftest import Service
from tests.support.bugs import plant_bug
from tests.support.database import Placed, World
from tests.support.eventually import eventually
from tests.support.failing import role_set
from tests.support.kafka_records import answer


def sweep(service: Service, most_at_once: int | None = None) -> None:
    """What the clock's function does, in batches of its own size or of a smaller one."""
    made = service.runtime
    if most_at_once is None:
        service.app.entrypoints.schedules.sweep_timeouts()
    else:
        Sweeper(made.database, made.rules, made.publisher.publish, new_id_source, most_at_once).sweep()


def let_pass(service: Service, *, published: bool = True, most_at_once: int | None = None) -> None:
    """Let the deadlines pass, and sweep."""
    if published:
        service.world.forget_outbox()
    service.world.make_due()
    sweep(service, most_at_once)


def waiting(world: World, placed: Placed) -> timedelta:
    """How long the pending command is still waited for."""
    [row] = world.rows("SELECT due_at - clock_timestamp() AS left FROM campusg.sagas WHERE saga_id = :id", id=placed.saga_id)
    left: timedelta = row["left"]
    return left


def attempts(world: World, placed: Placed) -> int:
    number: int = world.saga(placed)["pending"]["attempts"]
    return number


def answer_pending(service: Service, placed: Placed) -> None:
    assert service.on_events(answer(service.world.pending(placed))) == {"batchItemFailures": []}


def exhaust(service: Service, placed: Placed) -> None:
    """Let every copy of the pending command go unanswered."""
    command = service.world.pending(placed)
    for _ in range(service.world.rules.policy.attempts):
        let_pass(service)
    saga = service.world.saga(placed)
    assert saga["awaited_id"] != command.id or saga["status"] == "FAILED"


@contextmanager
def impatient(service: Service) -> Iterator[None]:
    """The service's transactions wait for a lock no longer than 30 ms."""
    with role_set(service.world, "lock_timeout", "30ms"):
        service.runtime.database.close()
        yield


def test_what_is_not_due_is_left_alone(brokerless: Service) -> None:
    placed = brokerless.world.place()
    before = brokerless.world.saga(placed)
    sweep(brokerless)
    assert brokerless.world.saga(placed) == before


def test_a_resent_command_has_the_id_and_the_bytes_of_the_first_copy(service: Service) -> None:
    placed = service.world.place()
    service.runtime.publisher.relay()
    for _ in range(3):
        service.world.make_due()
        sweep(service)
    copies = service.topic("user-commands")
    assert len(copies) == 4
    assert copies == [copies[0]] * 4
    assert copies[0] == service.world.pending(placed)
    assert service.world.order(placed)["version"] == 1


def test_each_copy_is_waited_for_twice_as_long_give_or_take_a_fifth(brokerless: Service) -> None:
    placed = brokerless.world.place_many(30)
    wait = brokerless.world.rules.policy.timeout
    for copy in range(1, 5):
        lefts = [waiting(brokerless.world, each) for each in placed]
        assert {attempts(brokerless.world, each) for each in placed[:1]} == {copy}
        assert min(lefts) > wait * 0.8 - timedelta(seconds=5)
        assert max(lefts) <= wait * 1.2
        assert max(lefts) - min(lefts) > wait * 0.05
        let_pass(brokerless)
        wait *= 2


def test_a_command_that_is_not_published_yet_is_waited_for_anew_and_nothing_counts(brokerless: Service) -> None:
    placed = brokerless.world.place()
    before = brokerless.world.outbox()
    for _ in range(brokerless.world.rules.policy.attempts + 2):
        let_pass(brokerless, published=False)
    assert (attempts(brokerless.world, placed), brokerless.world.saga(placed)["status"]) == (1, "RUNNING")
    assert brokerless.world.outbox() == before
    assert waiting(brokerless.world, placed) > timedelta(seconds=5)


@pytest.mark.parametrize(("answers", "undone"), [(0, []), (1, ["payment.release"]), (2, ["escrow.refund", "payment.release"])])
def test_a_time_out_undoes_the_silent_step_too_and_cancels_the_order(brokerless: Service, answers: int, undone: list[str]) -> None:
    world = brokerless.world
    placed = world.place()
    for _ in range(answers):
        answer_pending(brokerless, placed)
    exhaust(brokerless, placed)
    commands = []
    while world.order(placed)["active_saga_id"]:
        commands.append(world.pending(placed))
        answer_pending(brokerless, placed)
    assert [command.type for command in commands] == undone
    # What may have been done is undone without naming it; what was done, by its id.
    assert ["escrowId" in command.data or "paymentId" in command.data for command in commands] == [False, answers == 2][: len(commands)]
    order, saga = world.order(placed), world.saga(placed)
    assert (order["order_status"], order["payment_status"]) == ("CANCELLED", "RELEASED" if answers == 2 else "FAILED")
    assert (saga["status"], saga["error"]["code"]) == ("COMPENSATED", "silent")


def test_an_undo_without_reply_suspends_the_saga_and_holds_the_order_until_a_late_answer(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    answer_pending(brokerless, placed)
    exhaust(brokerless, placed)
    exhaust(brokerless, placed)
    saga, suspended = world.saga(placed), world.pending(placed)
    assert (saga["status"], saga["due_at"], saga["ended_at"], suspended.type) == ("FAILED", None, None, "payment.release")
    assert world.order(placed)["active_saga_id"] == placed.saga_id
    let_pass(brokerless)
    assert world.outbox() == []
    answer_pending(brokerless, placed)
    order, saga = world.order(placed), world.saga(placed)
    assert (order["order_status"], order["payment_status"], order["active_saga_id"]) == ("CANCELLED", "FAILED", None)
    assert (saga["status"], saga["error"]["code"]) == ("COMPENSATED", "silent")


def test_a_saga_of_a_newer_release_is_left_alone(brokerless: Service) -> None:
    mine, newer = brokerless.world.place_many(2)
    brokerless.world.rows("UPDATE campusg.sagas SET definition_version = 99 WHERE saga_id = :id", id=newer.saga_id)
    brokerless.world.make_due()
    before = brokerless.world.saga(newer)
    let_pass(brokerless)
    assert brokerless.world.saga(newer)["pending"] == before["pending"]
    assert attempts(brokerless.world, mine) == 2


SPOILED = {"its plan raises": "bug", "its rows can't be read": "UPDATE campusg.sagas SET steps = '7' WHERE saga_id = :id"}


@pytest.mark.breaks_invariants("a row is spoiled")
@pytest.mark.parametrize("how", SPOILED.values(), ids=SPOILED.keys())
def test_a_saga_that_fails_is_pushed_back_further_each_time_and_the_others_go_on(
    brokerless: Service, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = brokerless.world.place_many(5)
    spoiled = placed[2]
    if how == "bug":
        plant_bug(monkeypatch, spoiled.saga_id)
    else:
        brokerless.world.rows(how, id=spoiled.saga_id)
    for time in range(1, 5):
        before = brokerless.world.now()
        let_pass(brokerless)
        assert [attempts(brokerless.world, each) for each in placed] == [1 + time, 1 + time, 1, 1 + time, 1 + time]
        saga, pause = brokerless.world.saga(spoiled), timedelta(seconds=2 ** (time - 1))
        assert saga["setbacks"] == time
        assert before <= saga["due_at"] - pause <= brokerless.world.now()


def test_an_order_that_somebody_else_has_locked_does_not_stop_the_others(brokerless: Service) -> None:
    placed = brokerless.world.place_many(3)
    brokerless.world.forget_outbox()
    brokerless.world.make_due()
    with impatient(brokerless), brokerless.world.engine.begin() as other:
        other.execute(sa.text("SELECT 1 FROM campusg.orders WHERE order_id = :id FOR UPDATE"), {"id": placed[0].order_id})
        sweep(brokerless)
    assert [attempts(brokerless.world, each) for each in placed] == [1, 2, 2]
    sweep(brokerless)
    assert [attempts(brokerless.world, each) for each in placed] == [2, 2, 2]


def test_a_sweep_ends_however_many_orders_somebody_else_has_locked(brokerless: Service) -> None:
    """They stay due, as nobody can push them back."""
    placed = brokerless.world.place_many(2)
    brokerless.world.make_due()
    with impatient(brokerless), brokerless.world.engine.begin() as other:
        other.execute(sa.text("SELECT 1 FROM campusg.orders FOR UPDATE"))
        sweep(brokerless, 2)
    assert [attempts(brokerless.world, each) for each in placed] == [1, 1]
    assert [brokerless.world.saga(each)["setbacks"] for each in placed] == [0, 0]


@pytest.mark.breaks_invariants("sagas that don't await what they have pending, which no code leaves behind")
def test_more_due_sagas_than_a_page_holds_that_await_something_else_do_not_keep_the_others_waiting(brokerless: Service) -> None:
    world = brokerless.world
    odd, other = world.place_many(MOST_AT_ONCE), world.place()
    world.forget_outbox()
    world.make_due()
    world.rows(
        "UPDATE campusg.sagas SET awaited_id = 'another', due_at = due_at - interval '1 hour' WHERE saga_id <> :id", id=other.saga_id
    )
    sweep(brokerless)
    assert (attempts(world, other), attempts(world, odd[0])) == (2, 1)
    rows = world.rows("SELECT setbacks, count(*) AS number FROM campusg.sagas WHERE due_at > clock_timestamp() GROUP BY 1 ORDER BY 1")
    assert rows == [{"setbacks": 0, "number": 1}, {"setbacks": 1, "number": len(odd)}]


def test_a_page_of_locked_orders_does_not_keep_the_others_waiting(brokerless: Service) -> None:
    """They stay due, as nobody can push them back."""
    placed = brokerless.world.place_many(5)
    brokerless.world.forget_outbox()
    brokerless.world.make_due()
    with impatient(brokerless), brokerless.world.engine.begin() as other:
        locked = [each.order_id for each in placed[:4]]
        other.execute(sa.text("SELECT 1 FROM campusg.orders WHERE order_id = ANY(CAST(:ids AS uuid[])) FOR UPDATE"), {"ids": locked})
        sweep(brokerless, 2)
    assert [attempts(brokerless.world, each) for each in placed] == [1, 1, 1, 1, 2]


def test_a_deadline_that_is_over_when_the_lock_comes_is_dropped(brokerless: Service) -> None:
    """The reply is taken while the sweep waits for the order's lock."""
    world = brokerless.world
    placed = world.place()
    world.forget_outbox()
    world.make_due()
    record = answer(world.pending(placed))
    with world.engine.begin() as holder:
        holder.execute(sa.text("SELECT 1 FROM campusg.orders WHERE order_id = :id FOR UPDATE"), {"id": placed.order_id})
        replying = threading.Thread(target=brokerless.on_events, args=(record,))
        replying.start()
        in_line(world, 1)
        sweeping = threading.Thread(target=sweep, args=(brokerless,))
        sweeping.start()
        in_line(world, 2)
    for thread in (replying, sweeping):
        thread.join(10)
    assert (world.pending(placed).type, attempts(world, placed)) == ("payment.authorize", 1)
    assert [message.type for message in world.outbox()] == ["order.status_changed", "payment.authorize"]


def in_line(world: World, number: int) -> None:
    """Wait until so many backends wait for a lock."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    eventually(lambda: len(world.rows(waits)) >= number, what=f"{number} waiting for the lock")


def test_two_sweeps_at_once_do_the_work_once(brokerless: Service) -> None:
    placed = brokerless.world.place_many(60)
    brokerless.world.forget_outbox()
    brokerless.world.make_due()
    start = threading.Barrier(3)

    def run() -> None:
        start.wait(5)
        sweep(brokerless)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    rows = brokerless.world.rows("SELECT (pending ->> 'attempts')::int AS attempts, count(*) AS number FROM campusg.sagas GROUP BY 1")
    assert rows == [{"attempts": 2, "number": len(placed)}]
    assert len(brokerless.world.outbox()) == len(placed)


def test_more_sagas_than_one_batch_holds_are_all_swept(brokerless: Service) -> None:
    brokerless.world.place_many(61)
    let_pass(brokerless, most_at_once=20)
    rows = brokerless.world.rows("SELECT (pending ->> 'attempts')::int AS attempts, count(*) AS number FROM campusg.sagas GROUP BY 1")
    assert rows == [{"attempts": 2, "number": 61}]
