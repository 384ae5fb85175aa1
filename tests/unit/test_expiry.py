"""An authorization that expires: when it is news, when it compensates or cancels, when it has to wait, and when an operator must look."""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.operations.expire import expire_authorization
from chalicelib.orders import expiry
from chalicelib.orders.order import OrderStatus, PaymentStatus
from chalicelib.sagas.engine import unit_of_work
from chalicelib.sagas.state import Saga
from tests.support.examples import CONTEXT, RULES, an_order, an_order_in
from tests.support.life import Life
from tests.support.memory_tables import Tables, in_memory


@pytest.fixture
def life() -> Iterator[Life]:
    """An order that has just been placed."""
    with in_memory() as tables:
        yield Life(tables, RULES)


def accepted(life: Life) -> None:
    life.rest()
    life.accept("run_1")
    life.rest()


def sagas(life: Life) -> list[str]:
    return [saga.name for saga in life.tables.sagas.values()]


def the_saga(life: Life) -> Saga:
    assert life.holder
    return life.holder


def last_entry(life: Life) -> Any:
    return life.tables.history[str(life.order_id), life.order.version]


@pytest.mark.parametrize("payment", PaymentStatus)
def test_it_is_news_while_the_payment_could_be_that_authorization(payment: PaymentStatus) -> None:
    order = an_order(payment_status=payment, payment_id="pay_1")
    assert expiry.concerns(order, "pay_1") == (payment in ("PENDING", "AUTHORIZED"))
    assert not expiry.concerns(order, "pay_2")


def test_before_the_authorization_is_known_any_payment_may_be_meant() -> None:
    assert expiry.concerns(an_order(), "pay_2")


def test_it_is_news_once_an_order() -> None:
    assert not expiry.concerns(an_order_in(OrderStatus.ACCEPTED, authorization_expired=True), "pay_1")


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_a_running_creation_is_compensated_at_each_of_its_steps(life: Life, answers: int) -> None:
    for _ in range(answers):
        life.go_on()
    version = life.order.version

    life.expire()

    assert life.order.version == version + 1
    assert (last_entry(life)["actor"], last_entry(life)["detail"]) == ("partner:payment", {"cause": "payment.authorization_expired"})
    life.rest()
    assert (sagas(life), life.order.order_status) == (["create_order"], "CANCELLED")
    assert [saga.error.code.value for saga in life.tables.sagas.values() if saga.error] == ["expired"]
    life.check_books()


def test_a_creation_that_is_already_undone_goes_on_undone(life: Life) -> None:
    life.go_on()
    life.cancel()
    before = the_saga(life)

    life.expire()

    assert the_saga(life) == before
    assert life.order.authorization_expired
    life.rest()
    assert (sagas(life), life.order.order_status) == (["create_order"], "CANCELLED")


def test_an_open_or_accepted_order_is_cancelled_at_once(life: Life) -> None:
    accepted(life)
    version = life.order.version

    life.expire()

    assert (the_saga(life).name, life.order.version) == ("cancel_order", version + 1)
    life.rest()
    assert (life.order.order_status, life.order.payment_status, life.order.runner_id) == ("CANCELLED", "RELEASED", "run_1")
    assert life.order.cancel_reason == "the payment's authorization expired"
    life.check_books()


@pytest.mark.parametrize("act", ["balk", "go_on"])
def test_while_an_accept_holds_the_order_the_outcome_that_ends_it_begins_the_cancellation(life: Life, act: str) -> None:
    life.rest()
    life.accept("run_1")
    life.go_on()
    life.expire()
    assert (the_saga(life).name, life.order.authorization_expired) == ("accept_order", True)
    version = life.order.version

    getattr(life, act)()

    assert (the_saga(life).name, life.order.version) == ("cancel_order", version + 1)
    life.check()
    life.rest()
    assert (sagas(life)[1:], life.order.order_status) == (["accept_order", "cancel_order"], "CANCELLED")
    life.check_books()


def test_an_order_given_back_is_not_opened_to_runners_again(life: Life) -> None:
    accepted(life)
    life.give_back()
    life.expire()
    life.go_on()

    assert the_saga(life).name == "cancel_order"
    life.rest()
    assert life.order.order_status == "CANCELLED"


def test_a_cancellation_under_way_is_not_begun_again(life: Life) -> None:
    accepted(life)
    life.cancel()
    life.expire()
    life.rest()
    assert sagas(life).count("cancel_order") == 1
    assert life.order.cancel_reason == "changed my mind"


@pytest.mark.parametrize("moves", [1, 2, 3])
def test_once_collected_it_is_noted_for_the_operator_and_changes_nothing(life: Life, moves: int) -> None:
    accepted(life)
    for _ in range(moves):
        life.move_on()
    status, version = life.order.order_status, life.order.version

    life.expire()

    assert (life.order.order_status, life.order.version, life.holder) == (status, version + 1, None)
    assert life.order.authorization_expired
    [letter] = life.tables.dead_letters_kept
    assert (letter.error_class, letter.order_id, letter.type) == ("AuthorizationExpired", life.order_id, "payment.authorization_expired")


def test_a_second_message_changes_nothing(life: Life) -> None:
    accepted(life)
    life.move_on()
    life.expire()
    before = life.order

    life.expire()

    assert life.order == before
    assert len(life.tables.dead_letters_kept) == 1


def test_it_is_one_version_of_the_order_with_the_saga_it_starts() -> None:
    with in_memory() as tables:
        life = Life(tables, RULES)
        life.rest()
        assert not _expired(tables, life)
        assert last_entry(life)["saga_id"] == str(life.order.active_saga_id)


def _expired(tables: Tables, life: Life) -> bool:
    with unit_of_work(tables.session, RULES, order_ids=[life.order_id]) as work:
        return expire_authorization(work, life.order_id, CONTEXT, life.ids())
