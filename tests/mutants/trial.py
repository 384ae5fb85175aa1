"""Faults tried in a copy of the project, one after the other."""

import compileall
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

from tests.mutants.mutant import ROOT, Mutant

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".tools", ".build", ".local", ".hypothesis", "*_cache", "deployments")
LINKED = (".venv", ".tools")
PATIENCE_SECONDS = 600
TESTS_FAILED = 1
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?)(?:\[.*)?(?: - .*)?$", re.MULTILINE)


class TrialError(Exception):
    """The tests can't tell anything: they fail without any fault, or could not be run. The message says which."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: `caught_by` is the first test that failed, None where all passed."""

    mutant: Mutant
    caught_by: str | None


class Copy:
    """A copy of the project in a folder that isn't there yet. Nothing outside of it is changed."""

    def __init__(self, folder: Path) -> None:
        """Copy and compile the project; it takes seconds."""
        self.folder = folder
        shutil.copytree(ROOT, folder, symlinks=True, ignore=LEFT_OUT)
        for name in LINKED:
            if (ROOT / name).exists():
                (folder / name).unlink(missing_ok=True)
                (folder / name).symlink_to((ROOT / name).resolve())
        for name in ("chalicelib", "infra", "orders_app", "tests"):
            compileall.compile_dir(folder / name, quiet=2)

    def check(self, mutants: Iterable[Mutant]) -> None:
        """Run without any fault what the mutants name; raises TrialError if a test fails."""
        named = sorted({test for mutant in mutants for test in mutant.tests})
        done = self._run(named)
        if done.returncode:
            raise TrialError(f"tests fail without any fault:\n{done.stdout[-4000:]}")

    def judge(self, mutant: Mutant) -> Verdict:
        """Put the fault in, run its tests up to the first that fails, and take it out again; raises TrialError, ValueError."""
        file = self.folder / mutant.file
        sound = file.read_text(encoding="utf-8")
        file.write_text(mutant.applied(sound), encoding="utf-8")
        # Python takes a compiled file for that of a source of the same size and second.
        Path(cache_from_source(str(file))).unlink(missing_ok=True)
        try:
            done = self._run(mutant.tests)
        except subprocess.TimeoutExpired:
            return Verdict(mutant, "none: they did not end")
        finally:
            file.write_text(sound, encoding="utf-8")
        if done.returncode not in (0, TESTS_FAILED):
            raise TrialError(f"{mutant.name}: pytest ended with {done.returncode}:\n{done.stdout[-4000:]}")
        first = FAILED.search(done.stdout)
        if done.returncode and first is None:
            raise TrialError(f"{mutant.name}: no test is named as failed:\n{done.stdout[-4000:]}")
        return Verdict(mutant, first[1].removeprefix("tests/") if first else None)

    def _run(self, tests: Iterable[str]) -> "subprocess.CompletedProcess[str]":
        options = ["-q", "-x", "--numprocesses=0", "-p", "no:cacheprovider", "--tb=no"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=self.folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
