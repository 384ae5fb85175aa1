"""What ships, fetched as wheels for Lambda: none but files whose hash stands in infra/locked/functions.txt."""

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKED = ROOT / "infra" / "locked" / "functions.txt"
KEPT = ROOT / ".tools" / "wheels"
# The oldest glibc that wheels are made for, and that of Lambda: Amazon Linux 2023, or 2 below the older Pythons.
OLDEST_GLIBC, GLIBC = (2, 17), (2, 34)
OLDER = {"3.11": (2, 26)}
# Lambda's word for an architecture, and that of Linux.
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}


class WheelError(Exception):
    """A wheel can't be had, or is another file than the one that was locked; the message says why."""


def fetch(architecture: str, locked: Path = LOCKED, kept: Path = KEPT) -> Path:
    """The folder with the wheels of an architecture of Lambda, and of this machine where that needs others; raises WheelError.

    They are kept for the next time, and are looked at each time: whatever they were when they came, only files that are locked are used.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    newest = OLDER.get(version, GLIBC)
    folder = kept / f"{hashlib.sha256(locked.read_bytes()).hexdigest()[:16]}-{version}-{architecture}"
    if not folder.exists():
        with _made(folder) as made:
            _download(locked, made, *platforms(architecture, newest), "--implementation=cp", f"--abi=cp{version.replace('.', '')}")
            # Chalice has this machine's pip find out what is needed.
            if not runs_wheels_of(architecture, newest):
                _download(locked, made)
    astray = unlocked(locked, folder)
    if astray:
        raise WheelError(f"{', '.join(astray)} in {folder}: not a file that {locked.name} knows; delete the folder to fetch it anew")
    return folder


def unlocked(locked: Path, folder: Path) -> list[str]:
    """The files of the folder whose hash is not among those that are locked."""
    known = set(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", locked.read_text(encoding="utf-8")))
    return sorted(file.name for file in folder.iterdir() if hashlib.sha256(file.read_bytes()).hexdigest() not in known)


def platforms(architecture: str, newest: tuple[int, int]) -> list[str]:
    """pip's options for Lambda with this glibc: pip takes a platform literally, so each older one is named, too."""
    machine = MACHINES[architecture]
    minors = range(OLDEST_GLIBC[1], newest[1] + 1)
    return [f"--platform={tag}_{machine}" for tag in (*(f"manylinux_2_{minor}" for minor in minors), "manylinux2014")]


def runs_wheels_of(architecture: str, newest: tuple[int, int]) -> bool:
    """Whether this machine runs whatever Lambda with this glibc does."""
    library, version = platform.libc_ver()
    if library != "glibc" or platform.machine() != MACHINES[architecture]:
        return False
    return tuple(int(number) for number in version.split(".")[:2]) >= newest


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A folder to fill, which is put in its place when all went well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        yield made
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _download(locked: Path, folder: Path, *options: str) -> None:
    # Everything that is needed is locked, so pip need not look at what a wheel requires.
    fixed = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--only-binary=:all:"]
    command = [sys.executable, "-I", "-m", "pip", "download", *fixed, *options, f"--requirement={locked}", f"--dest={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WheelError(f"pip could not fetch what {locked.name} names:\n{done.stderr.rstrip()}")
