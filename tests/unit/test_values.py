"""A frozen value changed by making another one."""

import dataclasses

import pytest

from chalicelib.orders.order import OrderStatus
from chalicelib.values import replace
from tests.support.examples import an_order


def test_the_value_made_has_the_changes_and_all_else_of_the_one_before_which_stays() -> None:
    order = an_order()
    made = replace(order, order_status=OrderStatus.CANCELLED, version=2)
    assert made == dataclasses.replace(order, order_status=OrderStatus.CANCELLED, version=2)
    assert order == an_order()


def test_a_field_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="Order has no field vresion"):
        replace(an_order(), version=2, vresion=3)
