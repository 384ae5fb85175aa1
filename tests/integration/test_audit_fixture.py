"""The fixture that audits every test's own database: proved by tests that pytest runs inside of a test."""

import pytest
import sqlalchemy as sa

from tests.support.stack import ROOT

pytest_plugins = ["pytester"]

CONFTEST = """
import os
import pytest

pytest_plugins = ["tests.support.auditing"]


@pytest.fixture
def fresh_database():
    return os.environ["THE_DATABASE"]
"""
TESTS = """
import pytest
import sqlalchemy as sa


def leave_a_broken_row(url):
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as session:
        session.execute(sa.text(
            "INSERT INTO campusg.outbox (ordering_key, bucket, message_id, topic, headers, created_at)"
            " SELECT gen_random_uuid(), 0, 'm_1', 't', '[]', clock_timestamp() - interval '1 day'"
            " WHERE NOT EXISTS (SELECT 1 FROM campusg.outbox)"))


def test_healthy(fresh_database):
    pass


def test_without_database():
    pass


@pytest.mark.breaks_invariants("an outage is played")
def test_on_purpose(fresh_database):
    leave_a_broken_row(fresh_database)


@pytest.mark.breaks_invariants()
def test_without_a_reason(fresh_database):
    pass


def test_broken(fresh_database):
    leave_a_broken_row(fresh_database)
"""


def test_a_test_that_leaves_broken_rows_fails_at_its_end_unless_it_says_why_it_must(
    pytester: pytest.Pytester, fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_DATABASE", fresh_database)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)

    run = pytester.runpytest_subprocess("--strict-markers", "-p", "no:cacheprovider")

    # The broken one passes and then has an error; the one without a reason has it before it runs.
    run.assert_outcomes(passed=4, errors=2)
    told = ["*breaks_invariants needs a reason*", "*the test left broken rows behind:", "*outbox_old (order *message m_1 for t*"]
    run.stdout.fnmatch_lines(told)
    # This test's own database is audited, too.
    with sa.create_engine(fresh_database, poolclass=sa.NullPool).begin() as session:
        session.execute(sa.text("DELETE FROM campusg.outbox"))
