"""`make declare`: each saga draws itself, as Mermaid, into `infra/docs/sagas.md`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from chalicelib.orders.order import Order
from chalicelib.sagas.definition import AnyStep, Definition, Local, Notify, Step
from chalicelib.sagas.registry import DEFINITIONS
from chalicelib.sagas.state import SagaStatus
from infra.console import say
from infra.documents.saga_map import AGAIN, MOMENT, REFUSED, START, TIMED_OUT, UNDO, Arrow, SagaMap, explore, order_in

FILE = Path(__file__).parents[1] / "docs" / "sagas.md"

INTRODUCTION = """# The sagas

Made by `make declare` from the definitions in `chalicelib/sagas/`; what leads where is what the planner says. Don't edit this file.

How to read the state diagrams: a box is a step, with the command that it sends. An arrow is labelled with what makes the saga go on: a
reply, or `timed out`, which means that no copy of the command was answered. `compensated` stands for whoever may ask for it: a
cancellation or an expired authorization during `create_order`, an operator's *compensate*. `undo` steps run last first. A saga that is
suspended (status `FAILED`) because it timed out goes on from the step it was at, by a late reply or an operator's *retry*; one that is
suspended by a refusal waits for an operator. The pivot has a thick border: once its command is written, only its refusal
compensates the saga.
"""

STYLE = ("    classDef pivot stroke-width:4px", "    classDef suspended stroke-dasharray:4 4")
NODES = {TIMED_OUT: "suspended: timed out", REFUSED: "suspended: refused"}
ENDS = tuple(status.value for status in (SagaStatus.COMPLETED, SagaStatus.COMPENSATED))
ENDED = {SagaStatus.COMPLETED: "Completed, it leaves the order", SagaStatus.COMPENSATED: "Undone, it leaves the order"}
NOTHING = "–"


def diagrams(page: Path = FILE) -> None:
    """Write the page anew."""
    page.write_text(document(), encoding="utf-8")
    say(f"wrote {page.relative_to(page.parents[2])}")


def document() -> str:
    """The whole page: the same text for the same definitions."""
    return "\n".join([INTRODUCTION, *(section(definition) for definition in DEFINITIONS.values())])


def section(definition: Definition) -> str:
    """One saga: its heading, its table, how it leaves the order, and both diagrams."""
    found = explore(definition)
    parts = [
        [f"## {definition.name}, version {definition.version}", "", *_purpose(definition)],
        _table(definition),
        _ends(found),
        ["```mermaid", *state_diagram(definition, found), "```"],
        ["```mermaid", *sequence_diagram(definition), "```"],
    ]
    return "\n".join(line for part in parts for line in (*part, ""))


def state_diagram(definition: Definition, found: SagaMap) -> list[str]:
    """Steps, compensation and places where a saga is suspended, with all that leads from one to another."""
    places = list(dict.fromkeys(place for arrow in found.arrows for place in (arrow.before, arrow.after)))
    pivots = [step.name for step in definition.steps if isinstance(step, Step) and step.pivot]
    suspended = [place for place in places if place in NODES]
    return [
        "stateDiagram-v2",
        *STYLE,
        *(f'    state "{_node(definition, place)}" as {place}' for place in places if place not in (START, *ENDS)),
        *_transitions(found.arrows),
        *(f"    {place} --> [*]" for place in places if place in ENDS),
        *(f"    class {name} pivot" for name in pivots),
        *(f"    class {place} suspended" for place in suspended),
    ]


def sequence_diagram(definition: Definition) -> list[str]:
    """The messages between the order service and its partners, and below them what takes them back."""
    lines = ["sequenceDiagram", "    participant orders as order service"]
    lines += [f"    participant {partner}" for partner in _partners(definition)]
    for step in definition.steps:
        lines += [f"    {line}" for line in _told(step)]
    undos = [step for step in reversed(definition.steps) if isinstance(step, Step) and step.undo]
    if undos:
        lines += ["    opt undone, last first, as far as it was or may have been done"]
        lines += [f"        {line}" for step in undos for line in _undo_told(step)]
        lines += ["    end"]
    return lines


def _purpose(definition: Definition) -> list[str]:
    return ["Only goes forward."] if definition.undone is None else ["Is undone as long as it can be."]


def _table(definition: Definition) -> list[str]:
    rows = ["| step | command | done | refused | undo | for the order |", "| --- | --- | --- | --- | --- | --- |"]
    start = definition.starts[0]
    order, data = order_in(start.status), {**_kept(definition), **start.data}
    for step in definition.steps:
        cells = [step.name, *_messages(step)]
        if isinstance(step, Notify):
            recipients = [f"{notice.recipient_type.lower()} is told `{notice.notification_type}`" for notice in step.notices(order, data)]
            meaning = ", ".join(recipients)
        else:
            after = step.then(order, data, MOMENT)
            order, meaning = after, _difference(order, after)
        rows.append(f"| {' | '.join([*cells, meaning or NOTHING])} |")
    return rows


def _kept(definition: Definition) -> dict[str, str]:
    """The data that the steps learn from their replies."""
    return {name: name for step in definition.steps if isinstance(step, Step) for name in step.keep}


def _messages(step: AnyStep) -> tuple[str, str, str, str]:
    if not isinstance(step, Step):
        return NOTHING, NOTHING, NOTHING, NOTHING
    refused = f"`{step.ask.refused.TYPE}`" if step.ask.refused else NOTHING
    undo = f"`{step.undo.command.TYPE}` → `{step.undo.done.TYPE}`" if step.undo else NOTHING
    return f"`{step.ask.command.TYPE}`", f"`{step.ask.done.TYPE}`", refused + (", tried again" if step.tries_again else ""), undo


def _difference(before: Order, after: Order) -> str:
    """What changed, by the names that the outside knows; statuses with their values."""
    changed = [each.name for each in fields(Order) if getattr(before, each.name) != getattr(after, each.name)]
    return ", ".join(_change(name, getattr(after, name)) for name in changed)


def _change(name: str, value: object) -> str:
    if name.endswith("_status"):
        return f"{_camel(name)} `{value}`"
    return f"{_camel(name)} {'cleared' if value is None else 'set'}"


def _ends(found: SagaMap) -> list[str]:
    lines = []
    for status, sentence in ENDED.items():
        ways = [f"`{order}` with payment `{payment}`" for order, payment in found.ends.get(status, {})]
        lines += [f"{sentence} {' or '.join(ways)}.", ""] if ways else []
    return lines[:-1]


def _node(definition: Definition, place: str) -> str:
    if place in NODES:
        return NODES[place]
    undoes = place.startswith(UNDO)
    step = definition.find(place.removeprefix(UNDO).removesuffix(AGAIN))
    lines = [place.replace("_again", " again").replace(UNDO, "undo ", 1) if undoes or place.endswith(AGAIN) else place]
    if isinstance(step, Step):
        exchange = step.undo if undoes and step.undo else step.ask
        lines.append(exchange.command.TYPE)
        lines += ["pivot"] if step.pivot and not undoes else []
    return "<br/>".join(lines)


def _transitions(arrows: Iterable[Arrow]) -> list[str]:
    """One line for each pair of places, with all its reasons."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for arrow in arrows:
        reasons.setdefault((arrow.before, arrow.after), []).append(arrow.label)
    return [_transition(before, after, labels) for (before, after), labels in reasons.items()]


def _transition(before: str, after: str, labels: Sequence[str]) -> str:
    reason = " / ".join(label for label in labels if label)
    line = f"    {'[*]' if before == START else before} --> {after}"
    return f"{line} : {reason}" if reason else line


def _partners(definition: Definition) -> list[str]:
    asked = [_partner(step) for step in definition.steps if isinstance(step, Step)]
    notices = ["notification" for step in definition.steps if isinstance(step, Notify)]
    return list(dict.fromkeys([*asked, *notices]))


def _partner(step: Step) -> str:
    return step.ask.command.TOPIC.removesuffix("-commands")


def _told(step: AnyStep) -> Iterator[str]:
    match step:
        case Local(name):
            yield f"Note over orders: {name}"
        case Notify(name):
            yield f"orders-)notification: notification.send ({name})"
        case Step():
            yield from _optional(step, _asked(step))


def _optional(step: Step, lines: Iterable[str]) -> Iterator[str]:
    condition = step.skip.__name__.strip("_").replace("_", " ")
    if condition == "never":
        yield from lines
        return
    yield f"opt unless the order {condition}"
    yield from (f"    {line}" for line in lines)
    yield "end"


def _asked(step: Step) -> Iterator[str]:
    partner = _partner(step)
    if step.pivot:
        yield "Note over orders: pivot"
    yield f"orders->>{partner}: {step.ask.command.TYPE}"
    if step.ask.refused is None:
        yield f"{partner}-->>orders: {step.ask.done.TYPE}"
        return
    yield "alt done"
    yield f"    {partner}-->>orders: {step.ask.done.TYPE}"
    yield "else refused, and tried again" if step.tries_again else "else refused, and compensated"
    yield f"    {partner}-->>orders: {step.ask.refused.TYPE}"
    yield "end"


def _undo_told(step: Step) -> Iterator[str]:
    if step.undo:
        partner = _partner(step)
        yield f"orders->>{partner}: {step.undo.command.TYPE}"
        yield f"{partner}-->>orders: {step.undo.done.TYPE}"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)
