"""What the clock calls."""

from datetime import UTC, datetime, timedelta

from chalicelib.messaging import dead_letter_queries, failures, outbox
from chalicelib.observability import count, logger, measure
from chalicelib.operations import once, rate
from chalicelib.operations.audit import LIVE_RULES, violations
from chalicelib.operations.purge import purge_orders
from chalicelib.operations.samples import Measured, take_samples
from chalicelib.runtime import runtime

MOST_LOGGED = 10
MOST_PURGED = 5_000


def sweep_timeouts() -> None:
    """Handle every saga whose command was waited for long enough."""
    runtime().sweeper.sweep()


def relay_outbox() -> None:
    """Publish what the invocations that wrote it could not."""
    runtime().publisher.relay()


def purge_expired() -> None:
    """Delete idempotency keys, request counts, counts of failed deliveries and, where a time is set, ended orders whose time is over."""
    with runtime().database.transaction() as session:
        once.purge(session, MOST_PURGED)
        rate.purge(session, MOST_PURGED)
        failures.purge(session, MOST_PURGED)
    days = runtime().settings.purge_after_days
    if days and (purged := purge_orders(runtime().database, timedelta(days=days))):
        count({"OrdersPurged": purged})


def audit_invariants() -> None:
    """Measure what alarms watch, a number every time, also zero: what must never be true, the dead letters that wait, the outbox's age.

    Afterwards the minutes that are over are sampled for the board: what keeps that from succeeding silences no alarm.
    """
    with runtime().database.transaction() as session:
        found = violations(session, LIVE_RULES)
        waiting = dead_letter_queries.waiting(session)
        outbox_age = outbox.oldest_age(session)
    for each in found[:MOST_LOGGED]:
        fields = {"rule": each.rule, "order_id": str(each.order_id), "saga_id": str(each.saga_id), "detail": each.detail}
        logger.error("An invariant is violated", extra=fields)
    if waiting:
        logger.warning("Dead letters wait to be redriven or dismissed", extra={"waiting": waiting})
    measured = Measured(round(outbox_age, 1), sum(waiting.values()), len(found))
    count({"InvariantViolations": measured.violations, "DeadLettersWaiting": measured.dead_letters}, zeros=True)
    measure("OutboxAgeSeconds", "Seconds", [outbox_age])
    with runtime().database.transaction() as session:
        take_samples(session, datetime.now(UTC), measured)
