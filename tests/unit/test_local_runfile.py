"""What a stack leaves in DATA_DIR for others."""

import json
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from infra.stack.runfile import RunInfo, StackLockedError, holder, publish, stack_lock, withdraw

INFO = RunInfo("http://127.0.0.1:8000", 1, 2, 3, "127.0.0.1:9092", 4, "postgresql+pg8000://u:p@127.0.0.1:5432/orders", 5)


def test_run_json_has_the_published_form(tmp_path: Path) -> None:
    publish(tmp_path, INFO, {})

    assert json.loads((tmp_path / "run.json").read_text()) == {
        "http": {"url": "http://127.0.0.1:8000", "pid": 1},
        "triggers": {"pid": 2},
        "partners": {"pid": 3},
        "kafka": {"bootstrap": "127.0.0.1:9092", "pid": 4},
        "postgres": {"url": "postgresql+pg8000://u:p@127.0.0.1:5432/orders", "pid": 5},
    }
    assert stat.S_IMODE((tmp_path / "run.json").stat().st_mode) == 0o600


def test_parts_that_were_not_started_here_have_no_pid(tmp_path: Path) -> None:
    content = json.loads(replace(INFO, partners_pid=None, kafka_pid=None, postgres_pid=None).to_json())

    assert content["partners"] is None
    assert content["kafka"]["pid"] is None
    assert content["postgres"]["pid"] is None


def test_writing_again_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    publish(tmp_path, INFO, {})
    first = (tmp_path / "run.json").stat().st_ino

    publish(tmp_path, replace(INFO, http_pid=9), {})

    assert (tmp_path / "run.json").stat().st_ino != first
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run.json", "stack.env"]
    withdraw(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_shell_reads_back_the_variables_as_they_were(tmp_path: Path) -> None:
    publish(tmp_path, INFO, {"DATABASE_URL": "it's $HOME; a `b`"})

    shown = subprocess.run(["sh", "-c", '. "$0"; printenv DATABASE_URL', str(tmp_path / "stack.env")], text=True, capture_output=True)

    assert shown.stdout == "it's $HOME; a `b`\n"


def test_a_held_lock_names_its_holder_and_refuses_a_second(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with stack_lock(tmp_path):
        assert holder(tmp_path) == os.getpid()
        with pytest.raises(StackLockedError, match=f"{tmp_path}.*{os.getpid()}"), stack_lock(tmp_path):
            pass
    assert holder(tmp_path) is None


def test_a_server_that_outlives_its_supervisor_keeps_the_next_stack_out(tmp_path: Path) -> None:
    with stack_lock(tmp_path) as lock:
        inherited = lock.lock_parts(patience=0)
        survivor = subprocess.Popen(["sleep", "60"], pass_fds=[inherited])
        os.close(inherited)
        try:
            with pytest.raises(StackLockedError, match="earlier stack"):
                lock.lock_parts(patience=0)
        finally:
            survivor.kill()
            survivor.wait()
        os.close(lock.lock_parts(patience=1))
