"""What ships comes from files whose hashes were locked, and from nothing else."""

import platform
from pathlib import Path

import pytest

from infra.aws import wheels
from tests.support.wheels import locked, make_wheel

MACHINE = platform.machine()
ARCHITECTURE = next(name for name, machine in wheels.MACHINES.items() if machine == MACHINE)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip finds packages."""
    folder = tmp_path / "registry"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    return folder


@pytest.fixture
def lock(tmp_path: Path, registry: Path) -> Path:
    file = tmp_path / "locked.txt"
    file.write_text(locked(make_wheel(registry, "one"), make_wheel(registry, "two")))
    return file


def test_what_is_locked_is_fetched_once_and_kept(lock: Path, registry: Path, tmp_path: Path) -> None:
    folder = wheels.fetch(ARCHITECTURE, lock, tmp_path / "kept")
    for file in registry.iterdir():
        file.unlink()

    assert sorted(file.name for file in folder.iterdir()) == ["one-1-py3-none-any.whl", "two-1-py3-none-any.whl"]
    assert wheels.fetch(ARCHITECTURE, lock, tmp_path / "kept") == folder


def test_another_file_of_the_same_name_and_version_is_refused_and_nothing_is_kept(lock: Path, registry: Path, tmp_path: Path) -> None:
    make_wheel(registry, "two", "import os\n")

    with pytest.raises(wheels.WheelError, match="Expected sha256"):
        wheels.fetch(ARCHITECTURE, lock, tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_file_that_was_changed_while_it_was_kept_is_named(lock: Path, tmp_path: Path) -> None:
    folder = wheels.fetch(ARCHITECTURE, lock, tmp_path / "kept")
    make_wheel(folder, "two", "import os\n")

    with pytest.raises(wheels.WheelError, match=r"^two-1-py3-none-any\.whl in .*: not a file that locked\.txt knows"):
        wheels.fetch(ARCHITECTURE, lock, tmp_path / "kept")


def test_what_is_not_locked_with_a_hash_is_not_fetched(registry: Path, tmp_path: Path) -> None:
    make_wheel(registry, "one")
    (tmp_path / "locked.txt").write_text("one==1\n")

    with pytest.raises(wheels.WheelError, match="Hashes are required"):
        wheels.fetch(ARCHITECTURE, tmp_path / "locked.txt", tmp_path / "kept")


def test_pip_is_told_every_platform_that_lambda_runs() -> None:
    told = wheels.platforms("arm64", (2, 26))

    assert told[0] == "--platform=manylinux_2_17_aarch64"
    assert told[-2:] == ["--platform=manylinux_2_26_aarch64", "--platform=manylinux2014_aarch64"]


@pytest.mark.parametrize(
    ("library", "machine", "runs"),
    [
        (("glibc", "2.26"), "x86_64", True),
        (("glibc", "2.9"), "x86_64", False),
        (("glibc", "2.41"), "aarch64", False),
        (("", ""), "x86_64", False),
    ],
)
def test_one_wheel_serves_both_where_this_machine_is_like_lambda(
    monkeypatch: pytest.MonkeyPatch, library: tuple[str, str], machine: str, runs: bool
) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    monkeypatch.setattr(platform, "machine", lambda: machine)

    assert wheels.runs_wheels_of("x86_64", (2, 26)) == runs
