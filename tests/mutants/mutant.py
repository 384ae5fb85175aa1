"""A planted fault, as mutants.toml describes it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutants.toml")


@dataclass(frozen=True)
class Mutant:
    """`before` stands exactly once in `file`, and `after` instead of it is the fault; `tests` are pytest's arguments, files or tests."""

    name: str
    breaks: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The file's text with the fault in it; raises ValueError where `before` doesn't stand there exactly once."""
        found = text.count(self.before)
        if found != 1:
            raise ValueError(f"{self.name}: its text stands {found} times in {self.file}")
        return text.replace(self.before, self.after)


def read_mutants(file: Path = LIST) -> list[Mutant]:
    """All mutants, in the order of the list."""
    read = tomllib.loads(file.read_text(encoding="utf-8"))["mutants"]
    return [Mutant(**{**each, "tests": tuple(each["tests"])}) for each in read]
