"""The page of the API's description in a real browser, and that the watch over a visit sees what it is there for."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Visits
from tests.support.browser import Visit, barriers, width
from tests.support.stack import Stack

pytestmark = pytest.mark.tool("browser")

INLINE = "const script = document.createElement('script'); script.textContent = 'window.ran = true'; document.head.append(script)"
# One operation, whole and alone: the others are made alike, and axe would take many seconds for all of them.
OPENED = """
document.querySelectorAll('main > details:not(#createOrder)').forEach(each => each.remove())
document.querySelectorAll('details').forEach(each => { each.open = true })
"""


@pytest.fixture
def unwatched(stack: Stack, browser: Any) -> Iterator[Visit]:
    """A visit that may leave complaints."""
    visit = Visit.begin(browser, stack.url)
    yield visit
    visit.context.close()


def test_the_description_is_readable_for_everybody_light_and_dark(visits: Visits) -> None:
    page = visits().page("docs")
    page.evaluate(OPENED)

    assert page.get_by_role("heading", name="Parameters").is_visible()
    assert barriers(page) == []
    page.emulate_media(color_scheme="dark")
    assert barriers(page) == []


def test_the_description_fits_on_a_phone(visits: Visits) -> None:
    page = visits(viewport={"width": 360, "height": 740}).page("docs")
    page.evaluate(OPENED)

    assert width(page) == 360


def test_a_request_to_another_site_is_seen(unwatched: Visit) -> None:
    page = unwatched.page("health")

    page.evaluate("fetch('http://127.0.0.1:9/').catch(() => null)")

    assert unwatched.foreign == ["http://127.0.0.1:9/"]


def test_a_script_that_the_policy_forbids_is_seen_and_does_not_run(unwatched: Visit) -> None:
    page = unwatched.page("docs")

    page.evaluate(INLINE)

    assert page.evaluate("window.ran") is None
    assert ["Content Security Policy" in each for each in unwatched.complaints] == [True]


def test_an_error_that_no_script_catches_is_seen(unwatched: Visit) -> None:
    page = unwatched.page("health")

    page.evaluate("setTimeout(() => { throw new Error('uncaught') })")
    page.wait_for_timeout(50)

    assert ["uncaught" in each for each in unwatched.complaints] == [True]


def test_a_picture_without_a_name_is_found(unwatched: Visit) -> None:
    page = unwatched.page()

    page.set_content("<!doctype html><html lang=en><title>A page</title><main><h1>A page</h1><img src=data:,>")

    assert ["image-alt" in each for each in barriers(page)] == [True]
