"""Who sees an order, and whose it is to change: every role against every relation to the order."""

from pathlib import Path

import pytest

import chalicelib
from chalicelib.errors import Forbidden, NotFound
from chalicelib.orders.access import Viewer, changeable, seen
from chalicelib.orders.order import Order, OrderStatus
from tests.support.examples import an_order_in

OPEN = an_order_in(OrderStatus.READY_FOR_PICKUP)
TAKEN = an_order_in(OrderStatus.ACCEPTED)


def viewer(sub: str, *roles: str) -> Viewer:
    return Viewer(sub, frozenset(roles))


OWNER, RUNNER, ADMIN = viewer("cust_1", "customer"), viewer("run_1", "runner"), viewer("adm_1", "admin")
OTHER_CUSTOMER, OTHER_RUNNER = viewer("cust_2", "customer"), viewer("run_2", "runner")
SEES_NOTHING_TAKEN = [
    OTHER_CUSTOMER,
    OTHER_RUNNER,
    viewer("cust_1"),
    viewer("run_1", "customer"),
    viewer("cust_1", "runner"),
    viewer("cust_1", "cook"),
]


def named(who: Viewer) -> str:
    """The test's name, the same in every process that collects it."""
    return " ".join([who.sub, *sorted(who.roles)])


@pytest.mark.parametrize("who", [OWNER, RUNNER, ADMIN, viewer("run_1", "customer", "runner")], ids=named)
def test_its_owner_its_runner_and_an_admin_see_an_order(who: Viewer) -> None:
    assert seen(TAKEN, who) is TAKEN


@pytest.mark.parametrize("who", SEES_NOTHING_TAKEN, ids=named)
def test_for_everybody_else_there_is_no_such_order(who: Viewer) -> None:
    for order in (TAKEN, None):
        with pytest.raises(NotFound, match="there is no such order"):
            seen(order, who)


@pytest.mark.parametrize("status", OrderStatus)
def test_any_runner_sees_an_order_while_it_is_open(status: OrderStatus) -> None:
    sees = OTHER_RUNNER.may_see(customer_id="cust_1", runner_id=None, status=status)
    assert sees == (status is OrderStatus.READY_FOR_PICKUP)


def test_an_open_order_is_nobodys_but_its_customers_and_admins() -> None:
    assert seen(OPEN, OTHER_RUNNER) is OPEN
    assert not OTHER_RUNNER.runs(OPEN.runner_id)
    with pytest.raises(Forbidden):
        changeable(OPEN, OTHER_RUNNER, by_runner=True)


@pytest.mark.parametrize(
    ("who", "by_owner", "by_runner"),
    [(OWNER, True, False), (OWNER, True, True), (RUNNER, False, True), (RUNNER, True, True), (ADMIN, False, False)],
)
def test_an_order_is_changed_by_whom_the_route_is_for(who: Viewer, by_owner: bool, by_runner: bool) -> None:
    assert changeable(TAKEN, who, by_owner=by_owner, by_runner=by_runner) is TAKEN


@pytest.mark.parametrize(("who", "by_owner", "by_runner"), [(OWNER, False, True), (RUNNER, True, False), (OWNER, False, False)])
def test_who_sees_an_order_that_is_not_theirs_to_change_hears_so(who: Viewer, by_owner: bool, by_runner: bool) -> None:
    with pytest.raises(Forbidden, match="not yours"):
        changeable(TAKEN, who, by_owner=by_owner, by_runner=by_runner)


@pytest.mark.parametrize("order", [TAKEN, None])
def test_who_does_not_see_it_does_not_hear_that_there_is_one(order: Order | None) -> None:
    with pytest.raises(NotFound):
        changeable(order, OTHER_CUSTOMER, by_owner=True, by_runner=True)


@pytest.mark.parametrize(
    ("who", "actor"),
    [
        (OWNER, "customer:cust_1"),
        (RUNNER, "runner:run_1"),
        (ADMIN, "admin:adm_1"),
        (viewer("cust_1", "customer", "admin"), "customer:cust_1"),
        (viewer("run_1", "runner", "admin"), "runner:run_1"),
        (viewer("run_1", "admin"), "admin:run_1"),
    ],
)
def test_the_history_names_people_by_what_they_are_to_the_order(who: Viewer, actor: str) -> None:
    assert who.acting_as(TAKEN) == actor


def test_no_other_module_asks_for_roles() -> None:
    asking = [
        file.name
        for file in Path(chalicelib.__path__[0]).rglob("*.py")
        for text in [file.read_text(encoding="utf-8")]
        if ".is_admin" in text or ".roles" in text
    ]

    assert asking == ["access.py"]
