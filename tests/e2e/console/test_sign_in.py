"""Signing in to the console: by pasting a token, by a link that brings one; nothing of it is left where it could be found."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from infra.stack import devkeys
from tests.e2e.conftest import Visits
from tests.support.browser import barriers, expect, width
from tests.support.console import KEPT, PHONE, address, signed_in, tab_to, token_of
from tests.support.stack import Stack

pytestmark = pytest.mark.tool("browser")


def test_a_pasted_token_signs_in_and_is_kept_nowhere(stack: Stack, visits: Visits) -> None:
    visit, token = visits(), token_of(stack)
    page = visit.page("/")
    assert page.url == f"{stack.url}/console"

    page.get_by_label("Token").fill(f"  {token}\n")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_text("ops_1")).to_be_visible()
    assert token not in page.url + page.content() + page.evaluate(KEPT)
    assert visit.context.cookies() == []


def test_a_link_signs_in_and_its_token_leaves_the_address_at_once(stack: Stack, visits: Visits) -> None:
    visit, token = visits(), token_of(stack)
    page = visit.page()
    seen: list[str] = []
    page.on("framenavigated", lambda frame: seen.append(frame.url))

    page.goto(f"console#token={token}&go=/orders?status=COMPLETED")

    expect(page.get_by_role("combobox", name="Status")).to_have_value("COMPLETED")
    assert address(page) == "#/orders?status=COMPLETED"
    assert token not in page.evaluate(KEPT) + page.content()
    page.go_back()
    page.go_forward()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert [token in url for url in seen].count(True) <= 1
    assert token not in page.url


def test_the_link_that_make_run_prints_signs_an_operator_in(stack: Stack, visits: Visits) -> None:
    [link] = re.findall(r"^  console +(\S+)$", stack.said(), re.MULTILINE)

    page = visits().page(link)

    expect(page.get_by_text("admin", exact=True)).to_be_visible()
    assert "token" not in page.url


def test_a_loaded_page_has_forgotten_the_token_and_an_address_without_one_leads_on_after_the_sign_in(stack: Stack, visits: Visits) -> None:
    page = signed_in(visits(), token_of(stack), "/orders?status=TIMED_OUT")

    page.reload()

    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.get_by_label("Token").fill(token_of(stack))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("combobox", name="Status")).to_have_value("TIMED_OUT")


def test_whoever_signs_out_is_out(stack: Stack, visits: Visits) -> None:
    page = signed_in(visits(), token_of(stack), "/orders")
    page.get_by_role("combobox", name="Status").select_option("CANCELLED")

    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_label("Token")).to_have_value("")
    page.go_back()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert address(page) == "#/orders"


@pytest.mark.parametrize("token", ["no token at all", "expired"])
def test_a_token_that_is_not_taken_is_answered_with_the_id_that_leads_to_it_in_the_logs(stack: Stack, visits: Visits, token: str) -> None:
    if token == "expired":
        token = devkeys.token(stack.data_dir, ["admin"], "ops_1", datetime.now(UTC) - timedelta(days=1))
    visit = visits()
    page = visit.page("console")

    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()

    problem = page.get_by_role("alert")
    expect(problem).to_contain_text(re.compile(r"correlation id console-[0-9a-f]{32}"))
    visit.forgive("status of 401")
    correlation_id = problem.locator("code").last.inner_text()
    assert correlation_id in (stack.data_dir / "logs" / "gateway.log").read_text()


def test_a_text_that_no_header_can_carry_is_said_to_be_no_token_where_it_was_pasted(visits: Visits) -> None:
    page = visits().page("console")
    field = page.get_by_label("Token")
    page.route("**/api/**", lambda route: pytest.fail(f"asked {route.request.url}"))

    field.fill("“eyJhbGciOi")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_have_text("This is no token: its letter 1 (U+201C) can't stand in one.")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("^This is no token: "))
    assert barriers(page) == []


def test_where_the_board_did_not_answer_at_first_an_order_can_be_tried_as_soon_as_it_does(stack: Stack, visits: Visits) -> None:
    visit = visits()
    visit.context.route("**/api/board", lambda route: route.fulfill(status=503, json={}), times=1)

    page = signed_in(visit, token_of(stack), "/try")

    expect(page.get_by_role("heading", level=1)).to_have_text("Try it")
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link", name="Try it")).to_be_visible()
    visit.forgive("status of 503")


def test_signing_in_needs_no_mouse(stack: Stack, visits: Visits) -> None:
    page = visits().page("console")

    tab_to(page, page.get_by_label("Token"))
    page.keyboard.insert_text(token_of(stack))
    tab_to(page, page.get_by_role("button", name="Sign in"))
    page.keyboard.press("Enter")

    expect(page.get_by_text("ops_1")).to_be_visible()


def test_the_sign_in_is_readable_for_everybody(visits: Visits) -> None:
    visit = visits(viewport=PHONE)
    page = visit.page("console")
    page.get_by_label("Token").wait_for()

    assert (barriers(page), width(page)) == ([], PHONE["width"])
    page.emulate_media(color_scheme="dark")
    assert barriers(page) == []
