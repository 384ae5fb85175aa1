"""Whether what each client saw of a run is possible: the clients' log against the tables and `order-events` at its end.

`violations` is a pure function; `reading` brings the tables and the events.
"""

from collections.abc import Sequence

from tests.support.history.answers import POSSIBLE_ANSWERS
from tests.support.history.changes import CHANGES_KEPT, REFUSALS_CHANGE_NOTHING, REPEATS_ONCE, WHOLE_OR_NOT
from tests.support.history.events import EVENTS_IN_ORDER
from tests.support.history.model import Event, Finding, Hold, Key, Order, Payment, Request, Rule, Run, Saga
from tests.support.history.money import MONEY_ONCE, ONE_RUNNER
from tests.support.history.reads import CONTENT_AGREES, ORDERS_STAY, VERSIONS_GROW

__all__ = ["RULES", "Event", "Finding", "Hold", "Key", "Order", "Payment", "Request", "Rule", "Run", "Saga", "violations"]

RULES: tuple[Rule, ...] = (
    POSSIBLE_ANSWERS,
    ORDERS_STAY,
    VERSIONS_GROW,
    CONTENT_AGREES,
    CHANGES_KEPT,
    REFUSALS_CHANGE_NOTHING,
    WHOLE_OR_NOT,
    REPEATS_ONCE,
    ONE_RUNNER,
    MONEY_ONCE,
    EVENTS_IN_ORDER,
)


def violations(run: Run, rules: Sequence[Rule] = RULES) -> list[Finding]:
    """Whatever was impossible, each as a rule, an order and a sentence."""
    return [Finding(rule.name, order_id, detail) for rule in rules for order_id, detail in rule.check(run)]
