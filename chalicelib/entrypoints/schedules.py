"""What the clock calls."""

from chalicelib.observability import count, logger
from chalicelib.operations import once, rate
from chalicelib.operations.audit import LIVE_RULES, violations
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
    """Delete idempotency keys and request counts whose time is over."""
    with runtime().database.transaction() as session:
        once.purge(session, MOST_PURGED)
        rate.purge(session, MOST_PURGED)


def audit_invariants() -> None:
    """Count what must never be true, as a metric that an alarm watches: a number every time, also zero."""
    with runtime().database.transaction() as session:
        found = violations(session, LIVE_RULES)
    for each in found[:MOST_LOGGED]:
        fields = {"rule": each.rule, "order_id": str(each.order_id), "saga_id": str(each.saga_id), "detail": each.detail}
        logger.error("An invariant is violated", extra=fields)
    count({"InvariantViolations": len(found)}, zeros=True)
