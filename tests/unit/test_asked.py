"""Requests for a saga: started, joined, found done, or refused; and the operator's table, at every place where a saga can rest."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import HeldBySaga, Invalid, NotFound, Refusal, Taken, TooLate, WrongStatus
from chalicelib.ids import new_id, new_id_source
from chalicelib.operations import operate
from chalicelib.operations.accept import accept_order
from chalicelib.operations.call import Call, Served, holder_of, order_locked, refuse_if_held
from chalicelib.operations.cancel import cancel_order
from chalicelib.operations.complete import complete_order
from chalicelib.operations.give_back import cancel_acceptance
from chalicelib.sagas.state import SagaStatus
from infra.documents.saga_map import REFUSED, TIMED_OUT
from tests.support.examples import CONTEXT, RULES
from tests.support.life import ADMIN, CUSTOMER, Life
from tests.support.memory_tables import in_memory
from tests.support.released_sagas import Frozen, frozen


@pytest.fixture
def life() -> Iterator[Life]:
    """An open order."""
    with in_memory() as tables:
        life = Life(tables, RULES)
        life.rest()
        yield life


def accept(life: Life, runner_id: str = "run_1") -> Served:
    return accept_order(life.tables.session, life.call(life.runner(runner_id)), life.order_id, runner_id)


def cancel(life: Life) -> Served:
    return cancel_order(life.tables.session, life.call(CUSTOMER), life.order_id, None)


def complete(life: Life) -> Served:
    return complete_order(life.tables.session, life.call(CUSTOMER), life.order_id)


def give_back(life: Life) -> Served:
    return cancel_acceptance(life.tables.session, life.call(life.runner()), life.order_id)


def delivered(life: Life) -> None:
    accept(life)
    life.rest()
    for _ in range(3):
        life.move_on()


REQUESTS: dict[str, tuple[Callable[[Life], None], Callable[[Life], Served], str]] = {
    "accept": (lambda _life: None, accept, "accept_order"),
    "cancel": (lambda _life: None, cancel, "cancel_order"),
    "complete": (delivered, complete, "complete_order"),
}


@pytest.mark.parametrize(("prepare", "request_it", "name"), REQUESTS.values(), ids=REQUESTS.keys())
def test_the_first_request_starts_the_saga_the_same_again_joins_it_and_later_finds_it_done(
    life: Life, prepare: Callable[[Life], None], request_it: Callable[[Life], Served], name: str
) -> None:
    prepare(life)
    first = request_it(life)
    sent = len(life.tables.sent)
    again = request_it(life)
    assert (first.started, again.started) == (True, False)
    assert (first.saga.name, first.saga.status, again.saga) == (name, SagaStatus.RUNNING, first.saga)
    assert len(life.tables.sent) == sent

    life.rest()
    later = request_it(life)
    assert (later.started, later.saga.saga_id, later.saga.status) == (False, first.saga.saga_id, SagaStatus.COMPLETED)


def test_cancelling_a_creation_compensates_it_and_again_joins_it() -> None:
    with in_memory() as tables:
        life = Life(tables, RULES)
        life.go_on()
        first, again = cancel(life), cancel(life)
        assert (first.saga.status, first.saga.name) == (SagaStatus.COMPENSATING, "create_order")
        assert (again.started, again.saga) == (False, first.saga)


@pytest.mark.parametrize(
    ("holding", "refused"),
    [
        (accept, [cancel, complete]),
        (cancel, [accept, complete]),
    ],
)
def test_while_one_saga_holds_the_order_requests_for_another_are_refused(
    life: Life, holding: Callable[[Life], Served], refused: list[Callable[[Life], Served]]
) -> None:
    holding(life)
    for other in refused:
        with pytest.raises(HeldBySaga):
            other(life)


def test_a_saga_that_timed_out_still_holds_its_order(life: Life) -> None:
    accept(life)
    life.rest()
    give_back(life)
    life.fall_silent()
    assert life.holder
    assert life.holder.status is SagaStatus.FAILED
    with pytest.raises(HeldBySaga):
        cancel(life)
    assert give_back(life).saga == life.holder


@pytest.mark.parametrize("settled", [False, True])
def test_a_second_runner_hears_that_the_order_is_taken(life: Life, settled: bool) -> None:
    accept(life)
    if settled:
        life.rest()
    with pytest.raises(Taken):
        accept(life, "run_2")


def test_an_acceptance_that_is_being_undone_is_not_joined(life: Life) -> None:
    accept(life)
    life.go_on()
    life.fall_silent()
    with pytest.raises(HeldBySaga, match="being undone"):
        accept(life)


def test_the_own_order_a_closed_one_and_one_too_late_are_not_accepted(life: Life) -> None:
    with pytest.raises(WrongStatus, match="own order"):
        accept(life, "cust_1")
    life.tables.now = life.order.accept_by or life.tables.now
    with pytest.raises(TooLate):
        accept(life)
    cancel(life)
    life.rest()
    with pytest.raises(WrongStatus, match="not open"):
        accept(life)


def test_only_a_delivered_order_is_completed_and_only_an_accepted_one_given_back(life: Life) -> None:
    with pytest.raises(WrongStatus):
        complete(life)
    delivered(life)
    with pytest.raises(WrongStatus):
        give_back(life)


def test_an_order_on_its_way_is_cancelled_by_an_admin_with_a_reason_alone(life: Life) -> None:
    accept(life)
    life.rest()
    life.move_on()

    with pytest.raises(WrongStatus, match="can no longer be cancelled"):
        cancel(life)
    with pytest.raises(Invalid):
        cancel_order(life.tables.session, life.call(ADMIN), life.order_id, None)
    assert cancel_order(life.tables.session, life.call(ADMIN), life.order_id, "the store burnt down").started


def test_an_order_that_does_not_exist_is_not_found(life: Life) -> None:
    with pytest.raises(NotFound), order_locked(life.tables.session, life.call(CUSTOMER), new_id()):
        pass


def test_whoever_holds_the_order_is_named_to_who_must_wait(life: Life) -> None:
    accept(life)
    held = pytest.raises(HeldBySaga, match="accept_order holds the order")
    with held, order_locked(life.tables.session, life.call(CUSTOMER), life.order_id) as (work, order):
        refuse_if_held(holder_of(work, order))


# The operator's table, from the contract

ROWS = list(frozen())
EACH = pytest.mark.parametrize("row", ROWS, ids=str)


def may_retry(row: Frozen) -> bool:
    """A saga that timed out, or a `complete_order` FAILED because the payout was refused."""
    return row.place.startswith((TIMED_OUT, REFUSED))


def may_compensate(row: Frozen) -> bool:
    """A running `create_order` or `accept_order`; a `complete_order` before its capture is written, or whose payout was refused."""
    if row.saga.name in ("create_order", "accept_order"):
        return row.saga.status is SagaStatus.RUNNING
    return row.saga.name == "complete_order" and (row.place == "validate_runner" or row.place.startswith(REFUSED))


def operated(row: Frozen, operation: Callable[..., Served]) -> tuple[Served | None, dict[tuple[str, int], Any], list[str]]:
    """What came of it, the history entries that it left, and the types of what was sent."""
    with in_memory() as tables:
        tables.orders[row.order.order_id], tables.sagas[row.saga.saga_id] = row.order, row.saga
        tables.now = row.order.updated_at
        try:
            asked = operation(tables.session, Call(RULES, ADMIN, CONTEXT, new_id_source()), row.saga.saga_id)
        except Refusal as refusal:
            assert isinstance(refusal, WrongStatus)
            asked = None
        return asked, tables.history, [dict(message.headers)["ce_type"].decode() for message in tables.sent]


@pytest.mark.parametrize(("operation", "may"), [(operate.retry, may_retry), (operate.compensate, may_compensate)])
@EACH
def test_an_operator_may_do_what_the_table_says_and_nothing_else(
    row: Frozen, operation: Callable[..., Served], may: Callable[[Frozen], bool]
) -> None:
    asked, history, sent = operated(row, operation)

    assert (asked is not None) == may(row)
    if asked is None:
        assert (history, sent) == ({}, [])
        return
    [entry] = history.values()
    assert (entry["actor"], entry["detail"]) == ("admin:adm_1", {"operator": operation.__name__})
    assert asked.order.version == row.order.version + 1
    assert asked.started


@EACH
def test_a_retry_sends_the_silent_command_as_it_was_and_a_refused_payout_begins_with_the_account(row: Frozen) -> None:
    asked, _, sent = operated(row, operate.retry)
    if asked and asked.saga.pending:
        assert asked.saga.pending.attempts == 1
        if row.saga.pending:
            assert asked.saga.pending.message == row.saga.pending.message
        else:
            assert "user.validate_runner" in sent


def test_an_unknown_saga_is_not_found_and_an_unknown_version_is_left_to_a_newer_release(life: Life) -> None:
    asked = accept(life)
    with pytest.raises(NotFound):
        operate.retry(life.tables.session, life.call(ADMIN), new_id())
    life.tables.sagas[asked.saga.saga_id] = replace(asked.saga, definition_version=99)
    for operation in (operate.retry, operate.compensate):
        with pytest.raises(WrongStatus):
            operation(life.tables.session, life.call(ADMIN), asked.saga.saga_id)
    with pytest.raises(HeldBySaga):
        cancel_order(life.tables.session, life.call(ADMIN), life.order_id, "why")
