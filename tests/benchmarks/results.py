"""What a run has measured: a value a round for each figure of each checkout, and what they have to be read with."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

# The checkout that the benchmark itself is of.
OURS = "ours"


@dataclass
class Results:
    """Figures by subject (a checkout, or a yardstick) and name; `conditions` and `notes` are what a reader must know besides."""

    conditions: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    calibrations: list[tuple[float, float]] = field(default_factory=list)
    figures: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, name: str, value: float, subject: str = OURS) -> None:
        """Add the value of one more round."""
        self.figures[subject][name].append(value)

    def add_all(self, figures: Mapping[str, float], subject: str = OURS) -> None:
        """Add one more round of several figures."""
        for name, value in figures.items():
            self.add(name, value, subject)

    def values(self, name: str, subject: str = OURS) -> list[float]:
        """A figure's values, a round each; none where it was not measured."""
        return list(self.figures.get(subject, {}).get(name, ()))

    def median(self, name: str, subject: str = OURS) -> float | None:
        """A figure's median, None where it was not measured."""
        values = self.values(name, subject)
        return median(values) if values else None

    def ratios(self, name: str, subject: str, other: str) -> Iterator[float]:
        """A figure of one subject over that of another, round by round."""
        for mine, theirs in zip(self.values(name, subject), self.values(name, other), strict=False):
            if theirs:
                yield mine / theirs

    def write(self, path: Path) -> None:
        """Write all as JSON."""
        content = {"conditions": self.conditions, "notes": self.notes, "calibrations": self.calibrations, "figures": self.figures}
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` has written."""
        content = json.loads(path.read_text())
        results = cls(content["conditions"], content["notes"], [(taken, worked) for taken, worked in content["calibrations"]])
        for subject, figures in content["figures"].items():
            for name, values in figures.items():
                results.figures[subject][name] = list(values)
        return results
