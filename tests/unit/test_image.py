"""The image: what its Dockerfile says, and what it leaves out."""

import re
from importlib.metadata import distribution

import pytest
from packaging.requirements import Requirement

from tests.support.image import ROOT, copied, instructions, is_left_out, required

# It is what installs the others.
OF_THE_BASE = {"pip"}


def values(word: str) -> list[str]:
    """What stands behind an instruction, each time."""
    return [rest for each, rest in instructions() if each == word]


def test_it_begins_with_the_python_that_the_service_is_written_for_in_a_pinned_version() -> None:
    [base] = values("FROM")
    oldest = re.search(r'requires-python = ">=(\d+\.\d+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest is not None
    assert re.fullmatch(rf"python:{re.escape(oldest[1])}\.\d+-slim-[a-z]+", base)


def test_it_installs_nothing_but_files_whose_hashes_were_locked() -> None:
    [install] = [command for command in values("RUN") if "pip install" in command]
    assert install.endswith("--require-hashes --requirement infra/locked/image.txt")


def test_it_does_not_run_as_root() -> None:
    assert instructions()[-1] == ("USER", "orders")
    assert "useradd --system --uid 10001" in " ".join(values("RUN"))


def test_what_it_copies_is_there_and_given_to_the_engine() -> None:
    for source, _ in copied():
        assert (ROOT / source).exists(), source
        assert not is_left_out(source), source


@pytest.mark.parametrize(
    "path",
    [
        *(".git/config", ".venv/bin/python", ".local/jwt-key.pem", ".env", "tests/conftest.py", "infra/docs/README.md"),
        *("infra/stack/__pycache__/stack.cpython-311.pyc", "chalicelib/__pycache__"),
    ],
)
def test_the_engine_is_given_nothing_else(path: str) -> None:
    assert is_left_out(path)


def test_every_package_is_pinned_though_its_own_file_names_no_version() -> None:
    pinned = {each.name.lower().replace("_", "-") for each in required(ROOT / "requirements.txt") if str(each.specifier).startswith("==")}
    waiting, seen = list(required()), set[str]()
    while waiting:
        one = waiting.pop()
        name = one.name.lower().replace("_", "-")
        if name in seen or name in OF_THE_BASE:
            continue
        seen.add(name)
        own = [Requirement(text) for text in distribution(one.name).requires or []]
        waiting += [each for each in own if each.marker is None or any(each.marker.evaluate({"extra": x}) for x in ("", *one.extras))]
    assert seen <= pinned
    assert {"chalice", "cryptography", "botocore"} <= seen
