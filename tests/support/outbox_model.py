"""The outbox's protocol as a small world that is explored exhaustively: writers, relays, one lane, a network that delivers late.

A lane is what one order sends to one topic. Each writer commits one row of it and publishes that from memory; relays publish what is left.
Any of them may be killed, or stall until its lease has run out and then go on, between any two of its steps; a message that was handed to
the network may arrive at any time later, also when its sender has given up or is dead.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias


class Rule(Enum):
    """What the protocol rests on; a world may leave one out."""

    NUMBERED_UNDER_THE_LOCK = "rows are numbered under their order's lock"
    NONE_WITHOUT_THE_EARLIER = "a read has no row without all earlier ones of its order"
    NEXT_AFTER_ACKNOWLEDGEMENT = "the next row is handed over only after the one before was acknowledged"
    DELETED_WHEN_ACKNOWLEDGED = "only acknowledged rows are deleted"
    WRITER_WAITS_BEHIND = "a writer publishes its row only when no earlier one waits"
    LEASE_HOLDS_LATER_ROWS = "a leased row holds back the later rows of its order, too"


class Doing(Enum):
    NEW = "new"
    NUMBERED = "numbered"
    WAITING = "waiting behind another row"
    READY = "ready to send"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    OVER = "over"


@dataclass(frozen=True, order=True)
class Row:
    """A row of the table; `leased` while it is its writer's."""

    id: int
    leased: bool


@dataclass(frozen=True)
class Process:
    """A writer or a relay, and the rows that it has in hand, oldest first; a relay may read so many times more."""

    doing: Doing
    rows: tuple[int, ...] = ()
    reads: int | None = None


@dataclass(frozen=True)
class World:
    """One moment: the table, what arrived for the first time in that order, what is under way, and by whom it was sent."""

    processes: tuple[Process, ...]
    numbers: int = 0
    table: tuple[Row, ...] = ()
    committed: frozenset[int] = frozenset()
    log: tuple[int, ...] = ()
    network: tuple[tuple[int, int], ...] = ()

    def wrong(self) -> str | None:
        """What must never be."""
        if self.log != tuple(range(1, len(self.log) + 1)):
            return f"first copies arrived as {self.log}"
        lost = self.committed - set(self.log) - {row.id for row in self.table}
        return f"row {min(lost)} is gone and never arrived" if lost else None


Step: TypeAlias = tuple[str, World]


@dataclass(frozen=True)
class Protocol:
    """The protocol, with one rule left out or none."""

    without: Rule | None = None

    def has(self, rule: Rule) -> bool:
        return rule is not self.without

    def steps(self, world: World) -> Iterator[Step]:
        """All that can happen next."""
        for number, process in enumerate(world.processes):
            kind = "relay" if process.reads is not None else "writer"
            for what, then, process_then in self._own(world, number, process):
                yield f"{kind} {number} {what}", _with(then, number, process_then)
            if process.doing not in (Doing.NEW, Doing.OVER):
                yield (
                    f"{kind} {number} is killed",
                    _with(world, number, Process(Doing.OVER, reads=0 if process.reads is not None else None)),
                )
        for place, (sender, row) in enumerate(world.network):
            rest = replace(world, network=world.network[:place] + world.network[place + 1 :])
            arrived = rest if row in rest.log else replace(rest, log=(*rest.log, row))
            process = world.processes[sender]
            waits = process.doing is Doing.SENT and process.rows[:1] == (row,)
            yield f"row {row} of {sender} arrives", _with(arrived, sender, replace(process, doing=Doing.ACKNOWLEDGED)) if waits else arrived
        for each in world.table:
            if each.leased:
                yield f"the lease of row {each.id} runs out", _released(world, each.id)

    def _own(self, world: World, number: int, process: Process) -> Iterator[tuple[str, World, Process]]:
        if process.doing in (Doing.READY, Doing.SENT, Doing.ACKNOWLEDGED):
            yield from self._publishing(world, number, process)
        elif process.reads is None:
            yield from self._writing(world, process)
        elif process.doing is Doing.NEW and process.reads and (due := self._due(world)):
            yield f"reads {due}", world, Process(Doing.READY, due, process.reads - 1)

    def _writing(self, world: World, process: Process) -> Iterator[tuple[str, World, Process]]:
        match process.doing:
            case Doing.NEW:
                drawn = replace(world, numbers=world.numbers + 1)
                if self.has(Rule.NUMBERED_UNDER_THE_LOCK):
                    yield self._commit(drawn, drawn.numbers)
                else:
                    yield "draws a number", drawn, Process(Doing.NUMBERED, (drawn.numbers,))
            case Doing.NUMBERED:
                yield self._commit(world, process.rows[0])
            case Doing.WAITING:
                if not _ahead(world, process.rows[0]):
                    yield "finds nothing ahead", world, replace(process, doing=Doing.READY)
                yield "leaves its row to the relay", _released(world, process.rows[0]), Process(Doing.OVER)

    def _publishing(self, world: World, number: int, process: Process) -> Iterator[tuple[str, World, Process]]:
        row, *later = process.rows
        match process.doing:
            case Doing.READY:
                yield self._send(world, number, process)
            case Doing.SENT:
                yield "gives up", world, _next(process, ())
                if not self.has(Rule.DELETED_WHEN_ACKNOWLEDGED):
                    yield "deletes its row unacknowledged", _deleted(world, row), _next(process, tuple(later))
                if not self.has(Rule.NEXT_AFTER_ACKNOWLEDGEMENT) and later:
                    yield self._send(world, number, replace(process, rows=tuple(later)))
            case Doing.ACKNOWLEDGED:
                yield f"deletes row {row}", _deleted(world, row), _next(process, tuple(later))

    def _commit(self, world: World, row: int) -> tuple[str, World, Process]:
        waits = self.has(Rule.WRITER_WAITS_BEHIND) and bool(world.table)
        table = tuple(sorted((*world.table, Row(row, leased=True))))
        then = replace(world, table=table, committed=world.committed | {row})
        return f"commits row {row}", then, Process(Doing.WAITING if waits else Doing.READY, (row,))

    def _send(self, world: World, number: int, process: Process) -> tuple[str, World, Process]:
        row = process.rows[0]
        then = replace(world, network=tuple(sorted((*world.network, (number, row)))))
        return f"sends row {row}", then, replace(process, doing=Doing.SENT)

    def _due(self, world: World) -> tuple[int, ...]:
        due: list[int] = []
        for row in world.table:
            if row.leased and self.has(Rule.LEASE_HOLDS_LATER_ROWS):
                break
            if not row.leased:
                due.append(row.id)
        return tuple(due) if self.has(Rule.NONE_WITHOUT_THE_EARLIER) else tuple(due[-1:])


def _next(process: Process, rows: tuple[int, ...]) -> Process:
    if rows:
        return replace(process, doing=Doing.READY, rows=rows)
    return Process(Doing.NEW if process.reads else Doing.OVER, reads=process.reads)


def _with(world: World, number: int, process: Process) -> World:
    return replace(world, processes=(*world.processes[:number], process, *world.processes[number + 1 :]))


def _ahead(world: World, row: int) -> bool:
    return any(each.id < row for each in world.table)


def _released(world: World, row: int) -> World:
    return replace(world, table=tuple(replace(each, leased=False) if each.id == row else each for each in world.table))


def _deleted(world: World, row: int) -> World:
    return replace(world, table=tuple(each for each in world.table if each.id != row))


@dataclass(frozen=True)
class Explored:
    """How many moments there are, or the shortest way to one that must never be."""

    moments: int
    trace: tuple[str, ...] = ()


def explore(protocol: Protocol, *, writers: int, reads: tuple[int, ...]) -> Explored:
    """Visit every moment that can be reached with so many writers, and a relay for each number of `reads`."""
    first = World((*[Process(Doing.NEW)] * writers, *(Process(Doing.NEW, reads=number) for number in reads)))
    came: dict[World, tuple[World, str] | None] = {first: None}
    waiting = deque([first])
    while waiting:
        world = waiting.popleft()
        for what, then in protocol.steps(world):
            if then in came:
                continue
            came[then] = (world, what)
            wrong = then.wrong()
            if wrong:
                return Explored(len(came), (*_way(came, then), wrong))
            waiting.append(then)
    return Explored(len(came))


def _way(came: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    steps: list[str] = []
    while (before := came[world]) is not None:
        world, what = before
        steps.append(what)
    return tuple(reversed(steps))
