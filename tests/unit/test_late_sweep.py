"""A sweep may stand still between its two transactions, for so long that what its saga waits for by then is overdue, too."""

from datetime import timedelta

from chalicelib.operations.sweep import OverdueCommands
from chalicelib.sagas.due import Due
from tests.support.examples import RULES
from tests.support.life import Life
from tests.support.memory_tables import in_memory


def test_a_sweep_that_comes_when_the_next_command_is_overdue_leaves_that_to_the_next_sweep() -> None:
    with in_memory() as tables:
        life = Life(tables, RULES)
        saga = life.holder
        assert saga and saga.pending and saga.due_at
        found = Due(saga.saga_id, saga.pending.command_id, True, saga.due_at)
        tables.now += timedelta(seconds=1)
        life.go_on()
        before = life.holder
        assert before and before.due_at
        tables.now = before.due_at

        OverdueCommands().do(tables.session, RULES, [(found, life.ids())])

        assert life.holder == before
