"""The pictures of the console in infra/docs, taken of a running stack: `make screenshots`.

Every order on them was played on it. Only the minutes of the past hour are made up, as the stack has run for less than one.
"""

import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.browser import NoBrowserError, Visit, chromium, expect
from tests.support.console import PHONE, signed_in, token_of
from tests.support.console_scene import Scene, scene
from tests.support.stack import ROOT, Stack

FOLDER = ROOT / "infra" / "docs"
DESK = {"width": 1280, "height": 800}
MOST_BYTES = 150_000
MINUTES = 60
BELOW_THE_HEADER = "each => scrollTo(0, each.getBoundingClientRect().top - 70)"
SAMPLE = """
INSERT INTO campusg.samples (at, taken_at, orders_created, orders_completed, orders_cancelled, orders_timed_out, sagas_ended,
    steps_ended, step_p50_ms, step_p99_ms, at_least, outbox_age_seconds, dead_letters, violations, unended)
SELECT date_trunc('minute', now()) - :ago * interval '1 minute', now(), :created, :completed, 2, 0, :sagas, :steps, :p50, :p99, false,
    :age, :letters, 0, '{}'
ON CONFLICT (at) DO NOTHING
"""


def main() -> int:
    """Take all pictures; 1 where there is no browser."""
    try:
        with tempfile.TemporaryDirectory() as folder, chromium() as browser:
            stack = Stack.start(Path(folder) / "data", STEP_TIMEOUT_SECONDS=2, STEP_MAX_ATTEMPTS=2)
            try:
                with scene(stack) as things:
                    take(browser, stack, pages(things))
            finally:
                stack.stop()
    except NoBrowserError as error:
        sys.exit(f"make screenshots: {error}")
    return 0


def pages(things: Scene) -> dict[str, tuple[str, dict[str, Any]]]:
    """By the picture's name: the page's address, and how it is looked at. The orders on them are played first."""
    for ago in range(1, MINUTES):
        things.rows(SAMPLE, **minute(ago))
    for customer in ("cust_2", "cust_3", "declined_1", "cust_4"):
        things.order(customer)
    completed = things.completed()
    under_way = things.order("cust_5")
    things.accept(under_way)
    things.bring(under_way, ["COLLECTED"])
    _, suspended = things.suspended()
    things.suspended()
    things.unknown_version()
    for number in range(2):
        things.dead_letter("user-events", f"no CloudEvent {number}".encode())
    waiting = things.saga_of(things.order("silent_1", wait=0))
    return {
        # First, as it is soon waited for in vain.
        "dark": (f"/sagas/{waiting}", {"color_scheme": "dark"}),
        "board": ("/board", {}),
        "order": (f"/orders/{completed}", {}),
        "saga": (f"/sagas/{suspended}", {}),
        "dead-letters": ("/dead-letters", {}),
        "try": (f"/try/{under_way}", {}),
        "phone": (f"/sagas/{suspended}", {"viewport": PHONE}),
    }


def minute(ago: int) -> dict[str, float]:
    """A minute of a lunch time, so long ago."""
    load = 40 + 25 * math.sin(ago / 9) + 8 * math.sin(ago * 1.7)
    return {
        "ago": ago,
        "created": round(load),
        "completed": round(load * 0.9),
        "sagas": round(load * 2.9),
        "steps": round(load * 7),
        "p50": round(12 + load / 9),
        "p99": round(40 + load * 1.4 + 30 * (ago % 13 == 4)),
        "age": round(0.02 + load / 2000, 3),
        "letters": 3 if ago < 20 else 0,
    }


def take(browser: Any, stack: Stack, shown: dict[str, tuple[str, dict[str, Any]]]) -> None:
    """Take the pictures."""
    token = token_of(stack)
    for name, (place, looks) in shown.items():
        visit = Visit.begin(browser, stack.url, **{"viewport": DESK, **looks})
        page = signed_in(visit, token, place)
        expect(page.locator(".loading:visible")).to_have_count(0)
        expect(page.locator("main .card").first).to_be_visible()
        if name == "order":
            # Its life is what the picture is about; above it stand the facts.
            page.get_by_role("region", name="What has happened").evaluate(BELOW_THE_HEADER)
        picture = FOLDER / f"console-{name}.png"
        page.screenshot(path=picture, animations="disabled")
        visit.context.close()
        assert picture.stat().st_size <= MOST_BYTES, picture


if __name__ == "__main__":
    sys.exit(main())
