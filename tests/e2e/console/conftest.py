"""The console's tests share one stack, on which a saga is soon suspended, and an operator's token."""

from collections.abc import Iterator

import pytest

from tests.support.auditing import assert_no_violations
from tests.support.console import token_of
from tests.support.console_scene import Scene, scene
from tests.support.stack import Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose steps are waited for two seconds and tried twice."""
    running = Stack.start(tmp_path_factory.mktemp("console") / "data", STEP_TIMEOUT_SECONDS=2, STEP_MAX_ATTEMPTS=2)
    yield running
    assert_no_violations(running.run_json()["postgres"]["url"])
    running.stop()


@pytest.fixture(scope="package")
def things(stack: Stack) -> Iterator[Scene]:
    """What the console has to show."""
    with scene(stack) as made:
        yield made


@pytest.fixture(scope="package")
def token(stack: Stack) -> str:
    """An operator's token."""
    return token_of(stack)
