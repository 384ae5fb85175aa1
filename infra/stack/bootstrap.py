"""Makes .venv with everything in requirements.txt, each file by its hash, once; a second call takes milliseconds.

Run by whatever Python the machine has, with nothing installed: only the standard library is used, and nothing of this package. Progress and
errors go to stderr, because `make -s token` promises that stdout has the token alone.
"""

import sys

# Before anything below is run, so that an old Python gets as far as this message.
if sys.version_info < (3, 11):  # noqa: UP036 - this script is what finds out
    sys.exit(
        f"Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}; name another one: make … PYTHON=/path/to/python3.12"
    )

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "complete.json"
# The versions of requirements.txt with the hashes of their files, as `make lock` wrote them down.
REQUIREMENTS = ROOT / "infra" / "locked" / "development.txt"
TELL_EVERY_SECONDS = 2.0


class BootstrapError(Exception):
    """The environment can't be made; the message says why."""


def main() -> int:
    """Make the environment if it isn't there or isn't that of the requirements; return the exit code."""
    explicit = bool(os.environ.get("PYTHON"))
    if is_complete(explicit):
        return 0
    try:
        with _project_locked() as lock:
            if not is_complete(explicit):
                _make(explicit, lock)
    except (BootstrapError, PermissionError) as error:
        tell(f"{VENV} can't be made: {error}")
        return 1
    except KeyboardInterrupt:
        tell(f"{VENV} is not complete; the next call makes it anew")
        return 130
    return 0


def is_complete(explicit: bool) -> bool:
    """Whether .venv has what the requirements name; where a Python was named (`explicit`), it must be of that version."""
    stamp = _read_stamp()
    if stamp is None or stamp.get("requirements") != fingerprint(REQUIREMENTS) or not VENV_PYTHON.exists():
        return False
    return not explicit or stamp.get("python") == this_python()


def fingerprint(file: Path) -> str:
    """A hash of the file's content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def this_python() -> str:
    """The version of Python that decides which packages fit, such as 3.11."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def count_requirements(file: Path) -> int:
    """How many packages the file pins."""
    return sum("==" in line for line in file.read_text().splitlines() if not line.startswith("#"))


def tell(text: str) -> None:
    """Print to stderr, without what steers a terminal: pip repeats what packages say of themselves."""
    print("".join(each if each.isprintable() or each == "\n" else "\ufffd" for each in text), file=sys.stderr, flush=True)


def _read_stamp() -> dict[str, str] | None:
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


@contextlib.contextmanager
def _project_locked() -> Iterator[int]:
    # The project's folder itself is locked: a lock file would be left behind, and one in .venv would be deleted with it.
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting for another process that is making {VENV}")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _make(explicit: bool, lock: int) -> None:
    stamp = _read_stamp()
    was_complete = stamp is not None and VENV_PYTHON.exists() and (not explicit or stamp.get("python") == this_python())
    # From here to the last line nothing counts as complete; what an interrupted call left is thrown away by the next one.
    STAMP.unlink(missing_ok=True)
    if not was_complete:
        _make_empty()
    _install(lock)
    version = _venv_version()
    unfinished = STAMP.with_suffix(".new")
    unfinished.write_text(json.dumps({"python": version, "requirements": fingerprint(REQUIREMENTS)}))
    unfinished.replace(STAMP)
    tell(f"{VENV} is complete")


def _make_empty() -> None:
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        raise BootstrapError(
            f"{sys.executable} comes without venv; install it (Debian, Ubuntu: apt install python3-venv)"
            " or name another Python: make … PYTHON=/path/to/python3"
        )
    tell(f"making {VENV} with Python {this_python()} ({sys.executable}), once; this takes a minute or so")
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    shutil.rmtree(VENV, ignore_errors=True)
    result = subprocess.run([sys.executable, "-I", "-m", "venv", str(VENV)], text=True, capture_output=True, check=False)
    if result.returncode != 0:
        raise BootstrapError(f"python -m venv failed:\n{result.stdout}{result.stderr}".rstrip())


def _install(lock: int) -> None:
    """Run pip, telling now and then how far it is; raises BootstrapError with its output if it fails.

    pip inherits the lock: should this process be killed, the next one waits until pip has ended, too.
    """
    options = ["--disable-pip-version-check", "--no-input", "--progress-bar=off", "--require-hashes", "--requirement", str(REQUIREMENTS)]
    process = subprocess.Popen(
        [str(VENV_PYTHON), "-I", "-m", "pip", "install", *options],
        # A user's setting for installs outside of environments would make pip refuse.
        env={**os.environ, "PIP_USER": "0"},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[lock],
    )
    try:
        output = _follow(process, count_requirements(REQUIREMENTS))
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
    if process.returncode != 0:
        raise BootstrapError(f"pip could not install {REQUIREMENTS.relative_to(ROOT)}:\n{output.rstrip()}")


def _follow(process: "subprocess.Popen[bytes]", wanted: int) -> str:
    if process.stdout is None:
        raise BootstrapError("pip has no output to follow")
    begun = told = time.monotonic()
    output = b""
    while True:
        if select.select([process.stdout], [], [], TELL_EVERY_SECONDS)[0]:
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                return output.decode(errors="replace")
            output += chunk
        if time.monotonic() - told >= TELL_EVERY_SECONDS:
            told = time.monotonic()
            tell(f"  {_stage(output, wanted)}, {told - begun:.0f} s")


def _stage(output: bytes, wanted: int) -> str:
    found = output.count(b"Collecting ") + output.count(b"Requirement already satisfied: ")
    if b"Installing collected packages" in output:
        return f"installing {found} packages"
    return f"fetching packages: {found}, {wanted} or more in all"


def _venv_version() -> str:
    command = [str(VENV_PYTHON), "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
