"""What an operator does from the console: each action with a preview, a reason that the order's history keeps, and only once."""

import re
from typing import Any

import pytest

from tests.e2e.conftest import Visits
from tests.support.browser import barriers, expect, width
from tests.support.console import PHONE, events_of, signed_in, tab_to
from tests.support.console_scene import Scene

pytestmark = pytest.mark.tool("browser")

REASON = "Reason, kept in the order's history"


def test_why_a_saga_is_suspended_is_found_out_and_when_that_is_mended_it_is_retried(visits: Visits, token: str, things: Scene) -> None:
    order_id, saga_id = things.suspended()
    page = signed_in(visits(), token, "/board")

    page.get_by_role("region", name="Suspended sagas").get_by_role("link").click()
    page.get_by_role("link", name=saga_id).click()
    expect(page.locator(".sentence")).to_contain_text("release_escrow was refused: the runner is not the one assigned")
    expect(page.get_by_role("img", name=re.compile("release_escrow FAILED"))).to_be_visible()
    things.assign(order_id, "run_1")
    dialog = asked(page, "Retry …")
    expect(dialog.get_by_role("table", name="What will change")).to_contain_text("RUNNING")
    dialog.get_by_label(REASON).fill("The books are right again")
    dialog.get_by_role("button", name="Retry").click()

    expect(dialog.get_by_text("Done: Retry.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".sentence .state")).to_have_text("COMPLETED")
    assert told(things, order_id, "retry") == ("admin:ops_1", "The books are right again")
    page.get_by_role("link", name=order_id).click()
    expect(events_of(page).get_by_text("The books are right again")).to_be_visible()


def test_a_waiting_saga_is_compensated_by_keyboard_alone(visits: Visits, token: str, things: Scene) -> None:
    order_id, _ = things.waiting()
    page = signed_in(visits(), token, f"/orders/{order_id}")

    tab_to(page, page.locator(".sentence").get_by_role("link"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    tab_to(page, page.get_by_role("button", name="Compensate …"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Compensate")
    tab_to(page, dialog.get_by_label(REASON))
    page.keyboard.type("The customer has called")
    expect(dialog.get_by_role("button", name="Compensate")).to_be_enabled()
    page.keyboard.press("Enter")

    expect(dialog.get_by_text("Done: Compensate.")).to_be_visible()
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(".sentence .state")).to_have_text("COMPENSATED")
    assert told(things, order_id, "compensate") == ("admin:ops_1", "The customer has called")


def test_whoever_leaves_the_dialog_has_changed_nothing(visits: Visits, token: str, things: Scene) -> None:
    order_id, _ = things.waiting()
    before = things.history(order_id)
    page = signed_in(visits(), token, f"/orders/{order_id}")
    page.locator(".sentence").get_by_role("link").click()

    dialog = asked(page, "Compensate …")
    expect(dialog.get_by_role("table", name="What will change")).to_be_visible()
    dialog.get_by_label(REASON).fill("No, better not")
    dialog.get_by_role("button", name="Leave it").click()

    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Compensate …")).to_be_focused()
    asked(page, "Compensate …").wait_for()
    page.go_back()
    expect(page.get_by_role("heading", name=f"Order {order_id}")).to_be_focused()
    expect(dialog).to_have_count(0)
    assert things.history(order_id) == before


def test_a_dead_letter_is_redriven_after_a_look_at_what_that_does(visits: Visits, token: str, things: Scene) -> None:
    order_id, saga_id, letter = things.unknown_version()
    page = signed_in(visits(), token, "/dead-letters")

    page.locator("main li", has=page.locator(f"a[href$='{letter}']")).get_by_role("button", name="Redrive …").click()
    dialog = page.get_by_role("dialog", name="Redrive")
    expect(dialog.get_by_role("table", name="What will change")).to_contain_text("AUTHORIZED")
    assert (barriers(page), things.saga(saga_id)["pending"]["step"]) == ([], "authorize_payment")
    dialog.get_by_label(REASON).fill("Version 9 is gone")
    dialog.get_by_role("button", name="Redrive").click()

    expect(dialog.get_by_text("Done: Redrive.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(f"main a[href$='{letter}']")).to_have_count(0)
    [entry] = [each for each in things.history(order_id) if (each["detail"] or {}).get("operator") == "redrive"]
    assert (entry["detail"]["by"], entry["detail"]["reason"]) == ("admin:ops_1", "Version 9 is gone")
    page.evaluate("place => { location.hash = place }", f"/orders/{order_id}")
    expect(events_of(page).get_by_text("Version 9 is gone")).to_be_visible()


def test_a_dead_letter_is_dismissed_on_a_phone(visits: Visits, token: str, things: Scene) -> None:
    order_id = things.order()
    letter = things.dead_letter("payment-events", b"neither JSON nor ours", order_id.encode())
    page = signed_in(visits(viewport=PHONE), token, f"/dead-letters/{letter}")

    dialog = asked(page, "Dismiss …")
    expect(dialog.get_by_role("table", name="What will change")).to_be_visible()
    assert (barriers(page), width(page)) == ([], PHONE["width"])
    dialog.get_by_label(REASON).fill("The partner has settled it")
    dialog.get_by_role("button", name="Dismiss").click()

    expect(dialog.get_by_text("Done: Dismiss.")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(page.get_by_text(re.compile("by admin:ops_1: The partner has settled it"))).to_be_visible()
    expect(page.get_by_role("button", name="Redrive …")).to_be_disabled()


def test_what_another_operator_did_meanwhile_is_said_with_the_request_s_id(visits: Visits, token: str, things: Scene) -> None:
    letter = things.dead_letter("user-events", b"no CloudEvent")
    visit = visits()
    page = signed_in(visit, token, f"/dead-letters/{letter}")

    dialog = asked(page, "Dismiss …")
    expect(dialog.get_by_text("No order, saga or message changes by it.")).to_be_visible()
    things.rows("UPDATE campusg.dead_letters SET redriven_at = clock_timestamp() WHERE dead_letter_id = :id", id=letter)
    dialog.get_by_label(REASON).fill("Too late")
    dialog.get_by_role("button", name="Dismiss").click()

    expect(dialog.get_by_role("alert")).to_contain_text(re.compile(r"redriven.*correlation id \S+", re.DOTALL))
    visit.forgive("status of 409")


def test_what_can_t_be_redriven_says_so_before_anybody_confirms_it(visits: Visits, token: str, things: Scene) -> None:
    letter = things.dead_letter("user-events", b"no CloudEvent")
    visit = visits()
    page = signed_in(visit, token, f"/dead-letters/{letter}")

    dialog = asked(page, "Redrive …")

    expect(dialog.get_by_role("alert")).to_contain_text("no CloudEvent")
    expect(dialog.get_by_role("button")).to_have_text(["Close"])
    expect(dialog.get_by_role("button")).to_be_focused()
    visit.forgive("status of 409")


def test_a_group_is_dismissed_at_once_with_one_reason(visits: Visits, token: str, things: Scene) -> None:
    letters = [things.dead_letter("escrow-events", f"no CloudEvent {number}".encode()) for number in range(2)]
    waiting = len(things.api().call("GET", "/api/dead-letters?redriven=false&dismissed=false&errorClass=Unintelligible").json()["items"])
    page = signed_in(visits(), token, "/dead-letters")

    page.get_by_role("region", name="Unintelligible").get_by_role("button", name=f"Dismiss all {waiting} …").click()
    dialog = page.get_by_role("dialog", name=f"Dismiss all {waiting}")
    expect(dialog.get_by_text(f"{waiting} of {waiting} would go through.")).to_be_visible()
    assert barriers(page) == []
    dialog.get_by_label(REASON).fill("A test of theirs")
    dialog.get_by_role("button", name=f"Dismiss all {waiting}").click()

    expect(dialog.get_by_text(f"Done: {waiting} of {waiting}, 0 refused")).to_be_visible()
    rows = things.rows("SELECT dismiss_reason FROM campusg.dead_letters WHERE dead_letter_id = ANY(CAST(:ids AS uuid[]))", ids=letters)
    assert [row["dismiss_reason"] for row in rows] == ["A test of theirs"] * 2


def test_an_order_is_placed_and_taken_through_its_life_from_the_page_alone(visits: Visits, token: str) -> None:
    page = signed_in(visits(), token, "/board")

    page.get_by_role("link", name="Try it").click()
    page.get_by_role("button", name="Place an order").click()
    for name in ("Accept", "Collected", "On the way", "Delivered", "I have my food"):
        page.get_by_role("button", name=name, exact=True).click()

    expect(page.get_by_role("region", name=re.compile("^The customer"))).to_contain_text("All done, and your runner is paid.")
    expect(page.get_by_role("region", name=re.compile("^The operator"))).to_contain_text("complete_order")


def test_an_order_whose_payment_is_declined_says_so_to_whom_it_concerns(visits: Visits, token: str) -> None:
    page = signed_in(visits(), token, "/try")

    page.get_by_label("What shall become of the order?").select_option("The payment is declined")
    page.get_by_role("button", name="Place an order").click()

    expect(page.get_by_role("region", name=re.compile("^The customer"))).to_contain_text("Your order is cancelled.")
    expect(page.get_by_role("region", name=re.compile("^The operator"))).to_contain_text("COMPENSATED")


def asked(page: Any, name: str) -> Any:
    """The dialog that a button opens."""
    page.get_by_role("button", name=name).click()
    return page.get_by_role("dialog", name=name.removesuffix(" …"))


def told(things: Scene, order_id: str, operator: str) -> tuple[str, str]:
    """Who did this to an order and why, as its history has it."""
    [entry] = [each for each in things.history(order_id) if (each["detail"] or {}).get("operator") == operator]
    return entry["actor"], entry["detail"]["reason"]
