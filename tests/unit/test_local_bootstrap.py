"""When .venv counts as complete, and what is said when it can't be made."""

import json
import sys
from pathlib import Path

import pytest

from infra.stack import bootstrap
from tests.support.wheels import locked, make_wheel


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with a file of requirements and a .venv that looks made."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# comment\none==1 \\\n    --hash=sha256:00\ntwo==2 \\\n    --hash=sha256:00\n")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    for name, value in {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "VENV_PYTHON": python,
        "STAMP": tmp_path / ".venv" / "complete.json",
        "REQUIREMENTS": requirements,
    }.items():
        monkeypatch.setattr(bootstrap, name, value)
    return tmp_path


def _stamp(**changes: str) -> None:
    content = {"python": bootstrap.this_python(), "requirements": bootstrap.fingerprint(bootstrap.REQUIREMENTS), **changes}
    bootstrap.STAMP.write_text(json.dumps(content))


def test_a_stamped_environment_is_complete(project: Path) -> None:
    _stamp()

    assert bootstrap.is_complete(explicit=False)
    assert bootstrap.is_complete(explicit=True)


def test_one_without_a_stamp_or_with_half_a_stamp_is_not(project: Path) -> None:
    assert not bootstrap.is_complete(explicit=False)
    bootstrap.STAMP.write_text('{"python": ')
    assert not bootstrap.is_complete(explicit=False)


def test_changed_requirements_make_it_incomplete(project: Path) -> None:
    _stamp()

    (project / "requirements.txt").write_text("one==2\n")

    assert not bootstrap.is_complete(explicit=False)


def test_another_python_matters_only_where_one_was_named(project: Path) -> None:
    _stamp(python="3.99")

    assert bootstrap.is_complete(explicit=False)
    assert not bootstrap.is_complete(explicit=True)


def test_one_whose_python_has_gone_is_not_complete(project: Path) -> None:
    _stamp()

    bootstrap.VENV_PYTHON.unlink()
    bootstrap.VENV_PYTHON.symlink_to(project / "gone")

    assert not bootstrap.is_complete(explicit=False)


def test_a_failed_install_shows_the_words_of_pip_and_leaves_nothing_that_counts(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _stamp(requirements="older")
    monkeypatch.delenv("PYTHON", raising=False)
    (project / "requirements.txt").write_text("not a requirement\n")

    assert bootstrap.main() == 1

    said = capsys.readouterr()
    assert "pip could not install" in said.err
    assert "Invalid requirement" in said.err
    assert said.out == ""
    assert not bootstrap.STAMP.exists()


def test_a_file_of_another_hash_than_was_locked_is_not_installed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _stamp(requirements="older")
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(project / "registry"), "PIP_TARGET": str(project / "target")}.items():
        monkeypatch.setenv(name, value)
    wheel = make_wheel(project / "registry", "one")
    (project / "requirements.txt").write_text(locked(wheel))
    make_wheel(project / "registry", "one", "import os\n")

    assert bootstrap.main() == 1

    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in capsys.readouterr().err
    assert not (project / "target").exists()


def test_a_python_without_venv_is_told_how_to_get_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert bootstrap.main() == 1

    assert "python3-venv" in capsys.readouterr().err


def test_only_pins_are_counted(project: Path) -> None:
    assert bootstrap.count_requirements(bootstrap.REQUIREMENTS) == 2


def test_what_pip_says_can_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.tell("one\x1b[2J\x9b\u202e\ntwo")
    assert capsys.readouterr().err == "one\ufffd[2J\ufffd\ufffd\ntwo\n"
