"""What became of all points, as lines: a table of paths and components, and what to do about what is red."""

from collections.abc import Iterator, Mapping, Sequence

from infra.console import Line, Styled
from tests.crash_matrix.board import COMPONENTS
from tests.crash_matrix.history import Outcome

HEADS: Mapping[str, str] = {
    "http": "http",
    "on_user_events": "user",
    "on_payment_events": "payment",
    "on_escrow_events": "escrow",
    "sweep_timeouts": "sweep",
    "relay_outbox": "relay",
    "purge_expired": "purge",
    "audit_invariants": "audit",
    "pollers": "pollers",
    "partners": "partners",
}
WIDTH = 9


def table(outcomes: Sequence[Outcome]) -> list[Line]:
    """A line for each path: how many points each component has on it, and how many of them are red."""
    paths = list(dict.fromkeys(outcome.path.name for outcome in outcomes))
    width = max((len(path) for path in paths), default=0) + 2
    lines: list[Line] = [f"{'path':{width}}" + "".join(f"{HEADS[each]:>{WIDTH}}" for each in COMPONENTS) + f"{'points':>{WIDTH}}"]
    for path in (*paths, "all"):
        of_path = [outcome for outcome in outcomes if path in (outcome.path.name, "all")]
        cells = [_cell([outcome for outcome in of_path if outcome.point and outcome.point.component == each]) for each in COMPONENTS]
        lines.append([f"{path:{width}}", *cells, _cell(of_path), "  ", _verdict(of_path)])
    return lines


def reds(outcomes: Sequence[Outcome]) -> Iterator[Line]:
    """What is wrong at each red point, and how to walk it again."""
    for outcome in outcomes:
        if outcome.wrong and outcome.point:
            where = f"make crash-matrix ONLY={outcome.path.name} POINT={outcome.point.name}"
            yield [Styled(where, "bad"), f"  killed before: {outcome.point.label}"]
            yield from (f"    {each}" for each in outcome.wrong)


def _cell(outcomes: Sequence[Outcome]) -> str | Styled:
    if not outcomes:
        return f"{'·':>{WIDTH}}"
    red = sum(bool(outcome.wrong) for outcome in outcomes)
    return Styled(f"{f'{red}/{len(outcomes)}':>{WIDTH}}", "bad") if red else f"{len(outcomes):>{WIDTH}}"


def _verdict(outcomes: Sequence[Outcome]) -> Styled:
    red = sum(bool(outcome.wrong) for outcome in outcomes)
    return Styled(f"{red} red", "bad") if red else Styled("green", "good")
