"""What a run came to: as a table, and as a file."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos.clients import Log
from tests.support.history import Finding, Request


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `lossy`: events may be missing."""

    findings: Sequence[Finding]
    faults: Mapping[tuple[str, str], int]
    log: Log
    ends: Mapping[str, int]
    settled_seconds: float
    retried: int
    lossy: bool


def table(outcome: Outcome) -> Iterator[str]:
    """What happened, and what was found."""
    faults: dict[str, Counter[str]] = {}
    for (kind, target), number in outcome.faults.items():
        faults.setdefault(kind, Counter())[target] += number
    yield from ("", "faults")
    for kind, targets in faults.items():
        yield f"  {kind:<8} {targets.total():>5}   {', '.join(f'{target} {number}' for target, number in sorted(targets.items()))}"
    yield from ("", "requests               answered  refused  unknown  repeated    p50 ms    p95 ms    max ms")
    for name in sorted({_row(request) for request in outcome.log.requests}):
        yield _line(name, [request for request in outcome.log.requests if _row(request) == name])
    yield from ("", "orders by end")
    yield from (f"  {end:<34} {number:>6}" for end, number in outcome.ends.items())
    yield from (
        "",
        f"at rest {outcome.settled_seconds:.0f} s after the last life; {outcome.retried} suspended sagas retried by the operator",
    )
    yield "the embedded broker was killed: events may be missing" if outcome.lossy else "no event may be missing"
    yield from ("", f"{len(outcome.findings)} violations" if outcome.findings else "nothing was lost: no violations")
    yield from (f"  {finding}" for finding in outcome.findings[:50])


def _row(request: Request) -> str:
    return f"{request.method} {request.kind}"


def _line(name: str, requests: Sequence[Request]) -> str:
    taken = sorted((each.end - each.start) * 1000 for each in requests if each.status is not None)
    counts = [
        sum(each) for each in zip(*((r.accepted or r.status == 200, r.refused, r.unknown, r.replayed) for r in requests), strict=True)
    ]
    times = [taken[min(len(taken) - 1, int(len(taken) * share))] if taken else 0.0 for share in (0.5, 0.95, 1.0)]
    return f"  {name:<20} {counts[0]:>8} {counts[1]:>8} {counts[2]:>8} {counts[3]:>9} " + " ".join(f"{each:>9.0f}" for each in times)


def keep(outcome: Outcome, seed: int, file: Path) -> None:
    """Write down what clients saw and what was found, a JSON text a line."""
    lines = [{"seed": seed, "faults": [[*key, number] for key, number in outcome.faults.items()]}]
    lines += [finding._asdict() for finding in outcome.findings]
    lines += [asdict(request) for request in outcome.log.requests]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
