"""Every rule of the audit finds what breaks it, and is silent on orders of every fate."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.messaging.producer import Producer
from chalicelib.operations import audit
from chalicelib.operations.audit import LIVE_RULES, RULES, Rule, Violation, parked, violations
from infra.local.devkeys import jwks_file
from tests.integration.conftest import RULES as SERVICE_RULES
from tests.integration.conftest import serve
from tests.support.database import World
from tests.support.fates import Fates, fates
from tests.support.servers import PostgresServer
from tests.support.statements import counted

# Each breaks rows by SQL; what the tables themselves refuse, they have to be kept from first.
UNGUARDED = """
ALTER TABLE campusg.sagas DROP CONSTRAINT never_stuck, DROP CONSTRAINT awaits_what_is_pending, DROP CONSTRAINT ended_when_done;
ALTER TABLE campusg.orders DROP CONSTRAINT open_has_accept_by, DROP CONSTRAINT held_by_a_saga;
DROP INDEX campusg.sagas_one_at_a_time
"""


@dataclass(frozen=True)
class Orders:
    """A database with an order of every fate, by name. Its tests leave it so."""

    engine: sa.Engine
    ids: dict[str, UUID]


@pytest.fixture(scope="module")
def orders(postgres_server: PostgresServer, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orders]:
    url = postgres_server.create_database(template=migrated_template)
    engine, keys = make_engine(url, pool_size=3), tmp_path_factory.mktemp("keys")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Producer, "resting", property(lambda self: True))
        for service in serve(World(engine, SERVICE_RULES), url, "127.0.0.1:1", patch, jwks_file(keys)):
            with fates(service, url, keys) as told:
                ids = every_fate(told)
    yield Orders(engine, ids)
    engine.dispose()
    postgres_server.drop_database(url)


def every_fate(told: Fates) -> dict[str, UUID]:
    """Those that fall silent come first: a deadline that passes passes for all."""
    silent, parked_by_silence = told.opened("silent_1"), told.cancelled(told.opened(), answered=False)
    told.fall_silent()
    told.settle()
    return {
        "silent": silent,
        "parked by silence": parked_by_silence,
        "completed": told.completed(told.delivered(told.accepted())),
        "given back and completed": told.completed(
            told.delivered(told.accept(told.give_back(told.accepted("run_1"), "run_1"), "run_2"), "run_2")
        ),
        "declined": told.opened("declined_1"),
        "rejected": told.opened("rejected_1"),
        "without escrow": told.opened("noescrow_1"),
        "rejected runner": told.accept(told.opened(), "rejected_1"),
        "cancelled while created": told.cancelled(told.opened("silent_2"), "silent_2"),
        "cancelled": told.cancelled(told.accepted()),
        "timed out": told.timed_out(),
        "open": told.opened(),
        "accepted": told.accepted(),
        "refused payout": told.refused_payout(told.delivered(told.accepted())),
        "refunded": told.compensate(told.refused_payout(told.delivered(told.accepted()))),
        "running": told.place(),
    }


def broken(orders: Orders, statements: str, rule: Rule) -> list[Violation]:
    """What the rule finds where these statements were run; they are undone."""
    parameters = {name.replace(" ", "_"): id for name, id in orders.ids.items()}
    with orders.engine.connect() as session:
        for statement in (*UNGUARDED.split(";"), *statements.split(";")):
            session.execute(sa.text(statement), parameters)
        found = violations(session, [rule])
        session.rollback()
    return found


def test_orders_of_every_fate_break_no_rule_in_whatever_state_they_are(orders: Orders) -> None:
    with orders.engine.begin() as session:
        statuses = set(session.execute(sa.text("SELECT order_status || '/' || payment_status FROM campusg.orders")).scalars())
        assert violations(session) == []
    assert statuses == {
        *("CREATED/PENDING", "READY_FOR_PICKUP/AUTHORIZED", "ACCEPTED/AUTHORIZED", "DELIVERED/CAPTURED", "DELIVERED/REFUNDED"),
        *("COMPLETED/CAPTURED", "CANCELLED/FAILED", "CANCELLED/RELEASED", "TIMED_OUT/RELEASED"),
    }


def test_sagas_that_wait_for_an_operator_or_for_a_late_reply_are_listed_as_parked(orders: Orders) -> None:
    with orders.engine.begin() as session:
        found = {each.order_id: (each.rule, each.detail) for each in parked(session)}
    assert found == {
        orders.ids["refused payout"]: (
            "parked_by_refusal",
            "complete_order: release_escrow was refused: the runner is not the one assigned",
        ),
        orders.ids["parked by silence"]: ("parked_by_silence", "cancel_order: refund_escrow had no answer after 5 attempts"),
    }


def saga(change: str, fate: str) -> str:
    return f"UPDATE campusg.sagas SET {change} WHERE ended_at IS NULL AND order_id = :{fate.replace(' ', '_')}"


def order(change: str, fate: str) -> str:
    return f"UPDATE campusg.orders SET {change} WHERE order_id = :{fate.replace(' ', '_')}"


def said(before: str, after: str, fate: str) -> str:
    """Let a partner have said something else to a saga."""
    change = f"steps = CAST(replace(CAST(steps AS text), '{before}', '{after}') AS jsonb)"
    return f"UPDATE campusg.sagas SET {change} WHERE order_id = :{fate.replace(' ', '_')}"


def unsaid(reply: str, fate: str) -> str:
    """Let a partner never have said that."""
    return said(reply, "user.forgotten", fate)


LATE = "clock_timestamp() - interval '301 seconds'"
A_DAY_AGO = "clock_timestamp() - interval '24 hours 6 minutes'"
LATEST = "(SELECT saga_id FROM campusg.sagas s WHERE s.order_id = orders.order_id ORDER BY saga_id DESC LIMIT 1)"
OF_RUNNING = "(SELECT saga_id FROM campusg.sagas WHERE order_id = :running)"
ANOTHER = f"""
INSERT INTO campusg.sagas SELECT (jsonb_populate_record(s, jsonb_build_object('saga_id', gen_random_uuid(), 'name', 'cancel_order'))).*
FROM campusg.sagas s WHERE saga_id = {OF_RUNNING}"""
VERSION = "DELETE FROM campusg.order_history WHERE order_id = :completed AND version"
# Rule, whose order, how it is broken, what the detail says.
BREAKAGES: list[tuple[Rule, str, str, str]] = [
    (audit.SAGA_WITHOUT_COMMAND, "running", saga("awaited_id = NULL, pending = NULL", "running"), "awaits nothing"),
    (audit.SAGA_WITHOUT_COMMAND, "running", saga("pending = NULL", "running"), "create_order is RUNNING"),
    (audit.SAGA_WITHOUT_COMMAND, "running", saga("due_at = NULL", "running"), "due never"),
    (audit.SAGA_WITHOUT_COMMAND, "running", saga("status = 'COMPENSATING', due_at = NULL", "running"), "due never"),
    (audit.SAGA_WITHOUT_COMMAND, "parked by silence", saga("awaited_id = NULL, pending = NULL", "parked by silence"), "FAILED"),
    (audit.SAGA_OVERDUE, "running", saga(f"due_at = {LATE}", "running"), "create_order version 1 was due at"),
    (
        audit.OUTBOX_OLD,
        "running",
        f"UPDATE campusg.outbox SET created_at = {LATE} WHERE topic = 'user-commands'",
        "for user-commands waits",
    ),
    (audit.OPEN_WITHOUT_TIME_LIMIT, "open", order("accept_by = NULL", "open"), "without accept_by"),
    (audit.SAGA_HOLDS_NOTHING, "running", order("active_saga_id = NULL", "running"), "held by nobody"),
    (audit.SAGA_HOLDS_NOTHING, "running", order("order_status = 'CANCELLED'", "running"), "its order is CANCELLED"),
    (audit.HELD_BY_NOBODY, "open", order(f"active_saga_id = {LATEST}", "open"), "the saga ended at"),
    (audit.HELD_BY_NOBODY, "open", order(f"active_saga_id = {OF_RUNNING}", "open"), "of another order"),
    (audit.HELD_BY_NOBODY, "open", order("active_saga_id = gen_random_uuid()", "open"), "no such saga"),
    (audit.SAGAS_AT_ONCE, "running", ANOTHER, "2 sagas have not ended: .*cancel_order"),
    (audit.MONEY_OPEN, "accepted", order(f"updated_at = {A_DAY_AGO}", "accepted"), "SGD 12.99 is AUTHORIZED.* unchanged for 1 day 00:06"),
    (audit.MONEY_OPEN, "refused payout", order(f"updated_at = {A_DAY_AGO}", "refused payout"), "CAPTURED, the order DELIVERED"),
    (audit.MONEY_OPEN, "running", order(f"updated_at = {A_DAY_AGO}", "running"), "PENDING, the order CREATED"),
    (audit.HELD_AFTER_THE_END, "completed", order(f"active_saga_id = {LATEST}", "completed"), "the order is COMPLETED"),
    (audit.HISTORY_INCOMPLETE, "completed", f"{VERSION} = 1", "11 entries from 2 to 12"),
    (audit.HISTORY_INCOMPLETE, "completed", f"{VERSION} = 5", "11 entries from 1 to 12"),
    (audit.HISTORY_INCOMPLETE, "completed", f"{VERSION} = 12", "at version 12, .* 11 entries from 1 to 11"),
    (audit.HISTORY_INCOMPLETE, "completed", f"{VERSION} > 0", "has 0 entries"),
    (audit.HISTORY_INCOMPLETE, "completed", order("version = 13", "completed"), "at version 13, .* 12 entries"),
    (audit.HISTORY_DISAGREES, "open", order("order_status = 'CANCELLED'", "open"), "CANCELLED/AUTHORIZED, .* READY_FOR_PICKUP/AUTHORIZED"),
    (audit.HISTORY_DISAGREES, "open", order("payment_status = 'RELEASED'", "open"), "READY_FOR_PICKUP/RELEASED, .* ends"),
]
MONEY: list[tuple[str, str, str]] = [
    ("open", order("order_status = 'CANCELLED'", "open"), "payment: CANCELLED/AUTHORIZED, but 1 authorized, 0 captured, 0 released"),
    ("open", order("order_status = 'CANCELLED'", "open"), "hold: CANCELLED, but 1 held, 0 paid out, 0 given back"),
    ("completed", order("payment_status = 'AUTHORIZED'", "completed"), "payment: COMPLETED/AUTHORIZED"),
    ("completed", order("payment_status = 'RELEASED'", "completed"), "payment: COMPLETED/RELEASED"),
    ("completed", order("order_status = 'CANCELLED'", "completed"), "payment: CANCELLED/CAPTURED"),
    ("completed", unsaid("payment.authorized", "completed"), "0 authorized, 1 captured"),
    ("completed", unsaid("payment.captured", "completed"), "payment: .* 0 captured"),
    ("completed", said("escrow.runner_assigned", "payment.released", "completed"), "1 captured, 1 released"),
    ("completed", said("escrow.runner_assigned", "payment.captured", "completed"), "2 captured"),
    ("completed", unsaid("escrow.held", "completed"), "hold: COMPLETED, but 0 held"),
    ("completed", unsaid("escrow.released", "completed"), "hold: .* 0 paid out"),
    ("completed", said("escrow.runner_assigned", "escrow.refunded", "completed"), "1 paid out, 1 given back"),
    ("cancelled", order("payment_status = 'FAILED'", "cancelled"), "payment: CANCELLED/FAILED, but 1 authorized"),
    ("cancelled", order("payment_status = 'CAPTURED'", "cancelled"), "payment: CANCELLED/CAPTURED"),
    ("cancelled", unsaid("payment.released", "cancelled"), "payment: .* 0 released"),
    ("cancelled", said("escrow.runner_unassigned", "payment.released", "cancelled"), "payment: .* 2 released"),
    ("cancelled", unsaid("escrow.refunded", "cancelled"), "hold: .* 0 given back"),
    ("cancelled", said("escrow.runner_unassigned", "escrow.released", "cancelled"), "1 paid out, 1 given back; payee: run_1"),
    ("timed out", unsaid("payment.released", "timed out"), "payment: TIMED_OUT/RELEASED"),
    ("silent", unsaid("payment.released", "silent"), "payment: CANCELLED/FAILED, .* 0 released"),
    ("silent", order("payment_status = 'RELEASED', payment_id = 'pay_1'", "silent"), "payment: CANCELLED/RELEASED, but 0 authorized"),
    ("cancelled while created", unsaid("payment.released", "cancelled while created"), "payment: CANCELLED/FAILED"),
    ("declined", said("payment.declined", "payment.authorized", "declined"), "payment: CANCELLED/FAILED, but 1 authorized"),
    ("without escrow", unsaid("payment.released", "without escrow"), "payment: CANCELLED/RELEASED"),
    ("without escrow", said("escrow.hold_failed", "escrow.held", "without escrow"), "hold: CANCELLED, but 1 held"),
    ("refunded", unsaid("payment.refunded", "refunded"), "payment: DELIVERED/REFUNDED, but 1 authorized, 1 captured"),
    ("refunded", unsaid("escrow.refunded", "refunded"), "hold: DELIVERED, but 1 held"),
    ("completed", order("delivery_fee = 4.00, total = 13.00", "completed"), "amount: 13.00, but .*escrow.released 12.99"),
    ("completed", said('"12.99"', '"12.98"', "completed"), "amount: 12.99, but payment.authorized 12.98"),
    ("cancelled", said('"12.99"', '"0.00"', "cancelled"), "amount: 12.99"),
    ("completed", order("payment_id = 'pay_9'", "completed"), "id: another one in payment.authorized, payment.captured"),
    ("completed", order("escrow_id = 'esc_9'", "completed"), "id: another one in escrow.held"),
    ("completed", order("runner_id = 'run_9'", "completed"), "payee: run_9, but run_1 was assigned, somebody else validated"),
    ("given back and completed", order("runner_id = 'run_1'", "given back and completed"), "payee: run_1, but run_2 was assigned"),
    ("completed", unsaid("escrow.runner_assigned", "completed"), "payee: run_1, but nobody was assigned"),
    ("completed", unsaid("user.runner_validated", "completed"), "payee: .* somebody else validated, the account is not"),
    ("completed", "UPDATE campusg.sagas SET facts = '{}' WHERE order_id = :completed", "the account is not the one named for the runner"),
]
BREAKAGES += [(audit.MONEY_ASTRAY, *each) for each in MONEY]


@pytest.mark.parametrize(
    ("rule", "fate", "statements", "detail"), BREAKAGES, ids=[f"{rule.name}: {fate}: {detail}" for rule, fate, _, detail in BREAKAGES]
)
def test_what_breaks_a_rule_is_found_with_its_order_and_nothing_else(
    orders: Orders, rule: Rule, fate: str, statements: str, detail: str
) -> None:
    [found] = broken(orders, statements, rule)

    assert (found.rule, found.order_id) == (rule.name, orders.ids[fate])
    assert re.search(detail, found.detail), found.detail


def test_every_rule_is_shown_to_find_something() -> None:
    assert {rule.name for rule, *_ in BREAKAGES} == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES)


WELL: dict[str, tuple[Rule, str]] = {
    "a deadline that has just passed": (audit.SAGA_OVERDUE, saga("due_at = clock_timestamp() - interval '290 seconds'", "running")),
    "a message that has waited for four relay periods": (
        audit.OUTBOX_OLD,
        "UPDATE campusg.outbox SET created_at = clock_timestamp() - interval '290 seconds'",
    ),
    "money that has rested for not quite a day": (
        audit.MONEY_OPEN,
        order("updated_at = clock_timestamp() - interval '24 hours'", "accepted"),
    ),
    "money that has rested in an order that has ended": (audit.MONEY_OPEN, order(f"updated_at = {A_DAY_AGO}", "completed")),
    "money that was given back after its capture": (audit.MONEY_OPEN, order(f"updated_at = {A_DAY_AGO}", "refunded")),
    "a payout that a retry refused for another reason": (
        audit.SAGA_WITHOUT_COMMAND,
        saga("error = jsonb_set(error, '{code}', '\"rejected\"')", "refused payout"),
    ),
}


@pytest.mark.parametrize(("rule", "statements"), WELL.values(), ids=WELL.keys())
def test_what_may_be_is_no_violation(orders: Orders, rule: Rule, statements: str) -> None:
    assert broken(orders, statements, rule) == []


def test_a_shorter_relay_period_finds_lateness_sooner(orders: Orders) -> None:
    with orders.engine.connect() as session:
        session.execute(sa.text("UPDATE campusg.outbox SET created_at = clock_timestamp() - interval '6 seconds'"))
        found = violations(session, LIVE_RULES, relay_period=timedelta(seconds=1))
        session.rollback()
    assert {each.rule for each in found} == {"outbox_old"}


def test_no_more_than_a_hundred_violations_of_a_rule_are_read(orders: Orders) -> None:
    many = f"""
        INSERT INTO campusg.outbox (ordering_key, bucket, message_id, topic, headers, created_at)
        SELECT gen_random_uuid(), 0, 'm', 't', '[]', {LATE} FROM generate_series(1, 150)"""

    assert len(broken(orders, many, audit.OUTBOX_OLD)) == audit.MOST_A_RULE


def test_all_rules_are_one_statement_that_locks_nothing(orders: Orders) -> None:
    with orders.engine.connect() as session, counted(orders.engine) as seen:
        session.execute(sa.text("SET TRANSACTION READ ONLY"))
        violations(session)
        session.rollback()
    assert [text.strip().split()[0] for text in seen.texts] == ["SET", "SELECT", "(SELECT"]
