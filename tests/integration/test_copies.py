"""`make grow`: copies of finished orders in which the audit finds nothing, and what it is asked for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.errors import SettingsError
from infra.stack.copies import Template
from infra.stack.grow import multiply, requested
from tests.integration.conftest import Service
from tests.support.fates import Fates, fates

NUMBER = 60


@pytest.fixture
def told(brokerless: Service, database_url: str, tmp_path: Path) -> Iterator[Fates]:
    with fates(brokerless, database_url, tmp_path) as fate:
        yield fate


def test_copies_are_orders_of_the_past_months_in_which_the_audit_finds_nothing(told: Fates, database_url: str) -> None:
    """The audit that follows each test has all of its rules."""
    lives = [told.completed(told.delivered(told.accepted()))]
    others = [told.cancelled(told.opened()), told.cancelled(told.accepted())]
    told.service.world.forget_outbox()

    multiply(database_url, lives, others, NUMBER)

    rows = told.service.world.rows("SELECT order_status, created_at, payment_id FROM campusg.orders ORDER BY order_id")
    assert len(rows) == NUMBER + 3
    assert [row["order_status"] for row in rows].count("COMPLETED") == NUMBER * 8 // 10 + 1
    assert len({row["payment_id"] for row in rows}) == NUMBER + 3
    times = [row["created_at"] for row in rows]
    assert times == sorted(times)
    assert timedelta(days=88) < datetime.now(UTC) - times[0] < timedelta(days=91)


def test_a_copy_has_other_ids_times_and_people_and_nothing_else_is_changed() -> None:
    begun = datetime(2026, 11, 29, 4, 30, tzinfo=UTC)
    order, payment = "01a22592-f5a7-71eb-9f10-4b5ef6ff0175", "pay_2f0c6d1e-95d4-4f6e-8a57-3d6f2b1f8a10"
    said = f'{{"id": "{payment}", "at": "2026-11-29T04:30:01.250Z", "order": "{order}"}}'
    row = f"{order}\tanna\t2026-11-29 04:30:00.5+00\t{said}\t12.99\n"
    copy = Template.of({"orders": row}, begun).copy(7, begun - timedelta(days=1))["orders"]
    new_order, person, time, rest, total = copy.split("\t")
    assert (person, time, total) == ("cust_7", "2026-11-28 04:30:00.500000+00:00", "12.99\n")
    assert rest.count(new_order) == 1
    assert '"at": "2026-11-28T04:30:01.250Z"' in rest
    assert rest.startswith('{"id": "pay_')
    assert payment not in rest
    assert new_order < order
    assert new_order[14] == "7"


@pytest.mark.parametrize("text", ["", "0", "-3", "1e6", "many", "100000001"])
def test_a_number_of_orders_that_is_none_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS", text)
    with pytest.raises(SettingsError, match="ORDERS must be a whole number"):
        requested()
