"""The search: every state of a world, the nearest first, and the shortest story that leads to a broken rule."""

from array import array
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import SagaStatus
from infra.partners.accounts import Account
from tests.explorer import moves, rules
from tests.explorer.moves import EXPIRY, LATE, OPERATORS, PEOPLE, REFUSAL, UNCOMPLETED, Found
from tests.explorer.partners import Answer, Partners
from tests.explorer.service import Command, Committed, Operation, Service, run
from tests.explorer.worlds import World
from tests.support.examples import POLICY, RULES
from tests.support.memory_tables import in_memory
from tests.support.saga_language import UNWILLING

T = TypeVar("T")


class State(NamedTuple):
    """One moment: the numbers of its service and its partners, what sweeps have in hand, and what may still happen how often."""

    service: int
    partners: int
    found: tuple[Found, ...]
    may: tuple[int, ...]


class Move(NamedTuple):
    """Something that happens: what it leads to. `costs` is its place among what may happen only so often."""

    what: str
    service: int
    partners: int
    costs: int | None = None
    finds: Found | None = None
    acts_on: Found | None = None
    broken: str | None = None


@dataclass(frozen=True)
class Explored:
    """How many states there are; where a rule is broken, the shortest story that leads there."""

    states: int
    moves: int
    story: tuple[str, ...] = ()
    complete: bool = True


class _Numbered(Generic[T]):
    """Values by number; equal keys have one number."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: T, key: Hashable) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


@dataclass
class Search:
    """What is known of one world. Each transaction is run once for each service and kept, however many states have that service."""

    world: World
    services: _Numbered[Service] = field(default_factory=_Numbered)
    partners: _Numbered[Partners] = field(default_factory=_Numbered)
    _own: dict[int, list[Move]] = field(default_factory=dict)
    _both: dict[tuple[int, int], list[Move]] = field(default_factory=dict)
    _acted: dict[tuple[int, Found], Move] = field(default_factory=dict)
    _taken: dict[tuple[int, Answer], Move] = field(default_factory=dict)
    _changes_nothing: set[Hashable] = field(default_factory=set)
    _wrong: dict[tuple[int, int], str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rules = replace(RULES, policy=RetryPolicy(POLICY.timeout, self.world.attempts))
        self.costs = {name: place for place, name in enumerate(self.world.may)}

    def first(self) -> State:
        """Where the world begins: what is given has happened, and everybody was willing."""
        service = _done(run(None, moves.placed(self.rules)))
        partners = Partners(Account(str(moves.ORDER_ID)))
        if self.world.given is not None:
            service, partners = self._rest(service, partners)
        for name in self.world.given or ():
            service, partners = self._rest(_done(run(service, PEOPLE[name](self.rules, service.order))), partners)
        return State(self._number(service), self.partners.number(partners, partners.key), (), tuple(self.world.may.values()))

    def _rest(self, service: Service, partners: Partners) -> tuple[Service, Partners]:
        while service.holder:
            partners = partners.willing(service.sent[-1])
            service = _done(run(service, moves.comes(self.rules, partners.answers[service.sent[-1].id])))
        return service, partners

    def steps(self, state: State) -> Iterator[tuple[Move, State]]:
        """Every move from a state, and where it leads."""
        own, both = self._moves_of_service(state.service), self._moves_of_both(state.service, state.partners)
        acted = [self._act(state.service, found) for found in state.found]
        for move in chain(both, own, acted):
            may = state.may
            if move.costs is not None:
                if not may[move.costs]:
                    continue
                may = (*may[: move.costs], may[move.costs] - 1, *may[move.costs + 1 :])
            found = state.found
            if move.acts_on is not None:
                found = tuple(each for each in found if each is not move.acts_on)
            elif move.finds is not None:
                if len(found) == self.world.sweeps or move.finds in found:
                    continue
                found = tuple(sorted((*found, move.finds)))
            if found and move.service != state.service:
                found = self._outdated(found, state.service, move.service)
            yield move, State(move.service, state.partners if move.partners < 0 else move.partners, found, may)

    def wrong(self, state: State) -> str | None:
        """What is wrong in a state."""
        pair = state.service, state.partners
        if pair not in self._wrong:
            self._wrong[pair] = next(rules.broken_in(self.services.values[pair[0]], self.partners.values[pair[1]]), None)
        return self._wrong[pair]

    def is_end(self, state: State) -> bool:
        """Whether nothing has to happen any more, or only what operators do who have done all that this world lets them do."""
        service = self.services.values[state.service]
        if service.holder:
            suspended = service.holder.status is SagaStatus.FAILED and service.holder.pending is None
            return suspended and not any(state.may[self.costs[name]] for name in OPERATORS if name in self.costs)
        return service.order.order_status in (*rules.ENDS, *self.world.enough) or service.order.payment_status == "REFUNDED"

    # The moves of a service, whatever the partners have done

    def _moves_of_service(self, number: int) -> list[Move]:
        if number not in self._own:
            self._own[number] = list(self._own_moves(number))
        return self._own[number]

    def _own_moves(self, number: int) -> Iterator[Move]:
        service = self.services.values[number]
        for name, asked in PEOPLE.items():
            if name in self.costs:
                move = self._run(number, name, asked(self.rules, service.order), costs=self.costs[name])
                if move.broken or move.service != number:
                    yield move
        late = moves.time_is_over(service) if LATE in self.costs else None
        if late:
            yield Move(LATE, self._number(late), -1, costs=self.costs[LATE])
        for found, then in moves.found_by_sweep(service):
            if found.job != "uncompleted":
                yield Move(_finding(service, found), self._number(then), -1, finds=found)
            elif UNCOMPLETED in self.costs:
                yield Move(_finding(service, found), number, -1, finds=found, costs=self.costs[UNCOMPLETED])

    def _act(self, number: int, found: Found) -> Move:
        if (number, found) not in self._acted:
            service = self.services.values[number]
            move = self._run(number, _acting(service, found), moves.acted_on(self.rules, service, found))
            after = self.services.values[move.service]
            broken = move.broken or (rules.wrongly_swept(service, after, found.command_id) if found.job == "overdue" else None)
            self._acted[number, found] = move._replace(acts_on=found, broken=broken)
        return self._acted[number, found]._replace(acts_on=found)

    # The moves between service and partners

    def _moves_of_both(self, number: int, of: int) -> list[Move]:
        pair = number, of
        if pair not in self._both:
            self._both[pair] = list(chain(self._work(number, of), self._replies(number, of)))
        return self._both[pair]

    def _work(self, number: int, of: int) -> Iterator[Move]:
        service, partners = self.services.values[number], self.partners.values[of]
        for command in service.sent:
            if command.id in partners.answers:
                continue
            yield self._answered(number, command, partners.willing(command))
            if REFUSAL in self.costs and command.type in UNWILLING:
                yield self._answered(number, command, partners.refusing(command))._replace(costs=self.costs[REFUSAL])
        authorized = any(payment.status == "AUTHORIZED" for payment in partners.account.payments)
        if EXPIRY in self.costs and authorized and not partners.expired:
            then = Partners(partners.account, partners.answers, expired=True)
            yield Move(EXPIRY, number, self.partners.number(then, then.key), costs=self.costs[EXPIRY])

    def _answered(self, number: int, command: Command, then: Partners) -> Move:
        partner = command.type.split(".", maxsplit=1)[0]
        what = (
            f"the {partner} service takes {self.services.values[number].called(command.id)} and says {then.answers[command.id].reply.TYPE}"
        )
        return Move(what, number, self.partners.number(then, then.key))

    def _replies(self, number: int, of: int) -> Iterator[Move]:
        partners = self.partners.values[of]
        for answer in partners.answers.values():
            move = self._take(number, answer)
            if move:
                yield move
        if partners.expired:
            payment = partners.account.payments[-1].payment_id
            move = self._run(number, "payment.authorization_expired comes", moves.expiry_comes(self.rules, payment))
            if move.broken or move.service != number:
                yield move

    def _take(self, number: int, answer: Answer) -> Move | None:
        """An answer comes; None where that changes nothing, as it mostly is with one that nobody awaits.

        What becomes of such a one depends on its own saga and the order alone, so it is tried once for all services with these.
        """
        service = self.services.values[number]
        late = None if service.awaits(answer.command_id) else (service.order_key, service.saga_key(answer.saga_id), answer)
        if late in self._changes_nothing:
            return None
        if (number, answer) not in self._taken:
            what = f"{answer.reply.TYPE} comes for {service.called(answer.command_id)}"
            move = self._run(number, what, moves.comes(self.rules, answer))
            broken = move.broken or rules.wrongly_taken(service, self.services.values[move.service], answer.command_id)
            if late and not broken:
                self._changes_nothing.add(late)
                return None
            self._taken[number, answer] = move._replace(broken=broken)
        return self._taken[number, answer]

    def _run(self, number: int, what: str, operation: Operation, *, costs: int | None = None) -> Move:
        committed = run(self.services.values[number], operation)
        before = self.services.values[number]
        then = number if committed.service is before or committed.service is None else self._number(committed.service)
        return Move(what, then, -1, costs, broken=committed.broken)

    def _number(self, service: Service) -> int:
        return self.services.number(service, service.key)

    def _outdated(self, found: tuple[Found, ...], before: int, after: int) -> tuple[Found, ...]:
        """What sweeps have found of an order that has changed since."""
        if self.services.values[before].order.version == self.services.values[after].order.version:
            return found
        return tuple(sorted(replace(each, outdated=True) if each.job == "uncompleted" else each for each in found))


def explore(world: World, most: int = 10_000_000) -> Explored:
    """Visit every state of the world, or the `most` nearest ones, until a rule is broken."""
    with in_memory():
        return _explore(Search(world), most)


def _explore(search: Search, most: int) -> Explored:
    first = search.first()
    numbers = {first: 0}
    came: list[tuple[int, Move | None]] = [(0, None)]
    leads_to: list[array[int]] = []
    waiting = deque([first])
    made = 0
    while waiting and len(leads_to) < most:
        state = waiting.popleft()
        number = len(leads_to)
        leads_to.append(array("i"))
        for move, then in search.steps(state):
            made += 1
            new = then not in numbers
            if new:
                numbers[then] = len(came)
                came.append((number, move))
                waiting.append(then)
            leads_to[number].append(numbers[then])
            broken = move.broken or (search.wrong(then) if new else None)
            if broken:
                return Explored(len(came), made, (*_story(search, list(numbers), came, number, move), broken))
    stuck = None if waiting else _stuck(leads_to, [search.is_end(state) for state in numbers])
    if stuck is None:
        return Explored(len(came), made, complete=not waiting)
    from_, last = came[stuck]
    told = _story(search, list(numbers), came, from_, last) if last else ()
    return Explored(len(came), made, (*told, "from here no end can be reached"))


def _stuck(leads_to: list["array[int]"], ends: list[bool]) -> int | None:
    """The first state from which no end can be reached."""
    comes_from: list[array[int]] = [array("i") for _ in leads_to]
    for number, then in enumerate(leads_to):
        for each in then:
            comes_from[each].append(number)
    good = bytearray(ends)
    waiting = [number for number, is_end in enumerate(ends) if is_end]
    while waiting:
        for number in comes_from[waiting.pop()]:
            if not good[number]:
                good[number] = True
                waiting.append(number)
    return next((number for number, reached in enumerate(good) if not reached), None)


def _story(search: Search, states: list[State], came: list[tuple[int, Move | None]], number: int, last: Move) -> tuple[str, ...]:
    """The moves that led to a state, and `last`, each with what it changed."""
    way = [(number, last)]
    while (before := came[way[-1][0]])[1] is not None:
        way.append((before[0], before[1]))
    return tuple(_sentence(search, states[from_], move) for from_, move in reversed(way))


def _sentence(search: Search, state: State, move: Move) -> str:
    if move.service == state.service or move.finds:
        return move.what
    return f"{move.what}: {search.services.values[move.service]}"


def _done(committed: Committed) -> Service:
    assert committed.service and not committed.refused and not committed.broken, committed.broken
    return committed.service


def _finding(service: Service, found: Found) -> str:
    if found.job == "overdue":
        return f"a sweep finds {service.called(found.command_id)} overdue{'' if found.published else ', and not yet published'}"
    return f"a sweep finds the order {found.job}"


def _acting(service: Service, found: Found) -> str:
    return f"the sweep acts on {service.called(found.command_id)}" if found.job == "overdue" else f"the sweep acts on the order {found.job}"
