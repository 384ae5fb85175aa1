"""`make audit` and the scheduled audit on a real database."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.stack.clock import scheduled_event
from tests.integration.conftest import Context, Service
from tests.support.fates import Fates, fates
from tests.support.operator_command import OperatorCommand
from tests.support.servers import PostgresServer

AUDITED = "no violations: orders, sagas, outbox, history and money agree"
LATE = "clock_timestamp() - interval '301 seconds'"


@pytest.fixture
def told(brokerless: Service, database_url: str, tmp_path: Path) -> Iterator[Fates]:
    """Orders to be brought to any fate, and partners without any memory."""
    brokerless.world.rows("DROP SCHEMA IF EXISTS partners CASCADE")
    with fates(brokerless, database_url, tmp_path) as fate:
        yield fate
    # Rows are broken on purpose here, and every test's own tables are audited at its end.
    brokerless.world.empty()


def test_a_healthy_database_is_one_line_and_a_success(told: Fates, database_url: str, operator_command: OperatorCommand) -> None:
    told.completed(told.delivered(told.accepted()))
    told.cancelled(told.opened())
    told.opened()

    audited = operator_command("audit", DATABASE_URL=database_url)

    assert (audited.returncode, audited.stdout, audited.stderr) == (0, f"{AUDITED}\n", "")


def test_violations_are_a_table_by_rule_and_a_failure(told: Fates, database_url: str, operator_command: OperatorCommand) -> None:
    wrong, late = told.completed(told.delivered(told.accepted())), told.place()
    told.service.world.rows(f"UPDATE campusg.sagas SET due_at = {LATE}, look_at = '-infinity' WHERE order_id = :id", id=late)
    told.service.world.rows("UPDATE campusg.orders SET runner_id = 'run_2' WHERE order_id = :id", id=wrong)
    told.service.world.forget_outbox()

    audited = operator_command("audit", DATABASE_URL=database_url)

    lines = audited.stdout.splitlines()
    assert (audited.returncode, lines[0]) == (1, "4 violations")
    rules = {line.split(":")[0] for line in lines if re.match("[a-z_]+: ", line)}
    assert rules == {"saga_overdue", "money_astray", "facts_disagree", "ledger_holds"}
    overdue = lines.index("saga_overdue: a deadline that has passed is dealt with by the next sweeps")
    assert lines[overdue + 1].split() == ["order", "saga", "detail"]
    assert lines[overdue + 2].startswith(f"  {late}  {told.saga_of(late)}  create_order version 1 was due at ")
    assert f"  {wrong}  {'':36}  payee: run_2, but run_1 was assigned" in audited.stdout


def test_suspended_sagas_are_shown_and_no_failure(told: Fates, database_url: str, operator_command: OperatorCommand) -> None:
    order_id = told.refused_payout(told.delivered(told.accepted()))

    audited = operator_command("audit", DATABASE_URL=database_url)

    assert audited.returncode == 0
    assert audited.stdout.startswith(f"{AUDITED}\n\n1 suspended sagas")
    assert f"{order_id}  {told.saga_of(order_id)}  complete_order: release_escrow was refused" in audited.stdout


def test_money_that_stands_in_the_partners_books_for_an_order_that_has_ended_is_a_violation(
    told: Fates, database_url: str, operator_command: OperatorCommand
) -> None:
    ended, _open = told.cancelled(told.opened()), told.opened()
    told.service.world.rows("UPDATE partners.payments SET status = 'AUTHORIZED' WHERE order_id = :id", id=str(ended))

    audited = operator_command("audit", DATABASE_URL=database_url)

    assert (audited.returncode, audited.stdout.splitlines()[0]) == (1, "1 violations")
    assert "ledger_open: no money of an order that has ended stands in the simulated partners' books" in audited.stdout
    assert f"{ended}" in audited.stdout
    assert "over SGD 12.99 stands since" in audited.stdout
    assert "the order is CANCELLED" in audited.stdout


def test_without_a_stack_or_tables_it_says_so_in_a_sentence(
    postgres_server: PostgresServer, empty_database: str, tmp_path: Path, operator_command: OperatorCommand
) -> None:
    nowhere = operator_command("audit")
    no_tables = operator_command("audit", DATABASE_URL=empty_database)

    assert (nowhere.returncode, no_tables.returncode) == (1, 1)
    assert nowhere.stderr.startswith(f"make audit: no stack runs on {tmp_path / 'none'}")
    assert 'relation "campusg.sagas" does not exist' in no_tables.stderr
    assert "Traceback" not in nowhere.stderr + no_tables.stderr


def test_the_scheduled_audit_makes_its_count_a_metric_also_where_it_is_zero(
    brokerless: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")
    placed = brokerless.world.place()

    def counted() -> list[int]:
        brokerless.app.audit_invariants(scheduled_event("audit_invariants", datetime.now(UTC)), Context())
        metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "InvariantViolations" in line]
        return [metric["InvariantViolations"] for metric in metrics]

    assert counted() == [0]
    brokerless.world.rows(f"UPDATE campusg.sagas SET due_at = {LATE}, look_at = '-infinity' WHERE saga_id = :id", id=placed.saga_id)
    assert counted() == [1]
    brokerless.world.rows("UPDATE campusg.sagas SET due_at = clock_timestamp() + interval '1 minute'")
