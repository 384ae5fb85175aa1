"""How fast, how loaded and how noisy the machine is: a fixed piece of work, timed again and again between the measurements."""

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
# Some 0.3 s on a processor of 2026.
CALIBRATION_LOOPS = 250_000


def calibrate() -> tuple[float, float]:
    """Seconds that a fixed piece of work takes (hashing, and a dictionary of strings), and how many of them it had a processor."""
    begun, cpu = time.perf_counter(), time.process_time()
    seen: dict[str, int] = {}
    digest = b""
    for number in range(CALIBRATION_LOOPS):
        digest = sha256(digest).digest()
        seen[digest[:2].hex()] = number
    return time.perf_counter() - begun, time.process_time() - cpu


def described() -> Mapping[str, str | int | float]:
    """What a figure has to be read with: processors, load, versions."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "cpu_model": _cpu_model(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_average": os.getloadavg()[0],
    }


def commit_of(checkout: Path) -> str:
    """The short hash of what is checked out, with a `+` where files differ from it; empty outside git."""
    git = ["git", "-C", str(checkout)]
    head = subprocess.run([*git, "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=False).stdout
    return f"{head}+" if head and changed.strip() else head


def cpu_seconds(*pids: int) -> float:
    """Processor time of these processes and of all below them, those that have ended and were waited for included."""
    total, left = 0, list(pids)
    while left:
        pid = left.pop()
        # A process may end while it is looked at, and each of its threads by itself.
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(FileNotFoundError, ProcessLookupError):
                    left += map(int, (task / "children").read_text().split())
    return total / TICK


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
