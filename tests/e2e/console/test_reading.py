"""The console's pages, read: what they show, to whom, on a phone and in the dark, and what they do when the service is away."""

import re
import signal
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import Visits
from tests.support.browser import barriers, expect, width
from tests.support.console import PHONE, SHIFTED, WATCH_SHIFTS, signed_in, tab_to, token_of
from tests.support.console_scene import Scene
from tests.support.stack import Stack

pytestmark = pytest.mark.tool("browser")


@pytest.fixture(scope="module")
def addresses(things: Scene) -> dict[str, str]:
    """Every page of the console, each with something to show."""
    things.suspended()
    things.dead_letter("user-events", b"no CloudEvent")
    return {
        "board": "/board",
        "orders": "/orders",
        "sagas": "/sagas",
        "no page": "/nowhere",
        "an order that is not there": "/orders/01a226dd-75c8-70f4-8ced-000000000000",
    }


def test_every_page_is_readable_for_everybody_light_and_dark_and_on_a_phone(visits: Visits, token: str, addresses: dict[str, str]) -> None:
    # Half-way from one colour to another, no contrast is right.
    visit = visits(reduced_motion="reduce")
    page = signed_in(visit, token)
    found: dict[str, Any] = {}
    for name, place in addresses.items():
        show(page, place)
        page.emulate_media(color_scheme="light")
        found[name] = barriers(page)
        page.emulate_media(color_scheme="dark")
        found[f"{name}, dark"] = barriers(page, "color-contrast")
        page.set_viewport_size(PHONE)
        found[f"{name}, on a phone"] = [] if width(page) == PHONE["width"] else f"{width(page)} px wide"
        page.set_viewport_size({"width": 1280, "height": 720})

    assert {name: each for name, each in found.items() if each} == {}
    visit.forgive("status of 404")


def test_an_order_is_watched_until_it_is_finished(visits: Visits, token: str, things: Scene) -> None:
    order_id = things.order(wait=0)
    page = signed_in(visits(), token, f"/orders/{order_id}")

    expect(status_of(page)).to_have_text("READY_FOR_PICKUP")
    things.accept(order_id)
    expect(status_of(page)).to_have_text("ACCEPTED")
    things.bring(order_id)
    things.complete(order_id)

    expect(status_of(page)).to_have_text("COMPLETED")


def test_a_board_on_which_nothing_moves_is_answered_by_304(visits: Visits, token: str) -> None:
    page = signed_in(visits(), token, "/board")

    with page.expect_response(lambda response: response.url.endswith("/api/board") and response.status == 304, timeout=15_000):
        pass


def test_a_customer_sees_what_is_theirs_and_is_told_of_nothing_else(stack: Stack, visits: Visits, things: Scene) -> None:
    own, other = things.order("cust_own"), things.order("cust_other")
    visit = visits()
    page = signed_in(visit, token_of(stack, "customer", "cust_own"))

    expect(page.get_by_role("link", name=own)).to_be_visible()
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_text(["Orders"])
    show(page, f"/orders/{other}")

    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"correlation id \S+"))
    visit.forgive("status of 404")


def test_times_are_the_reader_s_and_in_utc_on_hover(visits: Visits, token: str, things: Scene) -> None:
    order_id = things.order()
    page = signed_in(visits(timezone_id="Asia/Kathmandu"), token, f"/orders/{order_id}")

    moment = page.get_by_text("Placed", exact=True).locator("xpath=..").locator("time")
    utc = moment.get_attribute("datetime")
    hour, minute, second = (int(part) for part in re.split("[:.]", utc.partition("T")[2])[:3])
    local = (hour * 60 + minute + 5 * 60 + 45) % (24 * 60)
    assert f"{local // 60:02}:{local % 60:02}:{second:02}" in moment.inner_text()
    assert moment.get_attribute("title").endswith("Z (UTC)")
    assert utc[:19] in moment.get_attribute("title")


def test_a_lost_connection_is_shown_and_heals_by_itself(stack: Stack, visits: Visits, token: str, things: Scene) -> None:
    things.order()
    visit = visits()
    page = signed_in(visit, token, "/board")
    shown = page.get_by_role("link", name=re.compile("orders READY_FOR_PICKUP$"))
    expect(shown).to_be_visible()
    supervisor = psutil.Process(stack.process.pid)

    supervisor.suspend()
    try:
        psutil.Process(stack.pid("http")).send_signal(signal.SIGKILL)
        expect(page.get_by_role("status").get_by_text("Connection lost")).to_be_visible()
        expect(shown).to_be_visible()
    finally:
        supervisor.resume()

    expect(page.get_by_text(re.compile("^Live"))).to_be_visible()
    visit.forgive("ERR_CONNECTION")


def test_nothing_on_a_page_shifts_when_it_is_looked_at_again(visits: Visits, token: str, addresses: dict[str, str]) -> None:
    visit = visits()
    page = signed_in(visit, token)
    page.evaluate(WATCH_SHIFTS)

    for name in ("board", "sagas"):
        with page.expect_response(lambda response: "/api/" in response.url and response.ok):
            page.evaluate("place => { location.hash = place }", addresses[name])
        for _ in range(2):
            page.wait_for_event("response", lambda response: "/api/" in response.url, timeout=15_000)
    assert page.evaluate(SHIFTED) < 0.01


def test_a_reader_without_a_mouse_skips_to_the_page_and_opens_an_order(visits: Visits, token: str, things: Scene) -> None:
    order_id = things.order()
    page = signed_in(visits(), token)

    tab_to(page, page.get_by_role("link", name="Skip to the page"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name=order_id))
    page.keyboard.press("Enter")

    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text(order_id)
    expect(heading).to_be_focused()


def show(page: Any, place: str) -> None:
    """Follow an address within the console, and wait until its page has what it asked for."""
    page.evaluate("place => { location.hash = place }", place)
    expect(page.locator(".loading:visible")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def status_of(page: Any) -> Any:
    """The order's status on its page."""
    return page.get_by_text("Status", exact=True).first.locator("xpath=..").locator(".state")
