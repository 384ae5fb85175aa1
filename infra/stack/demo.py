"""`make demo`: an order's whole life as a timeline, and one order of each unhappy kind, on a running stack or on one of its own."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.settings import SharedSettings
from infra.console import Line, Styled, complain, plain, say
from infra.stack.keeper import ROOT
from infra.stack.logfile import LogFile
from infra.stack.process import ServerCommand, ServerProcess, last_lines
from infra.stack.runfile import holder
from infra.stack.running import NotRunningError, run_info, stack_variables, telling
from infra.stack.settings import data_dir
from infra.stack.stories import LIFE, SILENT, TIMED_OUT, UNHAPPY, Api, Story, StoryError
from infra.stack.timeline import timeline

DEADLINE_SECONDS = 52.0
START_PATIENCE_SECONDS = 40.0
# What may be waited for while the other orders are played.
LONGEST_STORY_SECONDS = 20.0
# A stack for the demo alone has short waits, so that a step and an order time out into it.
OWN_SETTINGS = {"STEP_TIMEOUT_SECONDS": "0.5", "STEP_MAX_ATTEMPTS": "4", "ACCEPT_TIMEOUT_SECONDS": "10", "SWEEP_SECONDS": "0.5"}
NOT_FOR_ITS_OWN = ("DATA_DIR", "HTTP_PORT", "DATABASE_URL", "KAFKA_BROKERS", "PARTNERS")


@dataclass(frozen=True)
class Place:
    """Where the demo is played."""

    url: str
    data_dir: Path
    variables: Mapping[str, str]


def demo() -> int:
    """Play all stories and print each as a timeline; return 0 if every one ended as it must, within a minute."""
    begun = time.monotonic()
    try:
        with _place() as place:
            say(f"orders on {place.url}, data in {place.data_dir}")
            failed = _play(place, begun + DEADLINE_SECONDS)
    except NotRunningError as error:
        complain(*f"make demo: {error}".split("\n"))
        return 1
    seconds = time.monotonic() - begun
    say(f"{failed} orders did not end as they should, {seconds:.0f} s" if failed else f"every order ended as it should, {seconds:.0f} s")
    return 1 if failed else 0


def drawn(api: Api, story: Story, order_id: str) -> list[Line]:
    """The timeline of a story that was played; raises StoryError if it hasn't ended as it must."""
    order, history = api.order(order_id), api.history(order_id)
    ids = dict.fromkeys(entry["sagaId"] for entry in history if entry["sagaId"])
    sagas = [api.saga(saga_id) for saga_id in ids]
    heading = (Styled(story.title, "title"), f"  (order {order_id}, {order['currency']} {order['total']})")
    lines = [heading, *timeline(history, sagas)]
    found = (order["orderStatus"], order["paymentStatus"], tuple(_ending(saga) for saga in sagas))
    wanted = (story.order_status, story.payment_status, story.sagas)
    if found != wanted:
        endings = (f"  should have ended {_shown(wanted)}", f"  but ended         {_shown(found)}")
        raise StoryError(*(plain(line) for line in lines), *endings)
    return lines


def _play(place: Place, deadline: float) -> int:
    """Play the stories, the slow ones beside the others; return how many failed."""
    api = Api(place.url, place.data_dir, deadline)
    slow, left_out = _slow_stories(place.variables)
    failed = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        waiting = [(story, pool.submit(story.tell, api)) for story in slow]
        try:
            for story in (LIFE, *UNHAPPY):
                failed += not _tell(api, story, None)
            for story, played in waiting:
                failed += not _tell(api, story, played)
        finally:
            # Or the pool would wait for the slow ones also where somebody has pressed Ctrl-C.
            api.give_up()
    for sentence in left_out:
        say(f"left out: {sentence}")
    return failed


def _tell(api: Api, story: Story, played: Future[str] | None) -> bool:
    try:
        with telling(story.title):
            order_id = played.result() if played else story.tell(api)
            lines = drawn(api, story, order_id)
    except StoryError as error:
        say((Styled(story.title, "title"), ": ", Styled("did not go as it should", "bad")), *error.args, "")
        return False
    say(*lines, "")
    return True


def _slow_stories(variables: Mapping[str, str]) -> tuple[Sequence[Story], Sequence[str]]:
    """Those that fit into the minute by the stack's settings, and a sentence for each that doesn't."""
    settings = SharedSettings.read(variables)
    unanswered = settings.step_timeout_seconds * (2.0 ** min(settings.step_max_attempts, 30) - 1)
    candidates = {SILENT: unanswered, TIMED_OUT: settings.accept_timeout_seconds}
    left_out = [
        f"{story.title}, {story.order_status} after {seconds:.0f} s by this stack's settings"
        for story, seconds in candidates.items()
        if seconds > LONGEST_STORY_SECONDS
    ]
    return [story for story, seconds in candidates.items() if seconds <= LONGEST_STORY_SECONDS], left_out


@contextmanager
def _place() -> Iterator[Place]:
    folder = data_dir()
    if holder(folder) is not None:
        yield Place(run_info(folder)["http"]["url"], folder, stack_variables(folder))
        return
    with tempfile.TemporaryDirectory(prefix="campusg-demo-") as name, _own_stack(Path(name)) as place:
        yield place


@contextmanager
def _own_stack(folder: Path) -> Iterator[Place]:
    own = folder / "data"
    given = {key: value for key, value in os.environ.items() if key not in NOT_FOR_ITS_OWN}
    environment = {**OWN_SETTINGS, **given, "DATA_DIR": str(own), "PARTNERS": "simulated"}
    command = ServerCommand(
        arguments=[sys.executable, "-m", "infra.stack", "run"],
        environment=environment,
        # In good order also when this process is killed: the stack has servers of its own to end.
        death_signal=signal.SIGTERM,
        directory=ROOT,
    )
    # By default the signal would end this process without ending the stack and removing its folder.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    log = LogFile(folder / "run.log")
    process = ServerProcess(command, log)
    try:
        with telling("starting a stack for the demo"):
            info = _at_work(process, own, log)
        yield Place(info["http"]["url"], own, stack_variables(own))
    finally:
        with telling("ending the stack"):
            process.stop()
        signal.signal(signal.SIGTERM, before)


def _at_work(process: ServerProcess, folder: Path, log: LogFile) -> Mapping[str, Any]:
    deadline = time.monotonic() + START_PATIENCE_SECONDS
    while process.exit_code is None and time.monotonic() < deadline:
        try:
            return run_info(folder)
        except NotRunningError:
            time.sleep(0.05)
    raise NotRunningError(f"a stack for the demo did not start:\n{last_lines(log)}")


def _ending(saga: Mapping[str, Any]) -> str:
    error = f" {saga['error']['code']}" if saga["error"] else ""
    return f"{saga['name']} {saga['status']}{error}"


def _shown(ending: tuple[str, str, tuple[str, ...]]) -> str:
    order_status, payment_status, sagas = ending
    return f"{order_status}, payment {payment_status}, {', '.join(sagas)}"
