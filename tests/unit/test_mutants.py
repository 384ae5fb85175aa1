"""The planted faults can be planted, and those that are tried are noticed; `make mutants` tries all of them."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants import __main__ as command
from tests.mutants.mutant import ROOT, Mutant, read_mutants
from tests.mutants.trial import Copy, TrialError, Verdict

MUTANTS = {each.name: each for each in read_mutants()}
DOCUMENT = ROOT / "infra" / "docs" / "testing.md"
# One of each: sagas, emulator, edge. Their tests take a second or two.
SAMPLE = ("one_copy_too_many", "committed_past_what_waits", "token_for_another_service_believed")

HARMLESS = Mutant(
    name="harmless",
    breaks="nothing",
    file="chalicelib/orders/pricing.py",
    before='"""Add up the items, exactly, in cents."""',
    after='"""Add up the items."""',
    tests=("tests/unit/test_pricing.py",),
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("mutants") / "project")


def test_there_are_many_and_each_has_a_name_and_says_what_it_breaks() -> None:
    assert len(MUTANTS) == len(read_mutants()) >= 40
    assert all(re.fullmatch(r"[a-z_]+", each.name) and each.breaks for each in MUTANTS.values())


@pytest.mark.parametrize("name", MUTANTS)
def test_its_text_stands_once_and_the_file_still_compiles_with_the_fault(name: str) -> None:
    mutant = MUTANTS[name]
    source = (ROOT / mutant.file).read_text()

    assert mutant.applied(source) != source
    compile(mutant.applied(source), mutant.file, "exec")


@pytest.mark.parametrize("name", MUTANTS)
def test_the_tests_that_should_notice_it_are_there(name: str) -> None:
    assert MUTANTS[name].tests
    for test in MUTANTS[name].tests:
        file, _, function = test.partition("[")[0].partition("::")
        assert f"def {function}" in (ROOT / file).read_text()


def test_a_text_that_stands_there_twice_or_no_longer_is_told() -> None:
    with pytest.raises(ValueError, match=r"^harmless: its text stands 0 times in chalicelib/orders/pricing\.py$"):
        HARMLESS.applied("")
    with pytest.raises(ValueError, match="2 times"):
        HARMLESS.applied(HARMLESS.before * 2)


@pytest.mark.parametrize("name", SAMPLE)
def test_it_is_noticed(copy: Copy, name: str) -> None:
    mutant = MUTANTS[name]
    checkout = (ROOT / mutant.file).read_text()
    caught_by = copy.judge(mutant).caught_by

    assert caught_by is not None
    assert f"tests/{caught_by.partition('::')[0]}" in mutant.tests
    assert (copy.folder / mutant.file).read_text() == (ROOT / mutant.file).read_text() == checkout


def test_what_no_test_notices_has_survived_and_tests_that_fail_anyway_tell_nothing(copy: Copy) -> None:
    assert copy.judge(HARMLESS) == Verdict(HARMLESS, None)
    (copy.folder / "tests" / "unit" / "test_always_red.py").write_text("def test_it():\n    assert False\n")
    with pytest.raises(TrialError, match=r"fail without any fault:[\s\S]*test_always_red"):
        copy.check([Mutant("red", "", "", "", "", ("tests/unit/test_always_red.py",))])


def test_the_command_fails_where_one_survived(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Judge:
        def __init__(self, folder: Path) -> None: ...
        def check(self, mutants: object) -> None: ...
        def judge(self, mutant: Mutant) -> Verdict:
            return Verdict(mutant, None if mutant.name == "own_order_accepted" else "unit/test_a.py::test_it")

    monkeypatch.setattr(command, "Copy", Judge)
    monkeypatch.setenv("ONLY", "lock_left_out own_order_accepted")

    assert command.main() == 1
    said = capsys.readouterr().out
    assert re.search(r"\| lock_left_out \| .* \| `unit/test_a\.py::test_it` \|", said)
    assert re.search(r"\| own_order_accepted \| .* \| \*\*SURVIVED\*\* \|", said)
    assert said.endswith("2 mutants, 1 survived\n")
    monkeypatch.setenv("ONLY", "lock_left_out")
    assert command.main() == 0
    monkeypatch.setenv("ONLY", "lock_left_in")
    assert command.main() == 2
    assert capsys.readouterr().err == "make mutants: no such mutant: lock_left_in\n"


def test_the_document_has_every_mutant_with_what_it_breaks_and_a_test_that_is_there() -> None:
    section = DOCUMENT.read_text().partition("## Mutants")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z_]+) \| (.+) \| `(\S+?)::(\w+)` \|$", section, re.MULTILINE)

    assert {name: breaks for name, breaks, _, _ in rows} == {each.name: each.breaks for each in MUTANTS.values()}
    assert max(Counter(name for name, *_ in rows).values()) == 1
    for _, _, file, function in rows:
        assert f"def {function}(" in (ROOT / "tests" / file).read_text()
