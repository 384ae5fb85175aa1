"""The console's pages, read: what they show, to whom, on a phone and in the dark, and what they do when the service is away."""

import re
import signal
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import Visits
from tests.support.browser import barriers, cut_labels, expect, spilling, width
from tests.support.console import PHONE, SHIFTED, WATCH_SHIFTS, address, events_of, signed_in, tab_to, token_of
from tests.support.console_scene import HOSTILE, Scene
from tests.support.stack import Stack

pytestmark = pytest.mark.tool("browser")

# As a browser does when its reader comes back to the page.
LOOK_AGAIN = "document.dispatchEvent(new Event('visibilitychange'))"


@pytest.fixture(scope="module")
def addresses(things: Scene) -> dict[str, str]:
    """Every page of the console, each with something to show."""
    order_id, saga_id = things.suspended()
    waiting_id, _ = things.waiting()
    letter = things.dead_letter("user-events", b"no CloudEvent")
    declined = things.order("declined_1")
    return {
        "board": "/board",
        "orders": "/orders",
        "an order that is completed": f"/orders/{things.completed()}",
        "an order that waits": f"/orders/{waiting_id}",
        "sagas": "/sagas",
        "a saga that is suspended": f"/sagas/{saga_id}",
        "a saga that was undone": f"/sagas/{things.saga_of(declined)}",
        "suspended sagas": "/suspended",
        "dead letters": "/dead-letters",
        "a dead letter": f"/dead-letters/{letter}",
        "what a search finds": "/search?q=cust_1",
        "an order that is tried": f"/try/{order_id}",
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
        found[f"{name}, dark"] = barriers(page)
        page.set_viewport_size(PHONE)
        found[f"{name}, on a phone"] = spilling(page) or cut_labels(page) or width(page) - PHONE["width"]
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
    picture = page.get_by_role("img", name=re.compile(r"Timeline of \d+ events"))
    for word in ("payment.authorize", "payment.authorized", "escrow.release", "create_order COMPLETED", "complete_order COMPLETED"):
        expect(picture.get_by_text(word, exact=True).first).to_be_visible()
    expect(events_of(page).get_by_text("sent: escrow.release")).to_be_visible()
    page.get_by_role("region", name="Sagas").get_by_role("link", name="complete_order").click()
    expect(page.get_by_role("img", name=re.compile("^Path of complete_order, which is COMPLETED: validate_runner DONE; "))).to_be_visible()


def test_the_board_leads_to_what_needs_an_operator(visits: Visits, token: str, addresses: dict[str, str]) -> None:
    page = signed_in(visits(), token, "/board")

    expect(page.get_by_role("region", name="Suspended sagas")).to_contain_text("needs attention")
    page.get_by_role("link", name="Dead letters").last.click()
    expect(page.get_by_role("heading", name=re.compile("^Unintelligible"))).to_be_visible()
    assert address(page) == "#/dead-letters"


def test_where_nothing_moves_the_page_is_answered_by_304(visits: Visits, token: str, things: Scene) -> None:
    order_id = things.order()
    page = signed_in(visits(), token)

    for place, path in {
        "/board": "/api/board",
        f"/orders/{order_id}": f"/api/orders/{order_id}/timeline",
        f"/sagas/{things.saga_of(order_id)}": "/explanation",
    }.items():
        show(page, place)
        with page.expect_response(lambda response, path=path: response.url.endswith(path) and response.status == 304, timeout=15_000):
            page.evaluate(LOOK_AGAIN)


def test_a_page_that_can_t_be_drawn_says_why_and_the_others_still_work(visits: Visits, token: str) -> None:
    visit = visits()
    page = signed_in(visit, token)
    pages, heading = page.get_by_role("navigation", name="Pages"), page.get_by_role("heading", level=1)
    page.route("**/api/board", lambda route: route.fulfill(json={"sagas": None}))

    pages.get_by_role("link", name="Board").click()

    expect(heading).to_have_text("This page can't be drawn")
    expect(heading).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("TypeError: Cannot read properties")
    page.unroute("**/api/board")
    pages.get_by_role("link", name="Orders").click()
    expect(heading).to_have_text("Orders")
    pages.get_by_role("link", name="Board").click()
    expect(page.get_by_role("region", name="Suspended sagas")).to_be_visible()
    visit.forgive("TypeError: Cannot read properties")


def test_names_that_look_like_markup_are_text_on_every_page(visits: Visits, token: str, things: Scene) -> None:
    text = "".join(HOSTILE[:3])
    order_id = things.order(
        foodItems=[{"name": name, "price": "1.00", "quantity": 1} for name in HOSTILE], storeLocation=text, deliveryLocation=HOSTILE[3]
    )
    cancelled = things.api().call("POST", f"/api/orders/{order_id}/cancel", {"reason": "".join(HOSTILE[:3])}, wait=20)
    assert cancelled.status == 200, cancelled
    headers = [("ce_type", HOSTILE[0].encode()), (HOSTILE[1], HOSTILE[3].encode())]
    letter = things.dead_letter("payment-events", "".join(HOSTILE).encode(), order_id.encode(), headers)
    page = signed_in(visits(viewport=PHONE), token)

    for place, shown in {
        f"/orders/{order_id}": (*HOSTILE, text),
        f"/sagas/{things.saga_of(order_id)}": (),
        f"/dead-letters/{letter}": HOSTILE[:5],
        "/dead-letters": HOSTILE[:1],
    }.items():
        show(page, place)
        words = page.locator("main").inner_text()
        assert [name for name in shown if name not in words] == [], place
        assert (width(page), page.locator("main script, main img").count()) == (PHONE["width"], 0), place
    assert page.evaluate("window.ran") is None
    show(page, f"/orders/{order_id}")
    expect(page.locator("bdi")).to_have_text(list(HOSTILE))


def test_what_is_found_has_an_address_that_can_be_sent_to_a_colleague(stack: Stack, visits: Visits, token: str, things: Scene) -> None:
    order_id = things.order("cust_found")
    saga_id = things.saga_of(order_id)
    page = signed_in(visits(), token)

    for text, kind in {order_id: "Order", saga_id: "Saga", "cust_found": "Customer"}.items():
        page.get_by_role("searchbox", name="Search by an id").fill(text)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status").get_by_text(f"found for {text}.")).to_be_visible()
        expect(page.locator("main").get_by_text(kind, exact=True).first).to_be_visible()
    page.get_by_role("link", name="All orders of this customer").click()
    page.get_by_role("link", name=order_id).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(order_id)

    colleague = visits().page(page.url)
    colleague.get_by_label("Token").fill(token_of(stack, "admin", "ops_2"))
    colleague.get_by_role("button", name="Sign in").click()
    expect(colleague.get_by_role("heading", level=1)).to_contain_text(order_id)


def test_a_customer_sees_what_is_theirs_and_is_told_of_nothing_else(stack: Stack, visits: Visits, things: Scene) -> None:
    own, other = things.order("cust_own"), things.order("cust_other")
    visit = visits()
    page = signed_in(visit, token_of(stack, "customer", "cust_own"))

    expect(page.get_by_role("link", name=own)).to_be_visible()
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_text(["Orders"])
    show(page, "/try")
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page).to_have_title("There is no such page · CampusG console")
    show(page, f"/orders/{other}")

    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"correlation id \S+"))
    visit.forgive("status of 404")


def test_what_is_being_typed_stays_while_the_list_looks_again(visits: Visits, token: str) -> None:
    page = signed_in(visits(), token, "/orders")
    customer = page.get_by_label("Customer", exact=True)

    customer.press_sequentially("cust_f")
    # The second is asked for only when the first has been drawn.
    for _ in range(2):
        with page.expect_response(lambda response: "/api/orders" in response.url):
            page.evaluate(LOOK_AGAIN)

    expect(customer).to_have_value("cust_f")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("customerId=cust_f"))


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

    for name in ("board", "a saga that is suspended"):
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
