"""`make audit`: what must never be true of the orders, the sagas and the money, as a table."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from pg8000.exceptions import Error as DatabaseError

from chalicelib.operations import audit as rules
from chalicelib.operations.audit import RULES, Violation
from infra.console import complain, say
from infra.operator.books import BOOK_RULES
from infra.stack.checks import hidden, reason
from infra.stack.running import NotRunningError, operator_session, target_database, target_settings, telling

TITLES = {rule.name: rule.title for rule in (*RULES, *BOOK_RULES)}
# The last table that the simulated partners make, all in one transaction.
HAS_BOOKS = sa.text("SELECT to_regclass('partners.notifications') IS NOT NULL")


def audit() -> int:
    """Print every violation; return 1 if there is any, or the database can't be asked, else 0."""
    try:
        url = target_database()
        period = timedelta(seconds=target_settings().sweep_seconds)
    except (NotRunningError, ValueError) as error:
        complain(f"make audit: {error}")
        return 1
    try:
        with telling("auditing"):
            found, suspended = examine(url, period)
    except (sa.exc.SQLAlchemyError, DatabaseError, OSError) as error:
        complain(f"make audit: {hidden(url)}: {reason(error)}")
        return 1
    say(*report(found, suspended))
    return 1 if found else 0


def examine(url: str, relay_period: timedelta) -> tuple[list[Violation], list[Violation]]:
    """The violations in a database, those of the simulated partners' books included, and the sagas suspended in it."""
    with operator_session(url) as session:
        asked = (*RULES, *BOOK_RULES) if session.execute(HAS_BOOKS).scalar_one() else RULES
        return rules.violations(session, asked, relay_period=relay_period), rules.suspended(session)


def report(found: Sequence[Violation], suspended: Sequence[Violation]) -> list[str]:
    """The table for people, as lines: one line where all is well, and the suspended sagas below, which are no violations."""
    lines = [f"{len(found)} violations"] if found else ["no violations: orders, sagas, outbox, history and money agree"]
    for rule in dict.fromkeys(each.rule for each in found):
        broken = [each for each in found if each.rule == rule]
        lines += ["", f"{rule}: {TITLES[rule]}", *_table(broken)]
        if len(broken) == rules.MOST_A_RULE:
            lines.append("  … and perhaps more")
    if suspended:
        lines += ["", f"{len(suspended)} suspended sagas (no violation; `make why SAGA=…` says what each waits for)", *_table(suspended)]
    return lines


def _table(rows: Sequence[Violation]) -> list[str]:
    return [_line("order", "saga", "detail"), *(_line(each.order_id, each.saga_id, each.detail) for each in rows)]


def _line(order: UUID | str | None, saga: UUID | str | None, detail: str) -> str:
    return f"  {order or ''!s:<36}  {saga or ''!s:<36}  {detail}"
