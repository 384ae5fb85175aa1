"""The emulator's package: built, and installed into an environment that has nothing but what the package says it needs."""

import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "infra" / "esm"

_BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<name>[\w.]+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the package, and the links to what an extra of it requires."""

    folder: Path
    extra: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def command(self) -> Path:
        """The package's command."""
        return self.folder / "bin" / "kafka-event-source-mapping"


def build_wheel(folder: Path) -> Path:
    """The package's wheel, made in a folder from its source distribution, as `python -m build` does it."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)], cwd=SOURCE, check=True, timeout=60)
    [source] = folder.glob("*.tar.gz")
    _pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(folder), str(source))
    [wheel] = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path, extra: str) -> Environment:
    """An environment with the wheel. What it requires is not fetched but linked from the environment that runs the tests.

    What an extra requires stands apart, to be put on the path.
    """
    venv.create(folder, symlinks=True, with_pip=False)
    made = Environment(folder, folder / "extra")
    _pip("--python", str(made.python), "install", "--no-deps", "--no-index", "--no-compile", str(wheel))
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    [metadata] = site.glob("*.dist-info/METADATA")
    required = re.findall(r"^Requires-Dist: (.*)$", metadata.read_text(), re.MULTILINE)
    link(_applying(required), site)
    made.extra.mkdir()
    link([each for each in _applying(required, extra) if each.marker is not None], made.extra)
    return made


def blocks(document: Path) -> Iterator[tuple[str, str | None, str]]:
    """The language, the name and the text of each block of code."""
    for block in _BLOCK.finditer(document.read_text()):
        yield block["language"], block["name"], block["text"]


def link(requirements: list[Requirement], folder: Path) -> None:
    """Link what these require, and what that requires, from the environment that runs the tests into a folder of packages."""
    for entry in sorted({entry for requirement in requirements for entry in _entries(requirement, set())}):
        (folder / entry).symlink_to(Path(sysconfig.get_path("purelib")) / entry)


def _applying(requirements: list[str], extra: str = "") -> list[Requirement]:
    read = [Requirement(text) for text in requirements]
    return [each for each in read if each.marker is None or each.marker.evaluate({"extra": extra})]


def _entries(requirement: Requirement, seen: set[str]) -> set[str]:
    """What a requirement and its own ones have in the folder of packages."""
    if requirement.name in seen:
        return set()
    seen.add(requirement.name)
    found = distribution(requirement.name)
    assert requirement.specifier.contains(found.version), f"{requirement} is not what is installed: {found.version}"
    own = {path.parts[0] for path in found.files or () if path.parts[0] not in ("..", "__pycache__")}
    return own.union(*(_entries(each, seen) for each in _applying(found.requires or [])))


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments], check=True, timeout=60)
