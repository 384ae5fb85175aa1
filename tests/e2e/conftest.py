"""What end-to-end tests may ask for: one running stack, with short waits."""

from collections.abc import Iterator

import pytest

from tests.support.auditing import assert_no_violations
from tests.support.stack import Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack on a DATA_DIR of its own; its steps are waited for one second."""
    running = Stack.start(tmp_path_factory.mktemp("stack") / "data folder", STEP_TIMEOUT_SECONDS=1)
    yield running
    assert_no_violations(running.run_json()["postgres"]["url"])
    running.stop()
