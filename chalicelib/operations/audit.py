"""What must never be true of our tables, as named queries: who finds a row has found a bug, or work for an operator.

Source: the service's invariants "never stuck", "money" and "one saga at a time per order".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

RELAY_PERIOD = timedelta(minutes=1)
PERIODS_TO_BE_LATE = 5
MONEY_MAY_REST = timedelta(hours=24)
MOST_A_RULE = 100


@dataclass(frozen=True)
class Violation:
    """A broken rule, the order or saga that breaks it, and what is wrong, for people."""

    rule: str
    order_id: UUID | None
    saga_id: UUID | None
    detail: str


@dataclass(frozen=True)
class Rule:
    """`sql` selects order_id, saga_id and detail of whatever breaks the rule that `title` states."""

    name: str
    title: str
    sql: str


# A saga that a refusal parked awaits nothing, and rightly so: the code of its error says so.
SAGA_WITHOUT_COMMAND = Rule(
    "saga_without_command",
    "a saga that has not ended awaits a reply by a deadline, or is parked",
    """
    SELECT order_id, saga_id, concat(name, ' is ', status, ', awaits ', coalesce(awaited_id, 'nothing'),
        ', due ', coalesce(CAST(due_at AS text), 'never')) AS detail
    FROM campusg.sagas
    WHERE ended_at IS NULL AND CASE status
        WHEN 'FAILED' THEN awaited_id IS NULL AND coalesce(error ->> 'code', '') NOT IN ('refused', 'rejected', 'declined')
        ELSE awaited_id IS NULL OR pending IS NULL OR due_at IS NULL END""",
)
SAGA_OVERDUE = Rule(
    "saga_overdue",
    "a deadline that has passed is dealt with by the next sweeps",
    """
    SELECT order_id, saga_id,
        concat(name, ' version ', definition_version, ' was due at ', due_at, ', set back ', setbacks, ' times') AS detail
    FROM campusg.sagas WHERE due_at <= CAST(:late AS timestamptz)""",
)
OUTBOX_OLD = Rule(
    "outbox_old",
    "a message is published within five relay periods",
    """
    SELECT ordering_key AS order_id, CAST(NULL AS uuid) AS saga_id,
        concat('message ', message_id, ' for ', topic, ' waits since ', created_at, ', ', failures, ' failures') AS detail
    FROM campusg.outbox WHERE created_at <= CAST(:late AS timestamptz)""",
)
OPEN_WITHOUT_TIME_LIMIT = Rule(
    "open_without_time_limit",
    "an open order has a time by which it must be accepted",
    """
    SELECT order_id, active_saga_id AS saga_id, 'READY_FOR_PICKUP without accept_by' AS detail
    FROM campusg.orders WHERE order_status = 'READY_FOR_PICKUP' AND accept_by IS NULL""",
)
SAGA_HOLDS_NOTHING = Rule(
    "saga_holds_nothing",
    "a saga that has not ended holds its order, and the order has not ended",
    """
    SELECT s.order_id, s.saga_id, concat(s.name, ' is ', s.status, '; its order is ', o.order_status,
        ' and held by ', coalesce(CAST(o.active_saga_id AS text), 'nobody')) AS detail
    FROM campusg.sagas s JOIN campusg.orders o USING (order_id)
    WHERE s.ended_at IS NULL
      AND (o.active_saga_id IS DISTINCT FROM s.saga_id OR o.order_status IN ('COMPLETED', 'CANCELLED', 'TIMED_OUT'))""",
)
HELD_BY_NOBODY = Rule(
    "held_by_nobody",
    "an order that is held is held by a saga of its own that has not ended",
    """
    SELECT o.order_id, o.active_saga_id AS saga_id,
        CASE WHEN s.saga_id IS NULL THEN 'there is no such saga' WHEN s.order_id <> o.order_id THEN 'the saga is of another order'
            ELSE concat('the saga ended at ', s.ended_at) END AS detail
    FROM campusg.orders o LEFT JOIN campusg.sagas s ON s.saga_id = o.active_saga_id
    WHERE o.order_status IN ('CREATED', 'PENDING_PAYMENT', 'PAYMENT_AUTHORIZED', 'READY_FOR_PICKUP', 'ACCEPTED', 'COLLECTED',
            'ON_THE_WAY', 'DELIVERED')
      AND o.active_saga_id IS NOT NULL AND (s.saga_id IS NULL OR s.order_id <> o.order_id OR s.ended_at IS NOT NULL)""",
)
SAGAS_AT_ONCE = Rule(
    "sagas_at_once",
    "an order has one saga at a time",
    """
    SELECT order_id, CAST(NULL AS uuid) AS saga_id,
        concat(count(*), ' sagas have not ended: ', string_agg(name, ', ' ORDER BY saga_id)) AS detail
    FROM campusg.sagas WHERE ended_at IS NULL GROUP BY order_id HAVING count(*) > 1""",
)
MONEY_OPEN = Rule(
    "money_open",
    "money does not rest in an order that nothing has happened to for a day",
    """
    SELECT order_id, active_saga_id AS saga_id, concat(currency, ' ', total, ' is ', payment_status, ', the order ', order_status,
        ' and unchanged for ', date_trunc('second', CAST(:now AS timestamptz) - updated_at)) AS detail
    FROM campusg.orders
    WHERE order_status IN ('CREATED', 'PENDING_PAYMENT', 'PAYMENT_AUTHORIZED', 'READY_FOR_PICKUP', 'ACCEPTED', 'COLLECTED',
            'ON_THE_WAY', 'DELIVERED')
      AND payment_status IN ('PENDING', 'AUTHORIZED', 'CAPTURED') AND updated_at <= CAST(:rested AS timestamptz)""",
)
HELD_AFTER_THE_END = Rule(
    "held_after_the_end",
    "an order that has ended is held by no saga",
    """
    SELECT order_id, active_saga_id AS saga_id, concat('the order is ', order_status) AS detail
    FROM campusg.orders WHERE order_status IN ('COMPLETED', 'CANCELLED', 'TIMED_OUT') AND active_saga_id IS NOT NULL""",
)
HISTORY_INCOMPLETE = Rule(
    "history_incomplete",
    "the history has each version of its order once, from the first to the order's own",
    """
    SELECT o.order_id, CAST(NULL AS uuid) AS saga_id, concat('the order is at version ', o.version, ', its history has ',
        coalesce(h.entries, 0), ' entries from ', h.first, ' to ', h.last) AS detail
    FROM campusg.orders o
    LEFT JOIN (SELECT order_id, count(*) AS entries, min(version) AS first, max(version) AS last
               FROM campusg.order_history GROUP BY order_id) h USING (order_id)
    WHERE h.entries IS DISTINCT FROM o.version OR h.first <> 1 OR h.last <> o.version""",
)
HISTORY_DISAGREES = Rule(
    "history_disagrees",
    "the newest history entry has the statuses of its order",
    """
    SELECT o.order_id, h.saga_id, concat('the order is ', o.order_status, '/', o.payment_status, ', its history ends with ',
        h.status_to, '/', h.payment_to) AS detail
    FROM campusg.orders o JOIN campusg.order_history h ON h.order_id = o.order_id AND h.version = o.version
    WHERE h.status_to <> o.order_status OR h.payment_to <> o.payment_status""",
)
# Derived from what the sagas keep: every command tried and the reply that settled it. A command without a reply counts as maybe done.
# A payment that was given back after its capture ends an order's money though the order itself stays DELIVERED.
MONEY_ASTRAY = Rule(
    "money_astray",
    "of an order that has ended, authorization and hold ended once, as its statuses say, for its total, paid out to nobody but its runner",
    """
    WITH settled AS (
        SELECT order_id, order_status, payment_status, total, payment_id, escrow_id, runner_id FROM campusg.orders
        WHERE order_status IN ('COMPLETED', 'CANCELLED', 'TIMED_OUT') OR payment_status = 'REFUNDED'),
    tries AS (
        SELECT o.*, s.started_at, s.name, s.facts, t.ask, t.reply, t.said,
            t.reply IN ('payment.authorized', 'payment.captured', 'payment.released', 'payment.refunded') AS of_payment,
            t.reply IN ('escrow.held', 'escrow.released', 'escrow.refunded') AS of_escrow
        FROM settled o JOIN campusg.sagas s USING (order_id)
        CROSS JOIN LATERAL (
            SELECT CASE WHEN NOT CAST(try ->> 'undo' AS boolean) THEN step ->> 'name' END AS ask,
                coalesce(try -> 'reply' ->> 'type', '') AS reply, try -> 'reply' -> 'data' AS said
            FROM jsonb_array_elements(s.steps) step CROSS JOIN jsonb_array_elements(step -> 'tries') try) t),
    books AS (
        SELECT order_id,
            count(*) FILTER (WHERE ask = 'authorize_payment' AND reply <> 'payment.declined') AS authorizations,
            count(*) FILTER (WHERE reply = 'payment.authorized') AS authorized,
            count(*) FILTER (WHERE reply = 'payment.captured') AS captured,
            count(*) FILTER (WHERE reply = 'payment.released') AS released,
            count(*) FILTER (WHERE reply = 'payment.refunded') AS refunded,
            count(*) FILTER (WHERE ask = 'hold_escrow' AND reply <> 'escrow.hold_failed') AS holds,
            count(*) FILTER (WHERE reply = 'escrow.held') AS held,
            count(*) FILTER (WHERE reply = 'escrow.released') AS paid_out,
            count(*) FILTER (WHERE reply = 'escrow.refunded') AS given_back,
            string_agg(concat(reply, ' ', said ->> 'amount'), ', ' ORDER BY started_at) FILTER (
                WHERE reply <> 'escrow.refunded' AND CAST(said ->> 'amount' AS numeric) <> total) AS other_amounts,
            min(CAST(said ->> 'amount' AS numeric)) FILTER (WHERE reply = 'escrow.refunded') AS given_back_amount,
            string_agg(reply, ', ' ORDER BY started_at) FILTER (
                WHERE of_payment AND said ->> 'paymentId' <> payment_id OR of_escrow AND said ->> 'escrowId' <> escrow_id) AS other_ids,
            (array_agg(said ->> 'runnerId' ORDER BY started_at DESC) FILTER (WHERE reply = 'escrow.runner_assigned'))[1] AS assigned,
            bool_and(said ->> 'runnerId' = runner_id) FILTER (
                WHERE reply = 'user.runner_validated' AND name = 'complete_order') AS runner_checked,
            bool_or(said ->> 'payoutAccountId' = facts ->> 'payout_account_id') FILTER (
                WHERE reply = 'user.runner_validated' AND name = 'complete_order') AS account_known
        FROM tries GROUP BY order_id),
    findings AS (
        SELECT order_id, concat_ws('; ',
            CASE WHEN NOT CASE payment_status
                    WHEN 'CAPTURED' THEN order_status = 'COMPLETED' AND (authorized, captured, released, refunded) = (1, 1, 0, 0)
                    WHEN 'REFUNDED' THEN order_status = 'DELIVERED' AND (authorized, captured, released, refunded) = (1, 1, 0, 1)
                    WHEN 'RELEASED' THEN order_status <> 'COMPLETED' AND (authorized, captured, released, refunded) = (1, 0, 1, 0)
                    WHEN 'FAILED' THEN order_status <> 'COMPLETED'
                        AND (authorized, captured, released, refunded) = (0, 0, least(authorizations, 1), 0)
                    ELSE false END
                THEN concat('payment: ', order_status, '/', payment_status, ', but ', authorized, ' authorized, ', captured, ' captured, ',
                    released, ' released, ', refunded, ' refunded') END,
            CASE WHEN NOT CASE order_status
                    WHEN 'COMPLETED' THEN (held, paid_out, given_back) = (1, 1, 0)
                    ELSE held <= 1 AND (paid_out, given_back) = (0, least(holds, 1)) END
                THEN concat('hold: ', order_status, ', but ', held, ' held, ', paid_out, ' paid out, ', given_back, ' given back') END,
            CASE WHEN other_amounts IS NOT NULL OR held > 0 AND given_back_amount <> total
                THEN concat('amount: ', total, ', but ', coalesce(other_amounts, concat('escrow.refunded ', given_back_amount))) END,
            CASE WHEN other_ids IS NOT NULL THEN concat('id: another one in ', other_ids) END,
            CASE WHEN paid_out > 0 AND NOT coalesce(assigned = runner_id AND runner_checked AND account_known, false)
                THEN concat('payee: ', runner_id, ', but ', coalesce(assigned, 'nobody'), ' was assigned',
                    CASE WHEN runner_checked THEN '' ELSE ', somebody else validated' END,
                    CASE WHEN account_known THEN '' ELSE ', the account is not the one named for the runner' END) END) AS detail
        FROM settled JOIN (
            SELECT o.order_id, coalesce(authorizations, 0) AS authorizations, coalesce(authorized, 0) AS authorized,
                coalesce(captured, 0) AS captured, coalesce(released, 0) AS released, coalesce(refunded, 0) AS refunded,
                coalesce(holds, 0) AS holds, coalesce(held, 0) AS held, coalesce(paid_out, 0) AS paid_out,
                coalesce(given_back, 0) AS given_back, other_amounts, given_back_amount, other_ids, assigned, runner_checked, account_known
            FROM settled o LEFT JOIN books USING (order_id)) b USING (order_id))
    SELECT order_id, CAST(NULL AS uuid) AS saga_id, detail FROM findings WHERE detail <> ''""",
)

# These read only what has not ended, by an index each; the others read whole tables.
LIVE_RULES: tuple[Rule, ...] = (
    SAGA_WITHOUT_COMMAND,
    SAGA_OVERDUE,
    OUTBOX_OLD,
    OPEN_WITHOUT_TIME_LIMIT,
    SAGA_HOLDS_NOTHING,
    HELD_BY_NOBODY,
    SAGAS_AT_ONCE,
    MONEY_OPEN,
)
RULES: tuple[Rule, ...] = (*LIVE_RULES, HELD_AFTER_THE_END, HISTORY_INCOMPLETE, HISTORY_DISAGREES, MONEY_ASTRAY)

CLOCK = sa.text("SELECT clock_timestamp()")
PARKED = sa.text("""
    SELECT CASE WHEN awaited_id IS NULL THEN 'parked_by_refusal' ELSE 'parked_by_silence' END AS rule, order_id, saga_id,
        concat(name, ': ', error ->> 'detail') AS detail
    FROM campusg.sagas WHERE ended_at IS NULL AND status = 'FAILED' ORDER BY saga_id LIMIT :most""")


def violations(session: sa.Connection, rules: Sequence[Rule] = RULES, *, relay_period: timedelta = RELAY_PERIOD) -> list[Violation]:
    """Whatever breaks the rules, up to 100 of each; `relay_period` is how often the clock calls the sweeps and the relay.

    One statement, which sees one state of the tables and locks nothing. LIVE_RULES are fit for every minute. RULES read all orders,
    sagas and history: with many of them the caller must allow more time than the role's statement_timeout (SET LOCAL).
    """
    now = session.execute(CLOCK).scalar_one()
    late = now - relay_period * PERIODS_TO_BE_LATE
    # What the clock completes after a day is due just then, and may wait for a few sweeps.
    parameters = {"now": now, "late": late, "rested": late - MONEY_MAY_REST, "most": MOST_A_RULE}
    statement = sa.text(" UNION ALL ".join(_bounded(rule) for rule in rules))
    found = [Violation(*row) for row in session.execute(statement, parameters)]
    return sorted(found, key=lambda each: (each.rule, str(each.order_id), str(each.saga_id)))


def parked(session: sa.Connection) -> list[Violation]:
    """Up to 100 sagas that are FAILED as designed: no violations, but an operator may want to know. Locks nothing."""
    return [Violation(*row) for row in session.execute(PARKED, {"most": MOST_A_RULE})]


def _bounded(rule: Rule) -> str:
    return f"(SELECT '{rule.name}' AS rule, v.order_id, v.saga_id, v.detail FROM ({rule.sql}) v LIMIT :most)"  # noqa: S608 - literals
