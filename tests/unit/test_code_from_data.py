"""What runs data as code stands nowhere in the sources, and a security rule is left out only with a reason."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = [ROOT / "orders_app" / "app.py", *(ROOT / "chalicelib").rglob("*.py")]
SOURCES = [*SHIPPED, *(ROOT / "infra").rglob("*.py")]

# They build objects, or run what is in a text. Ruff's rules S know some of the calls; here the import is too much.
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "jsonpickle", "shelve", "marshal", "code", "codeop", "runpy", "imp"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.full_load",
}
# What is deployed starts no program either.
PROGRAMS = {"subprocess", "pty", "multiprocessing"}


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def offences(text: str, modules: set[str]) -> list[str]:
    """What of the modules a source imports, and which calls of it run a text."""
    tree = ast.parse(text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    shells = ["a shell" for call in calls for word in call.keywords if word.arg == "shell" and ast.unparse(word.value) != "False"]
    return sorted({*modules & set(imports(tree)), *CALLS & {ast.unparse(call.func) for call in calls}, *shells})


def test_no_source_runs_data_as_code() -> None:
    assert {str(file.relative_to(ROOT)): found for file in SOURCES if (found := offences(file.read_text(), MODULES))} == {}


def test_what_ships_starts_no_program() -> None:
    assert [str(file.relative_to(ROOT)) for file in SHIPPED if offences(file.read_text(), PROGRAMS)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import pickle", "pickle"),
        ("def late():\n    from marshal import loads", "marshal"),
        ("eval('1')", "eval"),
        ("import yaml\nyaml.load(text, yaml.Loader)", "yaml.load"),
        ("subprocess.run(line, shell=True)", "a shell"),
        ("subprocess.run(line, shell=wanted)", "a shell"),
    ],
)
def test_an_offence_is_found(text: str, found: str) -> None:
    assert offences(text, MODULES) == [found]


def test_what_only_looks_like_one_is_none() -> None:
    assert (
        offences("re.compile('a')\nyaml.safe_load(text)\nrun(line, shell=False)\nfrom .code import pickle\nsession.exec(1)", MODULES) == []
    )


def test_each_line_without_a_security_rule_says_why() -> None:
    marked = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in [*SOURCES, *(ROOT / "tests").rglob("*.py")]
        for line in file.read_text().splitlines()
        if re.search(r"# noqa(?!: )|# noqa: [\w, ]*\bS\d{3}\b(?! - \w)", line)
    ]
    assert [line for line in marked if "re.search(" not in line] == []


def test_security_rules_are_on_and_each_that_is_left_out_is_named_in_a_comment() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    ignored = [rule for rules in [lint["ignore"], *lint["per-file-ignores"].values()] for rule in rules if re.fullmatch(r"S\d*", rule)]
    comments = "\n".join(re.findall(r"^#.*$", text, re.MULTILINE))

    assert "S" in lint["select"]
    assert [rule for rule in ignored if len(rule) != len("S101") or not re.search(rf"\b{rule}\b", comments)] == []
