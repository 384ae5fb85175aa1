"""Samples: one row for each minute of the last day, from which the board draws its lines. No order or saga is counted as it changes.

What happened in a minute is read from the orders and sagas that were begun in it, a range of ids, and from the sagas that had not ended
when the sample before was taken, whose ids that one keeps. So the cost follows from what goes on, and not from how many orders there are.

Not counted are: of more than 20,000 orders, or of more than 20,000 sagas of either kind, those beyond (the sample then says `at_least`);
what was begun under an id made more than ten seconds before it is committed, as by a clock that is slow; a step that was begun anew or
undone before its minute was sampled; the ends of sagas that went on while no sample was taken for more than five minutes, or before the
first one. What is measured, not counted (the outbox's age, dead letters, violations), is as it was when the sample was taken.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from chalicelib.db.lists import first_id_of
from chalicelib.messages.envelope import timestamp

MINUTE = timedelta(minutes=1)
KEPT = timedelta(hours=24)
# Transactions that began within a minute have committed so long after its end.
SETTLED = timedelta(seconds=10)
# So many minutes are made up for where the clock did not call.
MOST_MISSED = 5
MOST_READ = 20_000

LAST = sa.text("SELECT max(at) FROM campusg.samples")

# An order ends with the saga that ends it. The times of steps are texts that sort as times do.
SAMPLE = sa.text("""
    WITH known AS (
        (SELECT * FROM campusg.sagas WHERE saga_id >= :lowest AND saga_id < :behind ORDER BY saga_id DESC LIMIT :most)
        UNION ALL
        SELECT * FROM campusg.sagas WHERE saga_id = ANY(ARRAY(SELECT unnest(unended) FROM campusg.samples WHERE at = :last))),
    seen AS MATERIALIZED (
        SELECT saga_id, name, status, facts ->> 'ending' AS ending, ended_at, ARRAY(
            SELECT CASE WHEN step.status IN ('DONE', 'FAILED') THEN CAST(1000 * extract(epoch FROM
                CAST(step.ended_at AS timestamptz) - CAST(step.started_at AS timestamptz)) AS bigint) END
            FROM jsonb_to_recordset(steps) AS step (status text, command_id text, started_at text, ended_at text)
            WHERE command_id IS NOT NULL AND step.ended_at >= :begun_text AND step.ended_at < :over_text) AS waits
        FROM known),
    made AS (
        SELECT count(*) AS number FROM (
            SELECT FROM campusg.orders WHERE order_id >= :lowest AND order_id < :behind LIMIT :most) o),
    ended AS (
        SELECT count(*) AS sagas,
            count(*) FILTER (WHERE name = 'complete_order' AND status = 'COMPLETED') AS completed,
            count(*) FILTER (WHERE name = 'create_order' AND status = 'COMPENSATED'
                OR name = 'cancel_order' AND status = 'COMPLETED' AND ending = 'CANCELLED') AS cancelled,
            count(*) FILTER (WHERE name = 'cancel_order' AND status = 'COMPLETED' AND ending = 'TIMED_OUT') AS timed_out
        FROM seen WHERE ended_at >= :begun AND ended_at < :over),
    steps AS (
        SELECT count(*) AS number, percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY wait) AS waits
        FROM seen, unnest(waits) wait),
    unended AS (
        SELECT ARRAY(SELECT saga_id FROM seen WHERE ended_at IS NULL OR ended_at >= :over ORDER BY saga_id DESC LIMIT :most) AS ids),
    too_old AS (DELETE FROM campusg.samples WHERE at <= :oldest),
    needed_no_more AS (UPDATE campusg.samples SET unended = '{}' WHERE at = :last)
    INSERT INTO campusg.samples (at, taken_at, orders_created, orders_completed, orders_cancelled, orders_timed_out, sagas_ended,
        steps_ended, step_p50_ms, step_p99_ms, at_least, outbox_age_seconds, dead_letters, violations, unended)
    SELECT :begun, :now, made.number, completed, cancelled, timed_out, ended.sagas, steps.number, waits[1], waits[2],
        made.number = :most OR cardinality(ids) = :most OR (SELECT count(*) FROM seen WHERE saga_id >= :lowest) = :most,
        :outbox_age_seconds, :dead_letters, :violations, ids
    FROM made, ended, steps, unended
    ON CONFLICT (at) DO NOTHING""")


@dataclass(frozen=True)
class Measured:
    """What is measured when a sample is taken: the age of the oldest message in the outbox, dead letters that wait, broken rules."""

    outbox_age_seconds: float
    dead_letters: int
    violations: int


def take_samples(session: sa.Connection, now: datetime, measured: Measured) -> int:
    """Sample each minute that is over and has no sample yet, and delete those a day older; return how many minutes that were.

    Safe to call at any time and by several at once: a minute is sampled once. Locks nothing but samples.
    """
    last = session.execute(LAST).scalar_one()
    minutes = _missing(now, last)
    for begun in minutes:
        session.execute(SAMPLE, {**_parameters(begun, last), "now": now, **vars(measured)})
        last = begun
    return len(minutes)


def _missing(now: datetime, last: datetime | None) -> list[datetime]:
    """The minutes to be sampled, by their beginnings, the oldest first."""
    current = (now - SETTLED).replace(second=0, microsecond=0)
    missed = min((current - last) // MINUTE - 1, MOST_MISSED) if last else 1
    return [current - MINUTE * number for number in range(missed, 0, -1)]


def _parameters(begun: datetime, last: datetime | None) -> dict[str, Any]:
    over = begun + MINUTE
    return {
        "begun": begun,
        "over": over,
        "last": last,
        "oldest": begun - KEPT,
        "lowest": first_id_of(begun),
        "behind": first_id_of(over),
        "begun_text": timestamp(begun),
        "over_text": timestamp(over),
        "most": MOST_READ,
    }
