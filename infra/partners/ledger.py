"""The partners' books seen from outside, read-only: for tests and for whoever audits the money."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pg8000.native import Connection

from infra.partners.database import connect

OPEN_MONEY = """
select 'authorization', payment_id, order_id, customer_id, amount, currency, created_at from partners.payments where status = 'AUTHORIZED'
union all
select 'hold', escrow_id, order_id, customer_id, amount, currency, created_at from partners.holds where status = 'HELD'
order by 7, 2
"""
PAYMENTS = """
select payment_id, customer_id, amount, currency, status, created_at, changed_at
from partners.payments where order_id = :order_id
"""
HOLDS = """
select escrow_id, customer_id, amount, currency, status, runner_id, payout_account_id, created_at, changed_at
from partners.holds where order_id = :order_id
"""
NOTIFICATIONS = """
select command_id, recipient_id, recipient_type, notification_type, title, message, sent_at
from partners.notifications where order_id = :order_id
"""
ANSWERS = """
select command_id, type, answered_at,
    (select header ->> 1 from jsonb_array_elements(reply -> 'headers') header where header ->> 0 = 'ce_type') as reply_type
from partners.answers where order_id = :order_id
"""


@dataclass(frozen=True)
class OpenMoney:
    """An authorization neither captured, released nor refunded, or a hold neither released nor refunded. `since` is in UTC."""

    kind: Literal["authorization", "hold"]
    id: str
    order_id: str
    customer_id: str
    amount: Decimal
    currency: str
    since: datetime


@dataclass(frozen=True)
class OrderLedger:
    """All that the partners have of one order, oldest first; the rows' fields are the tables' columns.

    `answers` has a row for each command worked: `command_id`, `type`, and `reply_type`, which is None where none was sent.
    """

    payments: list[dict[str, Any]]
    holds: list[dict[str, Any]]
    notifications: list[dict[str, Any]]
    answers: list[dict[str, Any]]


def open_money(database_url: str) -> list[OpenMoney]:
    """All money that is still open, oldest first; nothing where no simulated partners ever ran on this database."""
    with _Reading(database_url) as connection:
        return [OpenMoney(*row) for row in connection.run(OPEN_MONEY)] if _exists(connection) else []


def ledger_of(database_url: str, order_id: str) -> OrderLedger:
    """The partners' books of one order, empty where they have none."""
    with _Reading(database_url) as connection:
        if not _exists(connection):
            return OrderLedger([], [], [], [])
        return OrderLedger(
            payments=_rows(connection, f"{PAYMENTS} order by created_at, payment_id", order_id),
            holds=_rows(connection, f"{HOLDS} order by created_at, escrow_id", order_id),
            notifications=_rows(connection, f"{NOTIFICATIONS} order by sent_at, command_id", order_id),
            answers=_rows(connection, f"{ANSWERS} order by answered_at, command_id", order_id),
        )


class _Reading:
    """A connection with one read-only transaction that sees one state of the books."""

    def __init__(self, database_url: str) -> None:
        self._connection = connect(database_url)

    def __enter__(self) -> Connection:
        self._connection.run("begin transaction isolation level repeatable read, read only")
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _exists(connection: Connection) -> bool:
    # The last table that the partners make, all in one transaction.
    return bool(connection.run("select to_regclass('partners.notifications') is not null")[0][0])


def _rows(connection: Connection, statement: str, order_id: str) -> list[dict[str, Any]]:
    rows = connection.run(statement, order_id=order_id)
    names = [column["name"] for column in connection.columns]
    return [dict(zip(names, row, strict=True)) for row in rows]
