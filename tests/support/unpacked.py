"""The package as Lambda unpacks it, from what is installed here: the project, what it requires at run time, and nothing else."""

import compileall
import os
import shutil
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "orders_app" / "requirements.txt"
# Of Chalice its packager takes these along, whatever is installed (`chalice.deploy.packager`).
CHALICE = ("__init__.py", "app.py")


def unpack(folder: Path) -> Path:
    """Make the package in a folder that isn't there yet; what is not ours is linked, not copied, where that can be."""
    folder.mkdir()
    for name in _required():
        _take(name, folder)
    _place(Path(str(distribution("chalice").locate_file("chalice"))), folder / "chalice", CHALICE)
    shutil.copy(ROOT / "orders_app" / "app.py", folder)
    shutil.copytree(ROOT / "chalicelib", folder / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder, quiet=1)
    return folder


def _required() -> list[str]:
    lines = (line.partition("#")[0].strip() for line in REQUIREMENTS.read_text().splitlines())
    return [Requirement(line).name for line in lines if line]


def _take(name: str, folder: Path) -> None:
    found = distribution(name)
    for file in found.files or ():
        # Commands lie outside.
        if ".." not in file.parts:
            _link(Path(str(file.locate())), folder / file)


def _place(source: Path, target: Path, names: tuple[str, ...]) -> None:
    for name in names:
        _link(source / name, target / name)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
