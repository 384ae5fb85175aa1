"""What is deployed as a file: compiled for where it will lie, the same bytes for the same content, and nothing missing."""

import importlib.util
import marshal
import os
import sys
import zipfile
from pathlib import Path

import pytest

from chalicelib.errors import SettingsError
from infra.aws import archive, chalice_project, package

TAG = sys.implementation.cache_tag
UNCHECKED_HASH = 0b01


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A package as Chalice makes one."""
    target = tmp_path / "chalice.zip"
    with zipfile.ZipFile(target, "w") as chalice:
        chalice.writestr("app.py", "from lib import one\n\nORDER = one.NUMBER\n")
        chalice.writestr("lib/__init__.py", "")
        chalice.writestr("lib/one.py", "NUMBER = 1\nKNOWN = frozenset({'a', 'b', 'c'})\n")
        chalice.writestr("lib/data.json", "{}")
        chalice.writestr("lib/__pycache__/gone.cpython-39.pyc", b"of a module that is gone")
    return target


def test_every_module_is_there_with_its_source_and_compiled(made: Path, tmp_path: Path) -> None:
    archive.seal(made, tmp_path / "out.zip")

    with zipfile.ZipFile(tmp_path / "out.zip") as sealed:
        assert sealed.namelist() == sorted(
            [
                *("app.py", "lib/__init__.py", "lib/one.py", "lib/data.json"),
                *(f"__pycache__/app.{TAG}.pyc", f"lib/__pycache__/__init__.{TAG}.pyc", f"lib/__pycache__/one.{TAG}.pyc"),
            ]
        )
        compiled = sealed.read(f"lib/__pycache__/one.{TAG}.pyc")
    assert compiled[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(compiled[4:8], "little") == UNCHECKED_HASH, "dates of files on Lambda mean nothing"
    assert marshal.loads(compiled[16:]).co_filename == "/var/task/lib/one.py"  # noqa: S302 - compiled by this test


def test_the_same_content_is_the_same_bytes_whatever_dates_modes_and_order(made: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(made) as first, zipfile.ZipFile(tmp_path / "again.zip", "w") as again:
        for name in reversed(first.namelist()):
            entry = zipfile.ZipInfo(name, (2024, 2, 29, 1, 2, 4))
            entry.external_attr = 0o100755 << 16
            again.writestr(entry, first.read(name))
    archive.seal(made, tmp_path / "one.zip")
    archive.seal(tmp_path / "again.zip", tmp_path / "two.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert package.key_of(tmp_path / "one.zip") == package.key_of(tmp_path / "two.zip")


def test_other_content_has_another_key(made: Path, tmp_path: Path) -> None:
    archive.seal(made, tmp_path / "one.zip")
    with zipfile.ZipFile(made, "a") as more:
        more.writestr("lib/two.py", "")
    archive.seal(made, tmp_path / "two.zip")

    assert package.key_of(tmp_path / "one.zip") != package.key_of(tmp_path / "two.zip")


def test_whoever_is_not_the_owner_may_read_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "secret.py").write_text("")
    os.chmod(folder / "secret.py", 0o600)  # noqa: PTH101

    archive.write(folder, tmp_path / "out.zip")

    with zipfile.ZipFile(tmp_path / "out.zip") as written:
        assert written.getinfo("secret.py").external_attr >> 16 == 0o100644


def test_a_file_that_does_not_compile_is_named(made: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(made, "a") as more:
        more.writestr("lib/broken.py", "def\n")

    with pytest.raises(archive.CompileError, match=r"lib/broken\.py"):
        archive.seal(made, tmp_path / "out.zip")


def test_a_requirement_that_chalice_left_out_is_noticed() -> None:
    requirements = "# a comment\nPyJWT[crypto]==2.15.1\nhttp-sf==1.5.0\ncffi==2.1.1\n"
    files = ["http_sf/__init__.py", "http_sf-1.5.0.dist-info/METADATA", "PyJWT-2.15.1.dist-info/METADATA", "cffi-2.0.0.dist-info/METADATA"]

    assert package.lacking(requirements, files) == ["cffi-2.1.1"]


def test_what_chalice_has_made_of_other_wheels_is_not_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chalice_project, "PROJECT", tmp_path)
    made = tmp_path / ".chalice" / "deployments" / "made.zip"
    made.parent.mkdir(parents=True)
    made.touch()

    chalice_project._keep_only_what_was_made_of("hash-3.11-x86_64")
    assert not made.exists()
    made.touch()
    chalice_project._keep_only_what_was_made_of("hash-3.11-x86_64")
    assert made.exists()
    chalice_project._keep_only_what_was_made_of("hash-3.11-arm64")
    assert not made.exists()


def test_all_that_ships_is_pinned() -> None:
    lines = (package.PROJECT / "requirements.txt").read_text().splitlines()
    named = [line for line in lines if line and not line.startswith("#")]

    assert [line for line in named if not package.PINNED.fullmatch(line)] == []
    assert not {line.partition("==")[0] for line in named} & set(package.UNWANTED)


def test_an_architecture_that_lambda_does_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCH", "sparc")

    with pytest.raises(SettingsError, match="ARCH must be one of x86_64, arm64"):
        package.main()


def test_it_says_until_when_lambda_runs_this_python() -> None:
    assert package.support("3.11") == "Lambda deprecates it on 2027-06-30; for a newer one: make package PYTHON=python3.14"
    assert package.support("3.14") == "Lambda deprecates it on 2029-06-30"
    assert "not known to run it" in package.support("3.99")
