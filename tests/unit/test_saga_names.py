"""A saga and its steps are named in the saga's own file: what everybody else must know of them, the definition says."""

import ast
from pathlib import Path

from chalicelib.sagas.registry import DEFINITIONS

ROOT = Path(__file__).resolve().parents[2]
CHALICELIB = ROOT / "chalicelib"
# The registry names every saga; the audit is written without the definitions, on purpose, so that it can find them wrong.
INDEPENDENT = ("sagas/registry.py", "operations/audit/")


def names() -> dict[str, set[str]]:
    """Every name of a saga or step, and the files of the sagas that have it."""
    found: dict[str, set[str]] = {}
    for name, definition in ((name, definition) for (name, _), definition in DEFINITIONS.items()):
        for each in (name, *(step.name for step in definition.steps)):
            found.setdefault(each, set()).add(f"sagas/{name}.py")
    return found


def strings(file: Path) -> set[str]:
    """All string constants of a module."""
    tree = ast.parse(file.read_text())
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_no_saga_or_step_is_named_outside_its_own_file() -> None:
    known = names()
    strangers = []
    for file in sorted([*CHALICELIB.rglob("*.py"), *(ROOT / "infra" / "documents").rglob("*.py")]):
        path = file.relative_to(ROOT).as_posix().removeprefix("chalicelib/")
        if not path.startswith(INDEPENDENT):
            strangers += [(path, name) for name in strings(file) & known.keys() if path not in known[name]]
    assert strangers == []


def test_every_saga_is_found_in_the_file_that_bears_its_name() -> None:
    for name, files in names().items():
        assert any(name in strings(CHALICELIB / file) for file in files), name
