"""What calls and restarts cost on a whole stack: `python -m tests.benchmarks.restarts [calls] [kills] [lives] [--against CHECKOUT]`.

- `calls`: how long an order takes, placed with `Prefer: wait` one after the other, and the memory of the triggers.
- `kills`: how long after a SIGKILL of the triggers the first record is taken, and after one of the API a request is answered.
- `lives`: how many orders reach COMPLETED before they time out, while triggers and API are killed every three seconds, partners are late
  or lose their replies, and the machine has other work.

With `--against`, another checkout is measured in turns with this one, so that both meet the same load.
"""

import argparse
import multiprocessing
import os
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.api import AWAY, Api
from tests.support.eventually import eventually
from tests.support.hostile_partners import HostilePartners, Manners
from tests.support.stack import ROOT, Stack

ORDERS, KILL_SECONDS, ACCEPT_SECONDS = 36, 3.0, 20
MANNERS = Manners(prompt=0.2, late=(0.8, 3.0))
NEXT = {
    "READY_FOR_PICKUP": "accept",
    "ACCEPTED": "COLLECTED",
    "COLLECTED": "ON_THE_WAY",
    "ON_THE_WAY": "DELIVERED",
    "DELIVERED": "complete",
}
ENDS = ("COMPLETED", "CANCELLED", "TIMED_OUT")


def admin(stack: Stack) -> Api:
    return Api(stack.url, stack.data_dir, "adm_1", "admin")


def status_of(api: Api, order_id: str) -> str:
    return str(api.call("GET", f"/api/orders/{order_id}").json()["orderStatus"])


def calls(checkout: Path, folder: Path, number: int = 50) -> Mapping[str, float]:
    """Milliseconds of an order, and megabytes (proportional set size) of the triggers and their children, and of all parts."""
    with running(checkout, folder) as stack:
        api = admin(stack)
        for _ in range(5):
            assert api.order("cust_1", wait=10).status == 201
        taken, before = [], cpu_seconds(stack)
        for _ in range(number):
            begun = time.perf_counter()
            assert api.order("cust_1", wait=10).status == 201
            taken.append((time.perf_counter() - begun) * 1000)
        used = cpu_seconds(stack) - before
        idle = cpu_seconds(stack)
        time.sleep(2)
        return {
            "p50 ms": statistics.median(taken),
            "p90 ms": statistics.quantiles(taken, n=10)[-1],
            "CPU ms": used / number * 1000,
            "triggers MB": memory(psutil.Process(stack.pid("triggers"))),
            "stack MB": memory(psutil.Process(stack.process.pid)),
            "idle CPU %": (cpu_seconds(stack) - idle) / 2 * 100,
        }


def kills(checkout: Path, folder: Path, rounds: int = 4) -> Mapping[str, float]:
    """Seconds from a SIGKILL until the part does its work again; median and worst."""
    with running(checkout, folder) as stack:
        api = admin(stack)
        assert api.order("cust_1", wait=10).status == 201
        consumed = [_until_consumed(stack, api) for _ in range(rounds)]
        answered = [_until_answered(stack, api) for _ in range(rounds)]
    return {
        "consumes again s": statistics.median(consumed),
        "(worst)": max(consumed),
        "answers again s": statistics.median(answered),
        "(worst) ": max(answered),
    }


def lives(checkout: Path, folder: Path) -> Mapping[str, float]:
    """How many orders were completed, and how many were lost: neither completed nor timed out in the end."""
    variables = {"PARTNERS": "none", "ACCEPT_TIMEOUT_SECONDS": ACCEPT_SECONDS, "STEP_TIMEOUT_SECONDS": 1, "SWEEP_SECONDS": 1}
    with running(checkout, folder, **variables) as stack, HostilePartners(stack.run_json()["kafka"]["bootstrap"], MANNERS, seed=9), busy():
        api, ended = admin(stack), threading.Event()
        killer = threading.Thread(target=_kill_again_and_again, args=(stack, ended))
        killer.start()
        with ThreadPoolExecutor(ORDERS) as clients:
            ends = Counter(clients.map(lambda _: _live(api), range(ORDERS)))
        ended.set()
        killer.join()
    return {
        "orders": ORDERS,
        **{end: ends[end] for end in ("COMPLETED", "TIMED_OUT")},
        "others": ORDERS - ends["COMPLETED"] - ends["TIMED_OUT"],
    }


MEASURES: Mapping[str, Callable[[Path, Path], Mapping[str, float]]] = {"calls": calls, "kills": kills, "lives": lives}


@contextmanager
def running(checkout: Path, folder: Path, **variables: object) -> Iterator[Stack]:
    """A stack of a checkout."""
    stack = Stack.start(folder, checkout, **variables)
    try:
        yield stack
    finally:
        stack.stop()


@contextmanager
def busy() -> Iterator[None]:
    """A process that computes for each processor."""
    burners = [multiprocessing.get_context("spawn").Process(target=_burn, daemon=True) for _ in range(os.cpu_count() or 1)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()


def memory(process: psutil.Process) -> float:
    """Proportional set size in MB of a process and its descendants: what they share is counted once."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        with suppress(OSError):
            rollup = Path(f"/proc/{each.pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total / 1024


def cpu_seconds(stack: Stack) -> float:
    """Processor time of all parts so far."""
    supervisor = psutil.Process(stack.process.pid)
    return sum(sum(each.cpu_times()[:2]) for each in (supervisor, *supervisor.children(recursive=True)))


def _until_consumed(stack: Stack, api: Api) -> float:
    os.kill(stack.pid("triggers"), signal.SIGKILL)
    begun = time.perf_counter()
    order_id = api.order("cust_1", wait=None).json()["order"]["orderId"]
    eventually(lambda: status_of(api, order_id) != "CREATED", within=30, every=0.01)
    taken = time.perf_counter() - begun
    eventually(lambda: status_of(api, order_id) == "READY_FOR_PICKUP", within=30)
    return taken


def _until_answered(stack: Stack, api: Api) -> float:
    os.kill(stack.pid("http"), signal.SIGKILL)
    begun = time.perf_counter()
    eventually(lambda: _answers(api), within=30, every=0.01)
    taken = time.perf_counter() - begun
    assert api.order("cust_1", wait=10).status == 201
    return taken


def _answers(api: Api) -> bool:
    with suppress(*AWAY):
        return api.call("GET", "/api/orders?limit=1").status == 200
    return False


def _kill_again_and_again(stack: Stack, ended: threading.Event) -> None:
    while not ended.wait(KILL_SECONDS):
        for part in ("triggers", "http"):
            with suppress(ProcessLookupError):
                os.kill(stack.pid(part), signal.SIGKILL)


def _live(api: Api) -> str:
    """Take an order as far as it goes, asking again whenever the API is away."""
    order_id = ""
    begun = time.monotonic()
    while time.monotonic() < begun + 120:
        with suppress(*AWAY, KeyError, ValueError):
            if not order_id:
                order_id = api.order("cust_1", wait=None).json()["order"]["orderId"]
            order = api.call("GET", f"/api/orders/{order_id}").json()
            status = order["orderStatus"]
            if status in ENDS:
                return str(status)
            if order["activeSagaId"] is None and status in NEXT:
                _ask(api, order_id, NEXT[status])
        time.sleep(0.25)
    return "unfinished"


def _ask(api: Api, order_id: str, wish: str) -> None:
    path = f"/api/orders/{order_id}"
    if wish == "accept":
        api.call("POST", f"{path}/accept", {"runnerId": "runner_1"})
    elif wish == "complete":
        api.call("POST", f"{path}/complete")
    else:
        api.call("PATCH", f"{path}/status", {"status": wish})


def _burn() -> None:
    while True:
        sum(range(10_000))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures, a line a measurement."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.restarts")
    parser.add_argument("measures", nargs="*", choices=[*MEASURES, []], default=list(MEASURES))
    parser.add_argument("--against", type=Path, help="another checkout to measure in turns with this one")
    parser.add_argument("--rounds", type=int, default=1, help="how often each is measured (default: 1)")
    options = parser.parse_args(arguments)
    checkouts = [ROOT] if options.against is None else [options.against.resolve(), ROOT]
    for name in options.measures:
        for _ in range(options.rounds):
            for checkout in checkouts:
                with tempfile.TemporaryDirectory(prefix="campusg-bench-") as folder:
                    figures = MEASURES[name](checkout, Path(folder) / "stack")
                line = " ".join(f"{what}={figure:.4g}" for what, figure in figures.items())
                print(name, checkout.name, line, flush=True)  # noqa: T201 - the figures are its output


if __name__ == "__main__":
    main()
