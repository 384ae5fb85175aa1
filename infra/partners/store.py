"""The ledger in PostgreSQL: one transaction a batch, with the same few statements whatever the batch's size.

Statements are prepared once a connection, for pg8000 spends three round trips on one that isn't.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from pg8000.native import Connection

from chalicelib.messages.commands import SendNotification
from chalicelib.messages.envelope import Outgoing, from_json
from infra.partners.accounts import Account, Hold, Payment
from infra.partners.batch import Answered, Known, Worked, work
from infra.partners.database import connect
from infra.partners.requests import Request
from infra.partners.schema import DDL, LOCK

# Plans are made once a connection, perhaps while the tables are empty: they must not read whole tables later, when these are full. And no
# transaction may keep the lock while its process sleeps.
CONNECTION_SETTINGS = """
set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off;
set lock_timeout = '5s'; set idle_in_transaction_session_timeout = '5s'
"""
BEGIN = f"begin; select pg_advisory_xact_lock({LOCK})"

# As JSON: pg8000 writes an array one character after the other.
COMMANDS, ORDERS = (f"any(array(select jsonb_array_elements_text(cast(:{name} as jsonb))))" for name in ("commands", "orders"))
LOAD = f"""
select 'answer', to_jsonb(a)::text from partners.answers a where a.command_id = {COMMANDS}
union all
select 'order', to_jsonb(o)::text from partners.orders o where o.order_id = {ORDERS}
union all
select 'payment', text from (
    select to_jsonb(p)::text as text from partners.payments p where p.order_id = {ORDERS} order by p.payment_id) p
union all
select 'hold', text from (
    select to_jsonb(h)::text as text from partners.holds h where h.order_id = {ORDERS} order by h.escrow_id) h
"""  # noqa: S608 - literals of ours

SAVE = """
with saved_orders as (
    insert into partners.orders (order_id, payments_barred, holds_barred, unassigned_sagas)
    select * from jsonb_to_recordset(cast(:orders as jsonb))
        as new (order_id text, payments_barred boolean, holds_barred boolean, unassigned_sagas text[])
    on conflict (order_id) do update set payments_barred = excluded.payments_barred, holds_barred = excluded.holds_barred,
        unassigned_sagas = excluded.unassigned_sagas, last_message_at = now()
), saved_payments as (
    insert into partners.payments (payment_id, order_id, customer_id, amount, currency, status)
    select * from jsonb_to_recordset(cast(:payments as jsonb))
        as new (payment_id text, order_id text, customer_id text, amount numeric, currency text, status text)
    on conflict (payment_id) do update set status = excluded.status, changed_at = now()
), saved_holds as (
    insert into partners.holds (escrow_id, order_id, customer_id, amount, currency, status, runner_id, payout_account_id)
    select * from jsonb_to_recordset(cast(:holds as jsonb))
        as new (escrow_id text, order_id text, customer_id text, amount numeric, currency text, status text, runner_id text,
                payout_account_id text)
    on conflict (escrow_id) do update set status = excluded.status, runner_id = excluded.runner_id,
        payout_account_id = excluded.payout_account_id, changed_at = now()
), saved_notifications as (
    insert into partners.notifications (command_id, order_id, recipient_id, recipient_type, notification_type, title, message)
    select * from jsonb_to_recordset(cast(:notifications as jsonb))
        as new (command_id text, order_id text, recipient_id text, recipient_type text, notification_type text, title text, message text)
)
insert into partners.answers (command_id, order_id, type, reply)
select * from jsonb_to_recordset(cast(:answers as jsonb)) as new (command_id text, order_id text, type text, reply jsonb)
"""

FORGET = """
delete from partners.orders o
where o.last_message_at < now() - interval '7 days'
  and not exists (select from partners.payments p where p.order_id = o.order_id and p.status = 'AUTHORIZED')
  and not exists (select from partners.holds h where h.order_id = o.order_id and h.status = 'HELD')
"""


class Store:
    """The ledger over one connection; after an error it can't be used any more."""

    def __init__(self, connection: Connection) -> None:
        """Take over a connection to a database that has the tables."""
        self._connection = connection
        connection.run(CONNECTION_SETTINGS)
        self._load = connection.prepare(LOAD)
        self._save = connection.prepare(SAVE)

    @classmethod
    def open(cls, database_url: str) -> Self:
        """Connect, and make the tables where they are missing, also while another process does the same."""
        connection = connect(database_url)
        try:
            connection.run(f"{BEGIN}; {DDL}; commit")
            return cls(connection)
        except BaseException:
            connection.close()
            raise

    def work(self, requests: Sequence[Request], now: datetime, new_id: Callable[[], str]) -> Worked:
        """Work a batch in one transaction. Any other process's batch waits for this one, so each sees what those before it did."""
        self._connection.run(BEGIN)
        worked = work(requests, known := self._known(requests), now, new_id)
        self._save.run(
            orders=_json([_order_row(account) for account in worked.accounts.values()]),
            payments=_json(_changed_payments(known, worked)),
            holds=_json(_changed_holds(known, worked)),
            notifications=_json([_notification_row(command_id, command) for command_id, command in worked.notifications]),
            answers=_json([_answer_row(answer) for answer in worked.answered]),
        )
        self._connection.run("commit")
        return worked

    def forget_old(self) -> None:
        """Drop what the contract lets a partner forget: orders whose last message is seven days old, unless money of theirs is open."""
        self._connection.run(FORGET)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _known(self, requests: Sequence[Request]) -> Known:
        rows = self._load.run(
            commands=_json(list({request.command_id for request in requests})),
            orders=_json(list({request.order_id for request in requests})),
        )
        found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for kind, text in rows:
            found[kind].append(from_json(text))
        return Known(_accounts(found), {row["command_id"]: _answer(row) for row in found["answer"]})


def _accounts(found: dict[str, list[dict[str, Any]]]) -> dict[str, Account]:
    payments: defaultdict[str, list[Payment]] = defaultdict(list)
    for row in found["payment"]:
        payment = Payment(row["payment_id"], row["customer_id"], Decimal(row["amount"]), row["currency"], row["status"])
        payments[row["order_id"]].append(payment)
    holds: defaultdict[str, list[Hold]] = defaultdict(list)
    for row in found["hold"]:
        parties = row["runner_id"], row["payout_account_id"]
        hold = Hold(row["escrow_id"], row["customer_id"], Decimal(row["amount"]), row["currency"], row["status"], *parties)
        holds[row["order_id"]].append(hold)
    return {
        row["order_id"]: Account(
            order_id=row["order_id"],
            payments=tuple(payments[row["order_id"]]),
            holds=tuple(holds[row["order_id"]]),
            payments_barred=row["payments_barred"],
            holds_barred=row["holds_barred"],
            unassigned_sagas=frozenset(row["unassigned_sagas"]),
        )
        for row in found["order"]
    }


def _order_row(account: Account) -> dict[str, Any]:
    return {
        "order_id": account.order_id,
        "payments_barred": account.payments_barred,
        "holds_barred": account.holds_barred,
        "unassigned_sagas": sorted(account.unassigned_sagas),
    }


def _changed_payments(known: Known, worked: Worked) -> list[dict[str, Any]]:
    return [
        {**vars(payment), "order_id": account.order_id}
        for account in worked.accounts.values()
        for payment in account.payments
        if payment not in _before(known, account).payments
    ]


def _changed_holds(known: Known, worked: Worked) -> list[dict[str, Any]]:
    return [
        {**vars(hold), "order_id": account.order_id}
        for account in worked.accounts.values()
        for hold in account.holds
        if hold not in _before(known, account).holds
    ]


def _before(known: Known, account: Account) -> Account:
    return known.accounts.get(account.order_id) or Account(account.order_id)


def _notification_row(command_id: str, command: SendNotification) -> dict[str, Any]:
    return {**command.model_dump(), "command_id": command_id}


def _answer_row(answer: Answered) -> dict[str, Any]:
    return {**vars(answer), "reply": answer.reply and _reply_row(answer.reply)}


def _reply_row(reply: Outgoing) -> dict[str, Any]:
    # Text, for all bytes of our replies are UTF-8; one that isn't must not be stored changed, hence the strict decoding.
    return {
        "topic": reply.topic,
        "key": reply.key and reply.key.decode(),
        "value": reply.value and reply.value.decode(),
        "headers": [[name, value.decode()] for name, value in reply.headers],
    }


def _answer(row: dict[str, Any]) -> Answered:
    reply = row["reply"]
    record = reply and Outgoing(
        reply["topic"],
        reply["key"].encode(),
        reply["value"].encode(),
        tuple((name, value.encode()) for name, value in reply["headers"]),
    )
    return Answered(row["command_id"], row["order_id"], row["type"], record)


def _json(rows: list[Any]) -> str:
    return json.dumps(rows, ensure_ascii=False, default=str)
