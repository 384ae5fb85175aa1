"""A whole stack under load while its parts are killed, frozen and cut off: nothing is lost, and a loss would be found."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.chaos.faults import CATALOGUE, CUT, FREEZE, KILL, RESET, Pace
from tests.chaos.place import Options, Place, own_stack
from tests.chaos.run import Chaos
from tests.support.stack import StackFailedError

# The embedded broker is not killed, so that no event may be missing either.
FAULTS = {**CATALOGUE, KILL: [part for part in CATALOGUE[KILL] if part != "kafka"]}
# A command is waited for 0.3 + 0.6 + 1.2 + 2.4 + 4.8 seconds.
SETTINGS = {
    "STEP_TIMEOUT_SECONDS": 0.3,
    "STEP_MAX_ATTEMPTS": 5,
    "ACCEPT_TIMEOUT_SECONDS": 7,
    "COMPLETE_TIMEOUT_SECONDS": 4,
    "SWEEP_SECONDS": 0.5,
}
OPTIONS = Options(seconds=9, orders=24, seed=7, catalogue=FAULTS, pace=Pace((0.3, 1.0), (0.2, 1.5)), settings=SETTINGS)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with own_stack(OPTIONS, tmp_path / "stack") as place:
        yield place


def test_nothing_is_lost_while_parts_are_killed_frozen_and_cut_off_and_a_loss_is_found(place: Place, tmp_path: Path) -> None:
    chaos = Chaos(place, OPTIONS, lambda _: None)

    outcome = chaos.run()

    assert [str(finding) for finding in outcome.findings] == []
    assert {kind for kind, _ in outcome.faults} == {KILL, FREEZE, CUT, RESET}
    assert sum(outcome.faults.values()) >= 8
    assert sum(outcome.ends.values()) >= OPTIONS.orders
    assert outcome.ends["COMPLETED/CAPTURED"] >= 5
    assert {each.kind for each in place.log.requests} >= {"create", "accept", "status", "complete", "cancel", "read", "list", "history"}
    assert sum(len(reading) for reading in chaos.readings) > OPTIONS.orders * 5

    with (
        pytest.raises(StackFailedError, match="events of another stack"),
        own_stack(replace(OPTIONS, kafka_brokers=place.bootstrap), tmp_path),
    ):
        pass
    engine = sa.create_engine(place.database)
    with engine.begin() as session:
        session.execute(sa.text("UPDATE campusg.orders SET delivery_location = 'elsewhere' WHERE order_status = 'COMPLETED'"))
        session.execute(sa.text("UPDATE partners.payments SET amount = 1 WHERE status = 'CAPTURED'"))
    engine.dispose()
    assert {finding.rule for finding in chaos.judged()} >= {"content_agrees", "money_once", "ledger_payments"}
