"""What end-to-end tests may ask for: one running stack, with short waits."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.conftest import module_if_given
from tests.support.auditing import assert_no_violations
from tests.support.browser import Visit, chromium
from tests.support.stack import Stack

Visits = Callable[..., Visit]


@pytest.fixture(scope=module_if_given)
def stack(tmp_path_factory: pytest.TempPathFactory, stack_servers: Mapping[str, str]) -> Iterator[Stack]:
    """A stack on a DATA_DIR of its own; its steps are waited for one second."""
    running = Stack.start(tmp_path_factory.mktemp("stack") / "data folder", STEP_TIMEOUT_SECONDS=1, **stack_servers)
    yield running
    assert_no_violations(running.run_json()["postgres"]["url"])
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for a file's tests."""
    with chromium() as running:
        yield running


@pytest.fixture
def visits(stack: Stack, browser: Any) -> Iterator[Visits]:
    """Begins visits to the stack; at the test's end none has asked anything of another site, or left a complaint in the console."""
    begun: list[Visit] = []

    def begin(**settings: Any) -> Visit:
        begun.append(Visit.begin(browser, stack.url, **settings))
        return begun[-1]

    yield begin
    for visit in begun:
        visit.context.close()
    assert [(visit.foreign, visit.complaints) for visit in begun] == [([], [])] * len(begun)
