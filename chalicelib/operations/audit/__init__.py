"""What must never be true of our tables, as named queries: who finds a row has found a bug, or work for an operator.

Source: the service's invariants "never stuck", "money" and "one saga at a time per order".
"""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from chalicelib.operations.audit.history import HISTORY_BROKEN, HISTORY_DISAGREES, HISTORY_INCOMPLETE
from chalicelib.operations.audit.money import MONEY_ASTRAY
from chalicelib.operations.audit.orders import FACTS_DISAGREE, IDS_SHARED, SUMS_DISAGREE, TIMES_DISAGREE
from chalicelib.operations.audit.rule import Rule, Violation
from chalicelib.operations.audit.sagas import REPLIES_DISAGREE, SAGA_DISAGREES
from chalicelib.operations.audit.statuses import FIELDS_AT_THE_END, FIELDS_DISAGREE, STATUSES_AT_THE_END, STATUSES_DISAGREE
from chalicelib.operations.audit.under_way import (
    HELD_AFTER_THE_END,
    HELD_BY_NOBODY,
    MONEY_OPEN,
    OPEN_WITHOUT_TIME_LIMIT,
    OUTBOX_OLD,
    SAGA_HOLDS_NOTHING,
    SAGA_OVERDUE,
    SAGA_WITHOUT_COMMAND,
    SAGAS_AT_ONCE,
)

RELAY_PERIOD = timedelta(minutes=1)
PERIODS_TO_BE_LATE = 5
MONEY_MAY_REST = timedelta(hours=24)
MOST_A_RULE = 100

__all__ = [
    "FACTS_DISAGREE",
    "FIELDS_AT_THE_END",
    "FIELDS_DISAGREE",
    "HELD_AFTER_THE_END",
    "HELD_BY_NOBODY",
    "HISTORY_BROKEN",
    "HISTORY_DISAGREES",
    "HISTORY_INCOMPLETE",
    "IDS_SHARED",
    "LIVE_RULES",
    "MONEY_ASTRAY",
    "MONEY_OPEN",
    "MOST_A_RULE",
    "OPEN_WITHOUT_TIME_LIMIT",
    "OUTBOX_OLD",
    "RELAY_PERIOD",
    "REPLIES_DISAGREE",
    "RULES",
    "SAGAS_AT_ONCE",
    "SAGA_DISAGREES",
    "SAGA_HOLDS_NOTHING",
    "SAGA_OVERDUE",
    "SAGA_WITHOUT_COMMAND",
    "STATUSES_AT_THE_END",
    "STATUSES_DISAGREE",
    "SUMS_DISAGREE",
    "TIMES_DISAGREE",
    "Rule",
    "Violation",
    "suspended",
    "violations",
]

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
    STATUSES_DISAGREE,
    FIELDS_DISAGREE,
)
RULES: tuple[Rule, ...] = (
    *LIVE_RULES,
    HELD_AFTER_THE_END,
    STATUSES_AT_THE_END,
    FIELDS_AT_THE_END,
    SUMS_DISAGREE,
    IDS_SHARED,
    TIMES_DISAGREE,
    FACTS_DISAGREE,
    SAGA_DISAGREES,
    REPLIES_DISAGREE,
    HISTORY_INCOMPLETE,
    HISTORY_DISAGREES,
    HISTORY_BROKEN,
    MONEY_ASTRAY,
)

CLOCK = sa.text("SELECT clock_timestamp()")
SUSPENDED = sa.text("""
    SELECT CASE WHEN awaited_id IS NULL THEN 'suspended_refused' ELSE 'suspended_timed_out' END AS rule, order_id, saga_id,
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


def suspended(session: sa.Connection) -> list[Violation]:
    """Up to 100 sagas that are FAILED as designed: no violations, but an operator may want to know. Locks nothing."""
    return [Violation(*row) for row in session.execute(SUSPENDED, {"most": MOST_A_RULE})]


def _bounded(rule: Rule) -> str:
    return f"(SELECT '{rule.name}' AS rule, v.order_id, v.saga_id, v.detail FROM ({rule.sql}) v LIMIT :most)"  # noqa: S608 - literals
