"""A plugin of pytest: after every test that has a database of its own, nothing in it breaks an invariant.

The outermost conftest names it: `pytest_plugins = ["tests.support.auditing"]`. A test that leaves broken rows behind on purpose says so by
`@pytest.mark.breaks_invariants("why")`.
"""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from chalicelib.operations.audit import RULES, violations
from tests.support.database import World

MARKER = "breaks_invariants"
# Fixtures that give a test the service's tables: a URL, or a World.
WITH_TABLES = ("fresh_database", "world")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}(reason): this test leaves rows behind that no running service may have")


@pytest.fixture(autouse=True)
def audited(request: pytest.FixtureRequest) -> Iterator[None]:
    """Audits the tables of every test that has some of its own, at its end and before they are dropped."""
    databases = [request.getfixturevalue(name) for name in WITH_TABLES if name in request.fixturenames]
    reason = opted_out(request.node)
    yield
    for database in databases if not reason else ():
        if isinstance(database, World):
            assert_no_violations(database.engine)
        elif isinstance(database, str):
            assert_no_violations(database)


def opted_out(item: pytest.Item) -> str | None:
    """Why a test isn't audited; fails a test that doesn't say why."""
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return None
    if not (marker.args and isinstance(marker.args[0], str) and marker.args[0].strip()):
        pytest.fail(f"{MARKER} needs a reason", pytrace=False)
    return str(marker.args[0])


def assert_no_violations(database: str | sa.Engine) -> None:
    """Fail with a line for each violation in a database, given by its URL or its engine."""
    engine = sa.create_engine(database, poolclass=sa.NullPool) if isinstance(database, str) else database
    with engine.begin() as session:
        found = violations(session)
    titles = {rule.name: rule.title for rule in RULES}
    lines = [f"{each.rule} (order {each.order_id}, saga {each.saga_id}): {each.detail}; but {titles[each.rule]}" for each in found]
    assert not lines, "the test left broken rows behind:\n" + "\n".join(lines)
