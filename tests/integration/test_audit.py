"""Every rule of the audit finds what breaks it, and is silent on orders of every fate."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.db.states import sql_state
from chalicelib.messages.topics import ESCROW_COMMANDS, PAYMENT_COMMANDS
from chalicelib.messaging.producer import Producer
from chalicelib.operations import audit
from chalicelib.operations.audit import LIVE_RULES, RULES, Rule, Violation, suspended, violations
from chalicelib.sagas.definition import Step
from chalicelib.sagas.registry import DEFINITIONS
from infra.operator.books import BOOK_RULES
from infra.stack.devkeys import jwks_file
from tests.integration.conftest import RULES as SERVICE_RULES
from tests.integration.conftest import serve
from tests.support.database import World
from tests.support.fates import Fates, fates
from tests.support.servers import PostgresServer
from tests.support.statements import counted

# Each breaks rows by SQL; what the tables themselves refuse, they have to be kept from first.
UNGUARDED = """
ALTER TABLE campusg.sagas DROP CONSTRAINT never_stuck, DROP CONSTRAINT awaits_what_is_pending, DROP CONSTRAINT ended_when_done;
ALTER TABLE campusg.orders DROP CONSTRAINT open_has_accept_by;
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
    silent, timed_out = told.opened("silent_1"), told.cancelled(told.opened(), answered=False)
    told.fall_silent()
    told.settle()
    return {
        "silent": silent,
        "suspended by a time out": timed_out,
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


def test_sagas_that_wait_for_an_operator_or_for_a_late_reply_are_listed_as_suspended(orders: Orders) -> None:
    with orders.engine.begin() as session:
        found = {each.order_id: (each.rule, each.detail) for each in suspended(session)}
    assert found == {
        orders.ids["refused payout"]: (
            "suspended_refused",
            "complete_order: release_escrow was refused: the runner is not the one assigned",
        ),
        orders.ids["suspended by a time out"]: ("suspended_timed_out", "cancel_order: refund_escrow had no answer after 5 attempts"),
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
    (audit.SAGA_WITHOUT_COMMAND, "suspended by a time out", saga("awaited_id = NULL, pending = NULL", "suspended by a time out"), "FAILED"),
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
MONEY += [
    ("open", unsaid("escrow.held", "open"), "hold: READY_FOR_PICKUP, but 0 held"),
    ("accepted", unsaid("payment.authorized", "accepted"), "payment: ACCEPTED/AUTHORIZED, but 0 authorized"),
    ("accepted", said("escrow.runner_assigned", "escrow.refunded", "accepted"), "hold: ACCEPTED, but 1 held, 0 paid out, 1 given back"),
    ("accepted", said("escrow.runner_assigned", "payment.captured", "accepted"), "1 authorized, 1 captured"),
    ("refused payout", unsaid("payment.captured", "refused payout"), "payment: DELIVERED/CAPTURED, but 1 authorized, 0 captured"),
]
BREAKAGES += [(audit.MONEY_ASTRAY, *each) for each in MONEY]
ITEM = "food_items = jsonb_set(food_items, '{0,%s}', '%s')"
FIRST = "UPDATE campusg.order_history SET %s WHERE order_id = :completed AND version = %s"
BREAKAGES += [
    (audit.STATUSES_DISAGREE, "open", order("payment_status = 'RELEASED'", "open"), "READY_FOR_PICKUP/RELEASED and held by nobody"),
    (audit.STATUSES_DISAGREE, "refunded", order("payment_status = 'RELEASED'", "refunded"), "DELIVERED/RELEASED and held by nobody"),
    (audit.STATUSES_DISAGREE, "accepted", order("order_status = 'DELIVERED', payment_status = 'CAPTURED'", "accepted"), "held by nobody"),
    (audit.STATUSES_DISAGREE, "running", order("active_saga_id = NULL", "running"), "CREATED/PENDING and held by nobody"),
    (audit.STATUSES_AT_THE_END, "completed", order("payment_status = 'AUTHORIZED'", "completed"), "COMPLETED/AUTHORIZED"),
    (audit.STATUSES_AT_THE_END, "timed out", order("payment_status = 'FAILED'", "timed out"), "TIMED_OUT/FAILED"),
    (audit.FIELDS_DISAGREE, "open", order("escrow_id = NULL", "open"), "READY_FOR_PICKUP: no escrow_id"),
    (audit.FIELDS_DISAGREE, "open", order("runner_id = 'run_9'", "open"), "open with a runner_id"),
    (audit.FIELDS_DISAGREE, "running", order("payment_id = 'pay_9'", "running"), "CREATED: already a payment_id"),
    (audit.FIELDS_DISAGREE, "accepted", order("cancel_reason = 'x'", "accepted"), "not cancelled, with a reason"),
    (audit.FIELDS_AT_THE_END, "completed", order("escrow_id = NULL", "completed"), "COMPLETED: no escrow_id"),
    (audit.FIELDS_AT_THE_END, "declined", order("escrow_id = 'esc_9'", "declined"), "an escrow_id without payment_id"),
    (audit.SUMS_DISAGREE, "open", order(ITEM % ("price", '"4.49"'), "open"), "^8.98 for items, food_fee 9.00"),
    (audit.SUMS_DISAGREE, "open", order(ITEM % ("quantity", "3"), "open"), "^13.50 for items"),
    (audit.SUMS_DISAGREE, "open", order(ITEM % ("price", '"free"'), "open"), "^NaN for items"),
    (audit.SUMS_DISAGREE, "open", order("currency = 'USD'", "open"), "total USD 12.99"),
    (audit.TIMES_DISAGREE, "completed", order(f"accepted_at = {LATE}", "completed"), "^accepted_at: not as"),
    (audit.TIMES_DISAGREE, "completed", order("completed_at = NULL", "completed"), "^completed_at"),
    (audit.TIMES_DISAGREE, "open", order("cancelled_at = created_at", "open"), "^cancelled_at"),
    (audit.TIMES_DISAGREE, "open", order(f"updated_at = {A_DAY_AGO}", "open"), "^updated_at"),
    (audit.FACTS_DISAGREE, "open", order("customer_id = 'cust_9'", "open"), "customer cust_9, but cust_1 was asked about"),
    (audit.FACTS_DISAGREE, "running", order("customer_id = 'cust_9'", "running"), "customer cust_9, but cust_1 was asked about"),
    (audit.FACTS_DISAGREE, "accepted", order("runner_id = 'run_9'", "accepted"), "runner run_9, but run_1 accepted"),
    (audit.FACTS_DISAGREE, "accepted", order("payment_id = 'pay_9'", "accepted"), "payment pay_9, but the saga knows pay_"),
    (audit.FACTS_DISAGREE, "accepted", order("escrow_id = 'esc_9'", "accepted"), "hold esc_9, but the saga knows esc_"),
    (audit.FACTS_DISAGREE, "cancelled", order("cancel_reason = 'x'", "cancelled"), "another reason"),
    (audit.FACTS_DISAGREE, "open", order("authorization_expired = true", "open"), "the history tells of 0"),
    (audit.FACTS_DISAGREE, "open", "UPDATE campusg.sagas SET name = 'other' WHERE order_id = :open", "0 sagas have created it"),
    (audit.SAGA_DISAGREES, "running", saga("due_at = due_at + interval '1 day'", "running"), "due only at"),
    (audit.SAGA_DISAGREES, "running", saga("awaited_id = 'x'", "running"), "awaits another command"),
    (audit.SAGA_DISAGREES, "running", saga("steps = '{}'", "running"), "its steps are"),
    (audit.SAGA_DISAGREES, "running", saga("status = 'COMPENSATING'", "running"), "what is awaited is no undo"),
    (audit.SAGA_DISAGREES, "open", "UPDATE campusg.sagas SET status = 'COMPENSATED' WHERE order_id = :open", "without an error"),
    (audit.SAGA_DISAGREES, "open", f"UPDATE campusg.sagas SET ended_at = {LATE} WHERE order_id = :open", "the history does not know"),
    (
        audit.REPLIES_DISAGREE,
        "open",
        "UPDATE campusg.sagas SET facts = facts - 'escrow_id' WHERE order_id = :open",
        "escrow_id is not known",
    ),
    (audit.HISTORY_BROKEN, "completed", FIRST % ("event = 'order.updated'", 1), "version 1: is no order.updated"),
    (audit.HISTORY_BROKEN, "completed", FIRST % ("actor = 'customer:cust_9'", 1), "version 1: by customer:cust_9"),
    (audit.HISTORY_BROKEN, "completed", FIRST % ("at = at + interval '1 day'", 2), "version 3: at"),
    (
        audit.HISTORY_BROKEN,
        "completed",
        FIRST % ("saga_id = NULL", 2),
        "version 2: from CREATED/PENDING to PENDING_PAYMENT/PENDING by no saga",
    ),
    (audit.HISTORY_BROKEN, "completed", FIRST % ("saga_id = gen_random_uuid()", 3), "none of this order"),
]


@pytest.mark.parametrize(
    ("rule", "fate", "statements", "detail"), BREAKAGES, ids=[f"{rule.name}: {fate}: {detail}" for rule, fate, _, detail in BREAKAGES]
)
def test_what_breaks_a_rule_is_found_with_its_order_and_nothing_else(
    orders: Orders, rule: Rule, fate: str, statements: str, detail: str
) -> None:
    [found] = broken(orders, statements, rule)

    assert (found.rule, found.order_id) == (rule.name, orders.ids[fate])
    assert re.search(detail, found.detail), found.detail


@pytest.mark.parametrize(("column", "kind"), [("payment_id", "payment"), ("escrow_id", "hold")])
def test_an_id_that_two_orders_share_is_found_at_both(orders: Orders, column: str, kind: str) -> None:
    shared = (
        f"UPDATE campusg.orders SET {column} = (SELECT {column} FROM campusg.orders WHERE order_id = :completed) WHERE order_id = :open"
    )

    found = broken(orders, shared, audit.IDS_SHARED)

    assert {each.order_id for each in found} == {orders.ids["completed"], orders.ids["open"]}
    assert all(re.fullmatch(f"{kind} .* is that of 2 orders", each.detail) for each in found)


# What becomes of each column, by its type.
MUTATIONS: dict[str, tuple[str, ...]] = {
    "text": ("{0} || 'x'", "NULL", "'x'"),
    "numeric": ("{0} + 0.01", "NULL"),
    "integer": ("{0} + 1", "0"),
    "uuid": ("gen_random_uuid()", "NULL"),
    "timestamp with time zone": ("{0} + interval '1 day'", "{0} - interval '1 day'", "NULL", "coalesce({0}, clock_timestamp())"),
    "boolean": ("NOT {0}",),
    "jsonb": ("'{{}}'", "'[]'", "NULL"),
}
# Of one column others: the next version may be one that this release knows.
OWN_MUTATIONS = {("sagas", "definition_version"): ("{0} + 99", "0")}
# What the audit can't and need not notice: a column, a mutation of it or all, and why.
HARMLESS: dict[tuple[str, str, str | None], str] = {
    ("orders", "store_location", None): "nobody else keeps it",
    ("orders", "delivery_location", None): "nobody else keeps it",
    ("orders", "accept_by", "{0} + interval '1 day'"): "nobody else keeps the setting that it was made by",
    ("sagas", "definition_version", "{0} + 99"): "a newer release may have started it",
    ("sagas", "setbacks", None): "says only how often a sweep has failed",
    ("sagas", "look_at", None): "says only when the sweep looks whether the saga is due; one that is overdue is found by due_at",
    ("sagas", "correlation_id", None): "ties log lines together",
    ("sagas", "traceparent", None): "ties log lines together",
    ("order_history", "detail", None): "is for people",
}
# Of each kind one, and few enough that no rule finds more than it tells.
SETTLED = ("completed", "cancelled", "timed out", "open", "refunded", "declined")
COLUMNS = sa.text("""
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'campusg' AND table_name IN ('orders', 'sagas', 'order_history') ORDER BY table_name, ordinal_position""")


def mutated(session: sa.Connection, table: str, column: str, value: str, ids: list[UUID]) -> set[UUID]:
    """The orders whose rows were changed; none where the tables refuse it themselves."""
    statement = f"""
        UPDATE campusg.{table} SET {column} = {value}
        WHERE order_id = ANY(CAST(:ids AS uuid[])) AND ({value}) IS DISTINCT FROM {column} RETURNING order_id"""
    try:
        return set(session.execute(sa.text(statement), {"ids": ids}).scalars())
    except sa.exc.DBAPIError as error:
        assert str(sql_state(error)).startswith(("22", "23"))
        return set()


def test_whatever_becomes_of_any_column_is_noticed_or_known_to_be_harmless(orders: Orders) -> None:
    ids = [orders.ids[fate] for fate in SETTLED]
    unnoticed, noticed = set(), set()
    with orders.engine.connect() as session:
        columns = session.execute(COLUMNS).all()
        for table, column, type in columns:
            for mutation in OWN_MUTATIONS.get((table, column), MUTATIONS[type]):
                changed = mutated(session, table, column, mutation.format(column), ids)
                known = next((key for key in ((table, column, mutation), (table, column, None)) if key in HARMLESS), None)
                if not changed or changed <= {each.order_id for each in violations(session)}:
                    noticed.add((table, column))
                else:
                    unnoticed.add(known or (table, column, mutation))
                session.rollback()
    assert len(columns) > 40
    assert unnoticed == set(HARMLESS)


# Every step that moves money, what is asked and what undoes it: an order on which a partner answered so. (Two sagas undo alike.)
ANSWERED: dict[str, str] = {
    "payment.authorized": "open",
    "payment.released": "cancelled",
    "payment.captured": "completed",
    "payment.refunded": "refunded",
    "escrow.held": "open",
    "escrow.runner_assigned": "completed",
    "escrow.runner_unassigned": "",
    "escrow.released": "completed",
    "escrow.refunded": "cancelled",
}
# Who gave a runner's name back leaves no money behind that the name could be paid.
NO_MONEY = {"escrow.runner_unassigned"}


def test_every_step_that_moves_money_has_a_rule() -> None:
    steps = [step for definition in DEFINITIONS.values() for step in definition.steps if isinstance(step, Step)]
    exchanges = [exchange for step in steps for exchange in (step.ask, step.undo) if exchange]
    moved = {each.done.TYPE for each in exchanges if each.command.TOPIC in (PAYMENT_COMMANDS, ESCROW_COMMANDS)}
    assert moved == set(ANSWERED)


@pytest.mark.parametrize("reply", sorted(set(ANSWERED) - NO_MONEY))
def test_money_that_nobody_moved_is_noticed(orders: Orders, reply: str) -> None:
    [found] = broken(orders, unsaid(reply, ANSWERED[reply]), audit.MONEY_ASTRAY)
    assert found.order_id == orders.ids[ANSWERED[reply]]


def test_an_amount_that_undid_a_part_of_a_hold_is_noticed(orders: Orders) -> None:
    change = said('"amount": "12.99", "orderId"', '"amount": "5.00", "orderId"', "cancelled")
    assert broken(orders, change, audit.MONEY_ASTRAY)[0].order_id == orders.ids["cancelled"]


def test_every_rule_is_shown_to_find_something() -> None:
    assert {rule.name for rule, *_ in BREAKAGES} | {audit.IDS_SHARED.name} == {rule.name for rule in RULES}
    assert len({rule.name for rule in RULES}) == len(RULES)


# The simulated partners' books: whose order, what became of them, the rule and what it says.
OTHER_BOOKS: list[tuple[str, str, str, str]] = [
    ("cancelled", "payments SET status = 'CAPTURED'", "ledger_payments", "is CAPTURED since .*, the order is CANCELLED/RELEASED"),
    ("cancelled", "payments SET status = 'AUTHORIZED'", "ledger_open", "authorization .* stands since .* UTC, the order is CANCELLED"),
    ("cancelled", "holds SET status = 'RELEASED'", "ledger_holds", "is RELEASED for nobody"),
    ("silent", "payments SET status = 'CAPTURED'", "ledger_payments", "the order is CANCELLED/FAILED"),
    ("completed", "payments SET status = 'RELEASED'", "ledger_payments", "is RELEASED"),
    ("completed", "payments SET amount = 12.98", "ledger_payments", "over SGD 12.98 is CAPTURED"),
    ("completed", "payments SET currency = 'USD'", "ledger_payments", "over USD 12.99"),
    ("completed", "payments SET customer_id = 'cust_9'", "ledger_payments", "of cust_9 over"),
    ("completed", "holds SET status = 'HELD'", "ledger_open", "hold .* stands since"),
    ("completed", "holds SET runner_id = 'run_9'", "ledger_holds", "RELEASED for run_9 .* of runner run_1"),
    ("completed", "holds SET payout_account_id = 'acct_9'", "ledger_holds", "on account acct_9 .* of runner run_1 on account acct_"),
    ("completed", "payments SET order_id = 'gone'", "ledger_payments", "is not there|the order is unknown"),
    ("accepted", "holds SET runner_id = NULL", "ledger_holds", "is HELD for nobody"),
    ("open", "holds SET runner_id = 'run_9'", "ledger_holds", "is HELD for run_9 .* of runner nobody"),
    ("open", "holds SET escrow_id = 'esc_9'", "ledger_holds", "hold esc_9 .* is HELD|is not there"),
    ("open", "payments SET status = 'RELEASED'", "ledger_payments", "is RELEASED .* READY_FOR_PICKUP/AUTHORIZED"),
    ("refunded", "payments SET status = 'CAPTURED'", "ledger_payments", "the order is DELIVERED/REFUNDED"),
]


@pytest.mark.parametrize(("fate", "change", "rule", "detail"), OTHER_BOOKS, ids=[f"{fate}: {change}" for fate, change, *_ in OTHER_BOOKS])
def test_where_the_partners_books_are_others_than_the_order_says_is_found(
    orders: Orders, fate: str, change: str, rule: str, detail: str
) -> None:
    with orders.engine.connect() as session:
        session.execute(
            sa.text("INSERT INTO partners.orders SELECT 'gone', payments_barred, holds_barred, '{}' FROM partners.orders LIMIT 1")
        )
        session.execute(sa.text(f"UPDATE partners.{change} WHERE order_id = :id"), {"id": str(orders.ids[fate])})
        found = violations(session, BOOK_RULES)
        session.rollback()
    assert found
    assert {each.rule for each in found} == {rule}
    assert {each.order_id for each in found} <= {orders.ids[fate], None}
    assert all(re.search(detail, each.detail) for each in found), found


def test_the_partners_books_agree_with_orders_of_every_fate(orders: Orders) -> None:
    with orders.engine.begin() as session:
        assert violations(session, BOOK_RULES) == []


def test_an_order_that_a_saga_holds_is_compared_once_it_is_at_rest(orders: Orders) -> None:
    with orders.engine.connect() as session:
        session.execute(
            sa.text("UPDATE partners.holds SET runner_id = 'x' WHERE order_id = :id"), {"id": str(orders.ids["refused payout"])}
        )
        assert violations(session, BOOK_RULES) == []
        session.rollback()


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
        session.execute(sa.text("UPDATE campusg.sagas SET due_at = clock_timestamp() + interval '1 hour' WHERE due_at IS NOT NULL"))
        found = violations(session, LIVE_RULES, relay_period=timedelta(seconds=1))
        session.rollback()
    assert {each.rule for each in found} == {"outbox_old"}


def test_no_more_than_a_hundred_violations_of_a_rule_are_read(orders: Orders) -> None:
    # The fixture's own messages may lie in the same bucket and are older by their numbers.
    many = f"""
        DELETE FROM campusg.outbox;
        INSERT INTO campusg.outbox (ordering_key, bucket, message_id, topic, headers, created_at)
        SELECT gen_random_uuid(), 0, 'm', 't', '[]', {LATE} FROM generate_series(1, 150)"""

    assert len(broken(orders, many, audit.OUTBOX_OLD)) == audit.MOST_A_RULE


def test_all_rules_are_one_statement_that_locks_nothing(orders: Orders) -> None:
    with orders.engine.connect() as session, counted(orders.engine) as seen:
        session.execute(sa.text("SET TRANSACTION READ ONLY"))
        violations(session)
        session.rollback()
    assert [text.strip().split()[0] for text in seen.texts] == ["SET", "SELECT", "(SELECT"]
