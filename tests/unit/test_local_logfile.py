"""The logs of the parts: nothing is lost or cut when one is put aside, and together they stay small."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from infra.stack.logfile import CHUNK, LogFile
from tests.support.eventually import eventually


def written(log: LogFile, *pieces: bytes) -> None:
    """Write the pieces to a pipe of the log, as a process does, and wait until they are in the file."""
    pipe = log.open()
    for piece in pieces:
        os.write(pipe, piece)
    os.close(pipe)
    log.settle(5)


def files(log: LogFile) -> list[bytes]:
    """What is kept: the older file, if there is one, and the newer."""
    older = log.path.with_name(f"{log.path.name}.1")
    return [path.read_bytes() for path in (older, log.path) if path.exists()]


def test_a_log_that_has_grown_enough_is_put_aside_and_no_line_is_lost_or_cut(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "part.log", 1000)
    lines = [b"line %d\n" % number for number in range(180)]

    written(log, *lines)

    older, newer = files(log)
    assert older + newer == b"".join(lines)
    assert older.endswith(b"\n")
    # A line that came in two parts is finished first.
    assert 900 < len(older) <= 1000 + len(lines[-1])


def test_the_newest_and_one_older_file_are_all_that_is_kept(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "part.log", 1000)
    lines = [b"line %d\n" % number for number in range(10_000)]

    written(log, b"".join(lines))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.log", "part.log.1"]
    kept = b"".join(files(log))
    assert b"".join(lines).endswith(kept)
    assert 1000 < len(kept) <= 2000 + 2 * len(lines[-1])


def test_a_line_longer_than_a_file_may_be_stays_bounded_too(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "part.log", 1000)

    written(log, *[b"x" * 700] * 40)

    assert sum(map(len, files(log))) <= 2 * (1000 + CHUNK)


def test_processes_one_after_the_other_write_to_one_log_and_what_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "part.log").write_text("before\n")
    log = LogFile(tmp_path / "part.log")

    for word in ("first", "second"):
        pipe = log.open()
        subprocess.run(["/bin/echo", word], stdout=pipe, check=True)
        os.close(pipe)
        log.settle(5)

    assert log.path.read_text() == "before\nfirst\nsecond\n"


def test_a_reader_that_follows_the_name_goes_on_with_the_new_file(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "part.log", 1000)
    log.path.touch()
    with subprocess.Popen(["tail", "-n", "+1", "-F", "-s", "0.01", log.path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tail:
        assert tail.stdout is not None
        seen: list[bytes] = []
        reader = threading.Thread(target=seen.extend, args=(iter(tail.stdout.readline, b""),))
        reader.start()
        written(log, *(b"line %d\n" % number for number in range(180)))

        def is_followed() -> bool:
            written(log, b"after\n")
            return b"after\n" in seen

        eventually(is_followed, what="a line of the new file")
        tail.kill()
        reader.join()


def test_a_log_that_can_t_be_written_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogFile(tmp_path / "part.log")
    pipe = log.open()
    log.path.unlink()
    log.path.mkdir()

    for _ in range(10):
        os.write(pipe, b"x" * CHUNK)

    os.close(pipe)
    log.settle(5)
    assert log.path.is_dir()
