"""An order's life as lines of text, drawn from what the API says of its history and its sagas: pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from infra.console import Line, Styled

Json: TypeAlias = Mapping[str, Any]

CHANGE_WIDTH = 57
GOOD, BAD = frozenset({"COMPLETED"}), frozenset({"CANCELLED", "TIMED_OUT"})


def timeline(history: Sequence[Json], sagas: Sequence[Json]) -> list[Line]:
    """A line for each moment at which the order or one of its sagas changed.

    Time since the first one, version, status, payment and actor where the order changed, and what the sagas' steps did. `history` is
    the answer of `/history`, `sagas` those of `/api/sagas/{id}`, oldest first.
    """
    steps = _happenings(sagas)
    entries: defaultdict[str, list[Json]] = defaultdict(list)
    for entry in history:
        entries[entry["at"]].append(entry)
    moments = sorted(entries.keys() | steps.keys())
    lines: list[Line] = []
    for moment in moments:
        offset = Styled(f"{_seconds(moments[0], moment):+9.3f} s", "time")
        changes = [_change(entry) for entry in entries[moment]] or [(" " * CHANGE_WIDTH,)]
        lines += [("  ", offset, "  ", *change) for change in changes[:-1]]
        lines.append(("  ", offset, "  ", *changes[-1], f"  {', '.join(steps.get(moment, []))}"))
    return lines


def _change(entry: Json) -> Sequence[str | Styled]:
    status = str(entry["to"])
    style = "good" if status in GOOD else "bad" if status in BAD else "under way"
    return f"v{entry['version']:<3} ", Styled(f"{status:<18}", style), f" {entry['paymentTo']:<10} {entry['actor']:<22}"


def _happenings(sagas: Sequence[Json]) -> Mapping[str, list[str]]:
    """What the sagas did, by time: what began, what was settled, what was asked next, what ended."""
    entries: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for saga in sagas:
        entries[saga["startedAt"]].append((0, f"{saga['name']} begins"))
        for step in saga["steps"]:
            began, ended = step["startedAt"], step["endedAt"]
            if ended:
                entries[ended].append((1, f"{step['name']} {step['status']}{_copies(step)}"))
            if began and began != ended:
                entries[began].append((2, f"{step['name']} asked"))
        if saga["endedAt"]:
            error = f" ({saga['error']['code']})" if saga["error"] else ""
            entries[saga["endedAt"]].append((3, f"{saga['name']} {saga['status']}{error}"))
    # Stable: within a kind as the steps follow each other.
    return {moment: [text for _, text in sorted(texts, key=lambda each: each[0])] for moment, texts in entries.items()}


def _copies(step: Json) -> str:
    return f" after {step['attempts']} copies" if step["attempts"] > 1 else ""


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
