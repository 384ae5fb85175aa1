"""The saga diagrams: made from the definitions, the same each time, and up to date."""

import re
from pathlib import Path

import pytest

from chalicelib.messages.commands import COMMANDS
from chalicelib.messages.replies import REPLIES
from chalicelib.sagas.definition import Definition, Step
from chalicelib.sagas.registry import DEFINITIONS
from infra.documents import diagrams
from infra.documents.saga_map import REFUSED, TIMED_OUT, Arrow, explore

BLOCK = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
EACH = pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=lambda definition: f"{definition.name}-{definition.version}")

STATE_LINES = (
    r"stateDiagram-v2",
    r"    classDef \w+ [\w:\- ]+",
    r'    state "[^"]+" as \w+',
    r"    (\[\*\]|\w+) --> (\[\*\]|\w+)( : [\w.,/ ]+)?",
    r"    class \w+ \w+",
)
SEQUENCE_LINES = (
    r"sequenceDiagram",
    r"    participant \w+( as [\w ]+)?",
    r" +Note over orders: \w+",
    r" +\w+(->>|-->>|-\))\w+: [\w.]+( \(\w+\))?",
    r" +(alt|else|opt) [\w, ]+",
    r" +end",
)


def arrows(definition: Definition) -> set[tuple[str, str, str]]:
    return {(arrow.before, arrow.after, arrow.label) for arrow in explore(definition).arrows}


def complete_order() -> set[tuple[str, str, str]]:
    return arrows(DEFINITIONS["complete_order", 1])


def test_the_page_is_up_to_date() -> None:
    assert diagrams.FILE.read_text(encoding="utf-8") == diagrams.document(), f"{diagrams.FILE.name} is stale: run make declare"


def test_the_page_comes_out_the_same_each_time() -> None:
    assert diagrams.document() == diagrams.document()


@EACH
def test_each_saga_has_a_state_and_a_sequence_diagram_in_plain_mermaid(definition: Definition) -> None:
    state, sequence = BLOCK.findall(diagrams.section(definition))
    for text, lines in ((state, STATE_LINES), (sequence, SEQUENCE_LINES)):
        unknown = [line for line in text.splitlines() if not any(re.fullmatch(pattern, line) for pattern in lines)]
        assert unknown == []
    opened = len(re.findall(r"^ +(alt|opt) ", sequence, re.MULTILINE))
    assert len(re.findall(r"^ +end$", sequence, re.MULTILINE)) == opened


@EACH
def test_every_place_of_a_state_diagram_has_its_name_and_a_way_to_an_end(definition: Definition) -> None:
    assert definition.starts, f"{definition.name} says on no order that it may start"
    found = list(explore(definition).arrows)
    [state, _] = BLOCK.findall(diagrams.section(definition))
    named = set(re.findall(r'state "[^"]+" as (\w+)', state))
    places = {place for arrow in found for place in (arrow.before, arrow.after)} - {"START", "COMPLETED", "COMPENSATED"}
    assert places == named
    assert all(_leads_to_an_end(place, found) for place in places)


def _leads_to_an_end(place: str, found: list[Arrow]) -> bool:
    reached = {place}
    while more := {arrow.after for arrow in found if arrow.before in reached} - reached:
        reached |= more
    return bool(reached & {"COMPLETED", "COMPENSATED"})


@EACH
def test_the_sequence_diagram_speaks_of_every_command_reply_and_undo(definition: Definition) -> None:
    [_, sequence] = BLOCK.findall(diagrams.section(definition))
    exchanges = [exchange for step in definition.steps if isinstance(step, Step) for exchange in (step.ask, step.undo) if exchange]
    expected = {kind.TYPE for each in exchanges for kind in (each.command, each.done, each.refused) if kind}
    said = set(re.findall(r": (\w+\.\w+)", sequence)) - {"notification.send"}
    assert said == expected
    assert said <= {*COMMANDS, *REPLIES}


def test_create_order_is_drawn_as_the_contract_has_it() -> None:
    assert arrows(DEFINITIONS["create_order", 1]) >= {
        ("validate_customer", "COMPENSATED", "user.customer_rejected"),
        ("authorize_payment", "COMPENSATED", "payment.declined"),
        ("authorize_payment", "undo_authorize_payment", "timed out"),
        ("hold_escrow", "undo_authorize_payment", "escrow.hold_failed"),
        ("hold_escrow", "undo_hold_escrow", "compensated"),
        ("undo_hold_escrow", "undo_authorize_payment", "escrow.refunded"),
        ("hold_escrow", "open_order", "escrow.held"),
    }


def test_past_the_pivot_complete_order_is_compensated_only_by_an_operator() -> None:
    found = complete_order()
    assert {("capture_payment", "COMPENSATED", "payment.capture_failed"), (REFUSED, "undo_release_escrow", "compensate")} <= found
    compensating = {label for before, after, label in found if after in ("COMPENSATED", "undo_release_escrow") and before != TIMED_OUT}
    assert compensating == {
        "user.runner_rejected",
        "timed out",
        "compensated",
        "payment.capture_failed",
        "compensate",
        "payment.refunded",
    }
    assert {(after, label) for before, after, label in found if before == "capture_payment" and label == "timed out"} == {
        (TIMED_OUT, "timed out")
    }


def test_a_refused_payout_is_drawn_with_its_tries_its_suspension_and_its_retry() -> None:
    assert complete_order() >= {
        ("release_escrow", "release_escrow", "escrow.release_failed, tried again"),
        ("release_escrow", REFUSED, "escrow.release_failed"),
        (REFUSED, "validate_runner_again", "retry"),
        ("validate_runner_again", "release_escrow", "user.runner_validated"),
        ("validate_runner_again", REFUSED, "user.runner_rejected"),
        ("validate_runner_again", TIMED_OUT, "timed out"),
    }


def test_a_saga_that_only_goes_forward_has_no_way_back() -> None:
    for name in ("cancel_acceptance", "cancel_order"):
        places = {place for before, after, _ in arrows(DEFINITIONS[name, 1]) for place in (before, after)}
        assert "COMPENSATED" not in places
        assert not any(place.startswith("undo_") for place in places)


def test_the_table_says_what_a_step_means_for_the_order() -> None:
    text = diagrams.section(DEFINITIONS["create_order", 1])
    assert "orderStatus `PAYMENT_AUTHORIZED`, paymentStatus `AUTHORIZED`, paymentId set |" in text
    assert "customer is told `ORDER_OPENED` |" in text
    assert "Undone, it leaves the order `CANCELLED` with payment `FAILED` or `CANCELLED` with payment `RELEASED`." in text


def test_making_the_diagrams_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "infra" / "docs" / "sagas.md"
    file.parent.mkdir(parents=True)

    diagrams.diagrams(file)

    assert file.read_text(encoding="utf-8") == diagrams.document()
    assert capsys.readouterr().out == "wrote infra/docs/sagas.md\n"


def test_every_style_that_a_diagram_uses_is_defined_in_it() -> None:
    found = re.findall(r"^```mermaid\nstateDiagram.*?^```$", diagrams.document(), re.MULTILINE | re.DOTALL)
    assert len(found) == len(DEFINITIONS)
    for diagram in found:
        used = set(re.findall(r"^    class \S+ (\S+)$", diagram, re.MULTILINE))
        assert used, diagram
        assert used <= set(re.findall(r"^    classDef (\S+) ", diagram, re.MULTILINE))
