"""`make demo` on a stack of its own and on a running one, and `make audit`, `make why` and `make waterfall` on the stack afterwards."""

import re
import time
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from chalicelib.orders.order import OrderStatus
from infra.stack import demo
from infra.stack.runfile import holder
from tests.support.stack import Stack, local_command

pytestmark = pytest.mark.timeout(300)

OFFSET = re.compile(r"^ +\+\d+\.\d{3} s ", re.MULTILINE)


def test_a_demo_without_a_stack_shows_every_status_by_its_name_and_leaves_nothing_behind(tmp_path: Path) -> None:
    begun = time.monotonic()

    shown = local_command("demo", tmp_path / "none")

    # A minute on a quiet machine; a single story that is played with the waits of `make run` takes half an hour.
    assert (shown.returncode, time.monotonic() - begun < 120) == (0, True), shown.stdout + shown.stderr
    assert {status.value for status in OrderStatus} <= set(re.findall(r"[A-Z_]+", shown.stdout))
    for ending in ("(declined)", "(rejected)", "(refused)", "(cancelled)", "(silent)", "cancel_acceptance COMPLETED"):
        assert ending in shown.stdout
    assert len(OFFSET.findall(shown.stdout)) > 50
    assert "\x1b" not in shown.stdout
    assert "every order ended as it should" in shown.stdout
    assert "starting a stack for the demo" in shown.stderr
    assert not (tmp_path / "none").exists()
    folder = re.search(r"data in (\S+)", shown.stdout)
    assert folder and not Path(folder[1]).parent.exists()


def test_a_demo_on_a_running_stack_uses_it_and_says_what_does_not_fit_into_a_minute(stack: Stack) -> None:
    shown = local_command("demo", stack.data_dir)

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert f"orders on {stack.url}, data in {stack.data_dir}" in shown.stdout
    assert "left out: the bank stays silent, CANCELLED after 31 s" in shown.stdout
    assert "left out: nobody accepts it, TIMED_OUT after 1800 s" in shown.stdout
    assert holder(stack.data_dir) == stack.process.pid
    audited = local_command("audit", stack.data_dir)
    assert (audited.returncode, audited.stdout) == (0, "no violations: orders, sagas, outbox, history and money agree\n"), audited.stderr
    order_id = re.search(r"a whole life +\(order (\S+),", shown.stdout)
    assert order_id
    why = local_command("why", stack.data_dir, ORDER=order_id[1])
    assert why.stdout.splitlines()[0].startswith("complete_order ")
    assert why.stdout.splitlines()[1].startswith("  ended well at ")
    drawn = local_command("waterfall", stack.data_dir, ORDER=order_id[1])
    create, accept, complete = re.split(r"\n\n", drawn.stdout.strip())
    assert [each.split()[0] for each in (create, accept, complete)] == ["create_order", "accept_order", "complete_order"], drawn.stderr
    assert "POST /api/orders: " in create
    assert "answered 201" in create
    for reply in ("user.customer_validated", "payment.authorized", "escrow.held"):
        assert create.count(f"{reply}: ") >= 2, create
    unknown = local_command("waterfall", stack.data_dir, ORDER=str(UUID(int=7)))
    assert (unknown.returncode, unknown.stderr.count("there is no saga of an order 00000000-")) == (1, 1)


def test_an_order_that_does_not_end_as_it_should_fails_the_demo(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Played by another script: the declined customer is expected to be served."""
    monkeypatch.setenv("DATA_DIR", str(stack.data_dir))
    declined = next(story for story in demo.UNHAPPY if "declines" in story.title)
    wrong_end, wrong_answer = replace(declined, payment_status="RELEASED"), replace(declined, tell=lambda api: api.place("declined_1"))
    monkeypatch.setattr(demo, "UNHAPPY", (wrong_end, wrong_answer))

    assert demo.demo() == 1

    shown = capsys.readouterr().out
    assert "should have ended CANCELLED, payment RELEASED, create_order COMPENSATED declined" in shown
    assert "but ended         CANCELLED, payment FAILED, create_order COMPENSATED declined" in shown
    assert "POST /api/orders was answered 402 and not 201" in shown
    assert "2 orders did not end as they should" in shown
