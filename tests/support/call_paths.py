"""The files that a call passes on its way down from `app.py`, read off the interpreter's own stack."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
APP = "orders_app/app.py"


@dataclass
class CallPaths:
    """For each watched function, given as (file, name): the distinct files of the deepest stack from `app.py` down to it."""

    deepest: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def files(self, target: tuple[str, str]) -> list[str]:
        """The files from `app.py` to the target, both included; raises KeyError where the target was never called."""
        return self.deepest[target]


@contextmanager
def watched(*targets: tuple[str, str]) -> Iterator[CallPaths]:
    """Watch, in this thread, how the targets are reached while the block runs."""
    paths = CallPaths()
    names = {name for _, name in targets}

    def look(frame: FrameType, event: str, _argument: Any) -> None:
        if event != "call" or frame.f_code.co_name not in names:
            return
        target = (_file(frame), frame.f_code.co_name)
        if target in targets:
            files = _files_down_to(frame)
            if APP in files and len(files) > len(paths.deepest.get(target, [])):
                paths.deepest[target] = files

    before: Callable[..., Any] | None = sys.getprofile()
    sys.setprofile(look)
    try:
        yield paths
    finally:
        sys.setprofile(before)


def _files_down_to(frame: FrameType) -> list[str]:
    """The project's files on the stack below the outermost frame of `app.py`, each once, from the top down."""
    files: list[str] = []
    current: FrameType | None = frame
    while current is not None:
        files.append(_file(current))
        current = current.f_back
    files.reverse()
    if APP not in files:
        return []
    below = [file for file in files[files.index(APP) :] if file.startswith(("orders_app/", "chalicelib/"))]
    return list(dict.fromkeys(below))


def _file(frame: FrameType) -> str:
    """The frame's file relative to the project; the link `orders_app/chalicelib` counts as what it points to."""
    path = Path(frame.f_code.co_filename).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
