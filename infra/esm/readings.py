"""The points that AWS leaves open, each as a switch with the readings that its words allow."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_type_hints


class UnknownReading(ValueError):
    """A reading that does not exist, or a value that it does not take; the text names those that do."""


@dataclass(frozen=True)
class Readings:
    """How the emulator reads what the developer guide does not settle; each default is what seems likeliest on AWS."""

    partial: Literal["checkpoint", "items"] = "checkpoint"
    """What comes again after a partial failure: all from the lowest failed offset of a partition on, as with Kinesis, or just the
    reported records. The guide says "just those specific items"; a committed offset can express nothing but the former."""

    partial_counts: Literal["yes", "no"] = "yes"
    """Whether a batch that a partial response made shorter goes on counting its attempts, or begins anew. Unsaid; the limit is one of
    how often Lambda retries, and these records are retried."""

    bisect_counts: Literal["no", "yes"] = "no"
    """Whether the attempt that splits a batch uses up one of the halves' attempts. Unsaid for Kafka; for Kinesis it does not."""

    expiry: Literal["retry", "delivery"] = "delivery"
    """When a record is found too old: only before it is retried, or before its first delivery, too. The guide speaks of the age of a
    record "that Lambda sends to your function", which no delivery is exempt from."""

    expired_condition: Literal["RecordAgeExceeded", "RetryAttemptsExhausted"] = "RecordAgeExceeded"
    """The condition of an on-failure record for records that were too old. The guide names none for Kafka; streams have the former."""

    exhausted_condition: Literal["RetriesExhausted", "RetryAttemptsExhausted"] = "RetriesExhausted"
    """The condition of an on-failure record in a Kafka topic after the last attempt: page and page disagree."""

    null_key: Literal["omit", "null", "empty"] = "omit"
    """A record without key: no member, null, or an empty text. The guide's sample of such a record has no member."""

    null_value: Literal["omit", "null"] = "omit"
    """A tombstone: no member, or null. Undocumented, and seen both ways."""

    null_header: Literal["empty", "null"] = "empty"
    """A header without value: an empty list, or null. Undocumented."""

    tombstone: Literal["pass", "drop"] = "pass"
    """What a filter does with a tombstone. Undocumented; like everything that a pattern does not fit, it passes."""

    unreadable: Literal["block", "drop"] = "block"
    """What becomes of a batch that can't be read: its partition waits, and the batch is read again after ever longer waits, or it is
    left out and counted as dropped. Undocumented. Kafka's consumer stays where it is until somebody moves it; and nothing is lost so."""


DEFAULT = Readings()


def read(settings: Iterable[str]) -> Readings:
    """The readings that texts like `partial=items` choose; a later one wins. Raises UnknownReading."""
    chosen: dict[str, str] = {}
    known = {field.name: get_args(get_type_hints(Readings)[field.name]) for field in fields(Readings)}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in known:
            raise UnknownReading(f"no such reading: {name!r}; there are {', '.join(sorted(known))}")
        if value not in known[name]:
            raise UnknownReading(f"{name} is one of {', '.join(known[name])}, not {value!r}")
        chosen[name] = value
    return Readings(**chosen)  # type: ignore[arg-type]


def read_list(text: str) -> Readings:
    """The readings that one text chooses, its settings separated by commas. Raises UnknownReading."""
    return read(part.strip() for part in text.split(",") if part.strip())
