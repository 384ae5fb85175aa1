"""Chromium, driven by Playwright: `make browser` installs Playwright beside .venv, the browser is the system's own.

`python -m tests.support.browser` opens it once, as the last step of `make browser`.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.tools import TOOLS

PACKAGES = TOOLS["browser"].file.parent / "packages"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Nothing of the browser's own goes over the network; no sandbox, as that refuses to run as root.
FLAGS = (
    *("--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-quic", "--disable-gpu"),
)
# For whatever a page waits for; a loaded machine may be slow.
PATIENCE_MS = 30_000
SPILLING = """() => [...document.querySelectorAll('dd, td, p, li, button')]
  .filter(each => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX === 'visible' && each.checkVisibility())
  .map(each => each.innerText)"""
CUT_LABELS = """() => [...document.querySelectorAll('.node')].flatMap(box => {
  const { left, right, bottom } = box.querySelector('rect').getBoundingClientRect();
  const isOutside = place => place.left < left || place.right > right || place.bottom > bottom;
  return [...box.querySelectorAll('text')].filter(each => isOutside(each.getBoundingClientRect()));
}).concat([...document.querySelectorAll('.node text, .timeline .what')].filter(each => each.textContent.includes('…')))
  .map(each => each.textContent)"""
# Only what is really loaded: `data:` and `blob:` come from the page itself.
LOADED = ("http", "https", "ws", "wss")
# Whoever reads the page is neither at UTC nor where dates are written as in America.
READER = {"locale": "en-GB", "timezone_id": "Asia/Singapore"}


class NoBrowserError(Exception):
    """There is no browser to drive; the message names the programs that were looked for."""


def program() -> str:
    """The path of the browser."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        raise NoBrowserError(f"none of {', '.join(PROGRAMS)} is there: apt-get install chromium")
    return found


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser: Playwright's `Browser`. While it runs, this thread can't run an event loop of its own."""
    if str(PACKAGES) not in sys.path:
        sys.path.append(str(PACKAGES))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A reader's visit to the site at `url`: Playwright's `BrowserContext`, and all that must not happen in it.

    `foreign`: requests to anywhere else. `complaints`: what the browser's console says is wrong, a broken content security policy among it,
    and errors that no script caught.
    """

    url: str
    context: Any
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, browser: Any, url: str, **settings: Any) -> Self:
        """A visit without any past; `settings` are those of Playwright's `new_context`."""
        visit = cls(url, browser.new_context(base_url=url, **{**READER, **settings}))
        visit.context.on("request", visit._on_request)
        visit.context.on("console", visit._on_console)
        visit.context.on("weberror", lambda error: visit.complaints.append(str(error.error)))
        return visit

    def page(self, address: str = "") -> Any:
        """A page of its own, at an address of the site: Playwright's `Page`."""
        page = self.context.new_page()
        if address:
            page.goto(address)
        return page

    def _on_request(self, request: Any) -> None:
        asked, own = urlsplit(request.url), urlsplit(self.url)
        if asked.scheme in LOADED and (asked.scheme, asked.netloc) != (own.scheme, own.netloc):
            self.foreign.append(request.url)

    def _on_console(self, message: Any) -> None:
        # Where a page names no icon the browser asks for one at times, by itself.
        if message.type in ("error", "warning") and not message.location["url"].endswith("/favicon.ico"):
            self.complaints.append(message.text)

    def forgive(self, words: str) -> None:
        """Take out of the complaints those with these words, which the test has brought about; there must be one."""
        kept = [each for each in self.complaints if words not in each]
        assert len(kept) < len(self.complaints), self.complaints
        self.complaints[:] = kept


def expect(target: Any) -> Any:
    """Playwright's `expect`: what is asserted of a locator or a page is waited for."""
    from playwright.sync_api import expect as expected

    expected.set_options(timeout=PATIENCE_MS)
    return expected(target)


def barriers(page: Any, *rules: str) -> list[str]:
    """What axe finds wrong with a page, by all its rules or by these: the rule and the element, a line each."""
    from axe_playwright_python.sync_playwright import Axe

    only = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    found = Axe().run(page, options={"resultTypes": ["violations"], **only}).response["violations"]
    return [f"{each['id']}: {node['html']}: {node['failureSummary']}" for each in found for node in each["nodes"]]


def width(page: Any) -> int:
    """How wide the page is, with what can only be reached by scrolling sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth"))


def spilling(page: Any) -> list[str]:
    """The texts of the page that stand out over what they stand in, and so over what is beside it."""
    return list(page.evaluate(SPILLING))


def cut_labels(page: Any) -> list[str]:
    """The labels of the page's pictures that are cut, or stand out over their boxes."""
    return list(page.evaluate(CUT_LABELS))


if __name__ == "__main__":
    try:
        with chromium():
            pass
    except NoBrowserError as error:
        sys.exit(f"make browser: {error}")
