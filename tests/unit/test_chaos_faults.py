"""The faults of a chaos run follow from its seed, are bounded in time, and are undone at its end."""

import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random

import psutil
import pytest

from tests.chaos import deployed
from tests.chaos.faults import CATALOGUE, CUT, FREEZE, KILL, PACE, RESET, Fault, Proxied, Saboteur, plan
from tests.support.eventually import eventually


@pytest.fixture
def process() -> Iterator[psutil.Process]:
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield psutil.Process(started.pid)
    started.kill()
    started.wait()


def saboteur(process: psutil.Process | None, *faults: Fault, proxy: Proxied | None = None, killed: list[str] | None = None) -> Saboteur:
    told = killed if killed is not None else []
    proxies = {"kafka": proxy} if proxy else {}
    return Saboteur(faults, lambda _: process.pid if process else None, proxies, told.append, Random(1))


def test_a_seed_decides_what_happens_when() -> None:
    assert plan(1, 60) == plan(1, 60)
    assert plan(1, 60) != plan(2, 60)


@pytest.mark.parametrize("seconds", [5, 60, 600])
def test_every_fault_is_over_before_the_run_is(seconds: float) -> None:
    faults = plan(3, seconds)
    times = [fault.at for fault in faults]

    assert all(fault.at > 0 and fault.at + fault.seconds < seconds for fault in faults)
    assert all(fault.seconds <= PACE.lasts[1] for fault in faults)
    assert all(fault.seconds > 0 for fault in faults if fault.kind in (FREEZE, CUT))
    assert times == sorted(times)


def test_each_fault_comes_once_before_any_comes_again() -> None:
    kinds = [(fault.kind, fault.target) for fault in plan(4, 600)]
    number = sum(map(len, CATALOGUE.values()))

    assert len(set(kinds[:number])) == number
    assert len(kinds) > 3 * number


def test_the_emulated_aws_is_seldom_killed_as_everything_else_waits_for_it_meanwhile() -> None:
    for seed in range(20):
        faults = [(fault.kind, fault.target) for fault in plan(seed, 300, deployed.CATALOGUE, deployed.PACE)]

        assert faults.count((KILL, "http")) <= 2
        assert len(faults) > 40
        assert {kind for kind, _ in faults} == {KILL, FREEZE, CUT, RESET}


def test_what_is_killed_is_told(process: psutil.Process) -> None:
    killed: list[str] = []
    at_work = saboteur(process, Fault(0, KILL, "triggers"), killed=killed)
    at_work.start()

    eventually(lambda: process.status() == psutil.STATUS_ZOMBIE, what="its end")
    at_work.stop()

    assert killed == ["triggers"]
    assert at_work.made == {(KILL, "triggers"): 1}


def test_what_is_frozen_goes_on_after_its_time(process: psutil.Process) -> None:
    at_work = saboteur(process, Fault(0, FREEZE, "http", 1), Fault(10, FREEZE, "http", 1))
    at_work.start()

    eventually(lambda: process.status() == psutil.STATUS_STOPPED, what="its standstill")
    eventually(lambda: process.status() != psutil.STATUS_STOPPED, what="its going on")
    at_work.stop()


def test_the_end_undoes_what_still_lasts(process: psutil.Process) -> None:
    done: list[str] = []
    proxy = Proxied(lambda: done.append("stall"), lambda: done.append("release"), lambda: done.append("reset"))
    at_work = saboteur(process, Fault(0, FREEZE, "http", 60), Fault(0, CUT, "kafka", 60), Fault(60, KILL, "http"), proxy=proxy)
    at_work.start()
    eventually(lambda: done == ["stall"], what="the cut")

    begun = time.monotonic()
    at_work.stop()

    assert time.monotonic() - begun < 10
    assert done == ["stall", "release"]
    eventually(lambda: process.status() != psutil.STATUS_STOPPED, what="its going on")


def test_what_is_not_there_is_no_fault() -> None:
    at_work = saboteur(None, Fault(0, KILL, "kafka"), Fault(0.05, FREEZE, "kafka", 1))
    at_work.start()
    time.sleep(0.2)
    at_work.stop()

    assert at_work.made == {}
