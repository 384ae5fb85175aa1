"""Every message there is: when it is sent, and what answers it. Read off the message classes and the sagas' definitions."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from chalicelib.messages.commands import COMMANDS, Command, SendNotification
from chalicelib.messages.events import EVENTS, OrderEvent
from chalicelib.messages.replies import REPLIES, Reply
from chalicelib.sagas.definition import Definition, Exchange, Notify, Step
from chalicelib.sagas.notices import nobody_is_told
from chalicelib.sagas.registry import DEFINITIONS

Kind: TypeAlias = type[Command] | type[Reply] | type[OrderEvent]


@dataclass(frozen=True)
class Message:
    """One message: its class, the occasions on which it is sent, and for a command the types of the replies, refusal last."""

    kind: Kind
    occasions: tuple[str, ...]
    answers: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        return self.kind.TYPE

    @property
    def topic(self) -> str:
        return self.kind.TOPIC

    @property
    def ours(self) -> bool:
        """Whether we write it; else we read it."""
        return not issubclass(self.kind, Reply)

    @property
    def asked(self) -> bool:
        """Whether it answers a command."""
        return any(self.type in answers for answers in _answers().values())


def messages() -> list[Message]:
    """All messages, in the order in which their classes are listed."""
    occasions, answers = _occasions(), _answers()
    kinds: list[Kind] = [*COMMANDS.values(), *REPLIES.values(), *EVENTS.values()]
    return [Message(kind, tuple(occasions.get(kind.TYPE) or [_purpose(kind)]), answers.get(kind.TYPE, ())) for kind in kinds]


def of_topic(topic: str) -> list[Message]:
    """The messages on one topic."""
    return [message for message in messages() if message.topic == topic]


def _exchanges() -> Iterator[tuple[Exchange, str]]:
    """Every command with its replies, and the step of which saga it is for."""
    for definition in DEFINITIONS.values():
        for step in definition.steps:
            if isinstance(step, Step):
                yield step.ask, f"{definition.name}: {step.name}"
                if step.undo:
                    yield step.undo, f"{definition.name}: undo of {step.name}"


@lru_cache(maxsize=1)
def _answers() -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for exchange, _ in _exchanges():
        found[exchange.command.TYPE].update({reply.TYPE: None for reply in (exchange.done, exchange.refused) if reply})
    return {command: tuple(replies) for command, replies in found.items()}


def _occasions() -> dict[str, list[str]]:
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for exchange, place in _exchanges():
        found[exchange.command.TYPE][place] = None
        found[exchange.done.TYPE][f"answers {exchange.command.TYPE}"] = None
        if exchange.refused:
            found[exchange.refused.TYPE][f"refuses {exchange.command.TYPE}"] = None
    found[SendNotification.TYPE] = {place: None for definition in DEFINITIONS.values() for place in _notices(definition)}
    return {type: list(places) for type, places in found.items()}


def _notices(definition: Definition) -> Iterator[str]:
    yield from (f"{definition.name}: {step.name}" for step in definition.steps if isinstance(step, Notify))
    if definition.undone and definition.undone.notices is not nobody_is_told:
        yield f"{definition.name}: undone"


def _purpose(kind: Kind) -> str:
    return (kind.__doc__ or "").splitlines()[0].rstrip(".")
