"""A sample of `make crash-matrix`: on each path one process is killed at one operation, and nothing is lost; faults are found."""

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash_matrix.board import Instant
from tests.crash_matrix.lane import Lane, running
from tests.crash_matrix.paths import PATHS, SagaPath
from tests.crash_matrix.run import catalogue, crash_at
from tests.crash_matrix.table import reds
from tests.support.servers import KafkaBroker

# Who begins a path where no request does, and who goes on behind a request that sends no command.
BEGINNERS = {
    "accept-timeout": "sweep_timeouts",
    "complete-by-clock": "sweep_timeouts",
    "expiry": "on_payment_events",
    "poison": "on_payment_events",
    "relay": "relay_outbox",
    "purge": "purge_expired",
    "audit": "audit_invariants",
}
WITHOUT_COMMANDS = ("status", "dismissal", "poison", "purge", "audit")
# Whose first reply is not one of the user service.
REPLIES_OF_OTHERS = {
    **dict.fromkeys(("cancel-acceptance", "cancel-open", "cancel-accepted", "cancel-on-its-way"), "on_escrow_events"),
    **dict.fromkeys(("accept-timeout", "expiry", "operator-compensate", "redrive"), "on_escrow_events"),
    "operator-compensate-silent": "on_payment_events",
}
# So many instants each has on every path on which it works.
BEGINNERS_INSTANTS, FUNCTIONS_INSTANTS, PARTNERS_INSTANTS, POLLERS_INSTANTS = 8, 10, 6, 4

pytestmark = pytest.mark.timeout(300)
log = logging.getLogger(__name__)


@pytest.fixture
def lane(tmp_path: Path, fresh_database: str, bare_kafka: KafkaBroker, request: pytest.FixtureRequest) -> Iterator[Lane]:
    """A lane, with the faults that the test names."""
    with running(tmp_path, fresh_database, bare_kafka, getattr(request, "param", ())) as lane:
        yield lane


def some_instant(path: SagaPath, dice: random.Random) -> Instant:
    """An instant to which somebody comes on that path."""
    instants = [(BEGINNERS.get(path.name, "http"), number) for number in range(BEGINNERS_INSTANTS)]
    if path.name not in WITHOUT_COMMANDS:
        instants += [(REPLIES_OF_OTHERS.get(path.name, "on_user_events"), number) for number in range(FUNCTIONS_INSTANTS)]
        instants += [("partners", number) for number in range(PARTNERS_INSTANTS)]
        instants += [("pollers", number) for number in range(POLLERS_INSTANTS)]
    return Instant(*dice.choice(instants), label="some operation")


def test_whoever_is_killed_on_a_path_its_order_ends_as_it_should(lane: Lane) -> None:
    seed = random.randrange(2**32)
    log.warning("seed=%d", seed)
    dice = random.Random(seed)

    outcomes = crash_at(lane, [(path, some_instant(path, dice)) for path in PATHS])

    assert list(reds(outcomes)) == []
    assert len(outcomes) == len(PATHS) > 25
    assert all(outcome.reached for outcome in outcomes)


@pytest.mark.parametrize("lane", [("publish_before_commit", "commit_before_work")], indirect=True)
def test_faults_turn_their_points_red(lane: Lane) -> None:
    create = next(path for path in PATHS if path.name == "create")
    instants = {f"{each.component}: {each.label}": each for each in catalogue(lane, create)}

    published, committed = crash_at(lane, [(create, instants["http: commit"]), (create, instants["pollers: invoke on_payment_events"])])

    # Whoever asked again got another order than the one of which an event was sent.
    assert "and no order" in "; ".join(published.wrong)
    # The reply was never taken.
    assert "the order is PENDING_PAYMENT" in "; ".join(committed.wrong)
