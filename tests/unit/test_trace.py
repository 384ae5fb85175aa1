"""W3C Trace Context: what is a traceparent, and what each message makes of it."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.messages.trace import begin_trace, span_of, trace_id, traceparent_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
GIVEN = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.mark.parametrize("flags", ["00", "01", "02", "03"])
def test_a_traceparent_is_taken_as_it_is(flags: str) -> None:
    assert traceparent_of(f"{GIVEN[:-2]}{flags}") == f"{GIVEN[:-2]}{flags}"


@pytest.mark.parametrize("text", [GIVEN.replace("00-", "01-", 1), f"cc{GIVEN[2:]}-what-the-future-will-be-like"])
def test_a_later_version_is_read_as_far_as_we_know_it(text: str) -> None:
    assert traceparent_of(text) == GIVEN


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        GIVEN.upper(),
        f"{GIVEN}-more",
        f"ff{GIVEN[2:]}",
        f"{GIVEN[2:]}",
        f" {GIVEN}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"01{GIVEN[2:]}x",
    ],
)
def test_anything_else_is_none(text: str | None) -> None:
    assert traceparent_of(text) is None


@pytest.mark.parametrize(("flags", "kept"), [("ff", "03"), ("05", "01"), ("fc", "00")])
def test_flags_that_nobody_defined_are_not_passed_on(flags: str, kept: str) -> None:
    assert traceparent_of(f"{GIVEN[:-2]}{flags}") == f"{GIVEN[:-2]}{kept}"


@given(text=st.text(max_size=80))
def test_no_text_makes_reading_fail(text: str) -> None:
    traceparent_of(text)


def test_every_message_is_a_span_of_its_own_in_one_trace() -> None:
    spans = [span_of(GIVEN, f"message-{number}") for number in range(100)]

    assert {trace_id(span) for span in spans} == {TRACE}
    assert len({span.split("-")[2] for span in [*spans, GIVEN]}) == 101
    assert all(traceparent_of(span) == span and span.endswith("-01") for span in spans)


def test_a_message_written_again_has_the_same_span() -> None:
    assert span_of(GIVEN, "message-1") == span_of(GIVEN, "message-1")


def test_a_trace_begins_with_an_id() -> None:
    begun = begin_trace(UUID("019aaa6e-0b40-7c1e-9d3f-5a1b7c2d4e6f"))

    assert traceparent_of(begun) == begun
    assert re.fullmatch(r"00-019aaa6e0b407c1e9d3f5a1b7c2d4e6f-[0-9a-f]{16}-01", begun)
