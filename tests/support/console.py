"""The console in a browser, as its readers use it: by the roles and names that a screen reader tells."""

import re
from typing import Any

from tests.support.api import Api
from tests.support.browser import Visit
from tests.support.stack import Stack

PHONE = {"width": 360, "height": 740}
# All that a browser may keep of a page for later, beside the address.
KEPT = """async () => JSON.stringify([
  {...localStorage}, {...sessionStorage}, document.cookie, await indexedDB.databases(), await caches.keys(), history.state, window.name,
])"""
# Whatever moves without the reader having done anything, from now on, as browsers measure it.
WATCH_SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver(list => list.getEntries().forEach(each => { if (!each.hadRecentInput) window.shifted += each.value }))
    .observe({type: 'layout-shift'});
}"""
SHIFTED = "window.shifted"
FOCUSED = "element => element === document.activeElement"


def token_of(stack: Stack, role: str = "admin", sub: str = "ops_1") -> str:
    """A token of the stack's issuer."""
    return Api(stack.url, stack.data_dir, sub, role).token


def signed_in(visit: Visit, token: str, go: str = "/orders") -> Any:
    """A page of the console, by a link that brings the token and leads to a page."""
    page = visit.page(f"console#token={token}&go={go}")
    page.get_by_role("navigation", name="Pages").wait_for()
    return page


def address(page: Any) -> str:
    """What stands behind the # of the page's address."""
    return str(page.evaluate("location.hash"))


def tab_to(page: Any, target: Any, most: int = 40) -> None:
    """Press the Tab key until the focus is on `target`, a locator."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.count() and target.evaluate(FOCUSED):
            return
    raise AssertionError(f"{target} can't be reached by the Tab key")


def events_of(page: Any) -> Any:
    """The table of all that has happened to an order, which its page keeps folded."""
    page.get_by_text(re.compile(r"^\d+ events$")).click()
    return page.get_by_role("table", name="All that has happened to the order")
