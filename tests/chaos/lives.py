"""What becomes of orders when all goes well: each has a fate, in which customers, runners and admins play their parts."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any, NamedTuple

from tests.chaos.clients import Person, Service
from tests.support.history import Request

DISHES = (("Laksa", "5.50"), ("Chicken rice", "4.50"), ("Satay", "0.80"), ("Kaya toast", "2.10"))
CUSTOMERS, RUNNERS, ADMINS = 20, 10, 2
ON_THE_WAY = (("ACCEPTED", "COLLECTED"), ("COLLECTED", "ON_THE_WAY"), ("ON_THE_WAY", "DELIVERED"))
ENDS = ("COMPLETED", "CANCELLED", "TIMED_OUT")
WAITS = (None, None, 3, 10)
# How often somebody looks again for a status that is not there yet.
LOOKS, LONGEST_PAUSE_SECONDS = 20, 3.0


class Life:
    """One order, from its placing on; everything random about it comes from `random`."""

    def __init__(self, service: Service, random: Random) -> None:
        self._random = random
        self._service = service
        self._admin = self._person("adm", "admin", ADMINS)
        self._runner = self._person("runner", "runner", RUNNERS)
        self._customer = self._person("cust", "customer", CUSTOMERS)
        self._path = ""

    def live(self) -> None:
        """Play it to its end, or as far as it goes."""
        fate = self._random.choices(FATES, [each.weight for each in FATES])[0]
        if fate.customer:
            self._customer = self._service.person(f"{fate.customer}_{self._random.randint(1, 3)}", "customer", self._random)
        if self._place():
            fate.play(self)
            self._look(self._admin)

    def complete(self) -> None:
        if self._accept(self._runner):
            self._deliver()
            self._pay()

    def race(self) -> None:
        """Two runners want it, at the same time."""
        rival = self._person("runner", "runner", RUNNERS)
        if not self._await("READY_FOR_PICKUP"):
            return
        with ThreadPoolExecutor(2) as both:
            answers = list(both.map(self._take, (self._runner, rival)))
        won = [runner for runner, answer in zip((self._runner, rival), answers, strict=True) if answer.status in (200, 202)]
        if won:
            self._runner = won[0]
            self._deliver()
            self._pay()

    def give_back(self) -> None:
        if self._accept(self._runner):
            self._runner.insist("POST", f"{self._path}/cancel-acceptance", key=self._key(), wait=self._wait())
            self._runner = self._person("runner", "runner", RUNNERS)
            self.complete()

    def reject_a_runner(self) -> None:
        if self._await("READY_FOR_PICKUP"):
            self._take(self._service.person("rejected_1", "runner", self._random))
            self.complete()

    def cancel_at_once(self) -> None:
        self._cancel(self._customer)

    def cancel_when_open(self) -> None:
        self._await("READY_FOR_PICKUP")
        self._cancel(self._customer)

    def cancel_when_accepted(self) -> None:
        self._accept(self._runner)
        self._cancel(self._customer)

    def cancel_on_the_way(self) -> None:
        if self._accept(self._runner):
            self._deliver(self._random.randint(1, 3))
            self._cancel(self._admin)

    def leave_delivered(self) -> None:
        """The clock completes it."""
        if self._accept(self._runner):
            self._deliver()

    def leave(self) -> None:
        """The clock ends it, or the partners do."""

    def _person(self, name: str, role: str, number: int) -> Person:
        return self._service.person(f"{name}_{self._random.randint(1, number)}", role, self._random)

    def _place(self) -> bool:
        items = self._random.sample(DISHES, self._random.randint(1, 3))
        food = [{"name": name, "price": price, "quantity": self._random.randint(1, 4)} for name, price in items]
        details = {"foodItems": food, "storeLocation": "Koufu", "deliveryLocation": f"Hall {self._random.randint(1, 9)}"}
        placed = self._customer.insist("POST", "/api/orders", {"orderDetails": details}, key=self._key(), wait=self._wait())
        # Also a saga that ended badly inside the wait shows its order.
        if placed.shown:
            self._path = f"/api/orders/{placed.shown[0]['orderId']}"
        return bool(placed.shown)

    def _accept(self, runner: Person) -> bool:
        """Whether that runner has it in the end."""
        return self._await("READY_FOR_PICKUP") and self._take(runner).status in (200, 202) and self._await("ACCEPTED")

    def _take(self, runner: Person) -> Request:
        return runner.insist("POST", f"{self._path}/accept", {"runnerId": runner.sub}, key=self._key(), wait=self._wait())

    def _deliver(self, steps: int = 3) -> None:
        for before, status in ON_THE_WAY[:steps]:
            if not self._await(before):
                return
            by = self._random.choice((self._runner, self._runner, self._admin))
            by.insist("PATCH", f"{self._path}/status", {"status": status})

    def _pay(self) -> None:
        if self._await("DELIVERED"):
            by = self._random.choice((self._runner, self._customer, self._admin))
            by.insist("POST", f"{self._path}/complete", key=self._key(), wait=self._wait())

    def _cancel(self, by: Person) -> None:
        by.insist("POST", f"{self._path}/cancel", {"reason": "changed my mind"}, key=self._key(), wait=self._wait())

    def _await(self, *wanted: str) -> bool:
        """Look until the order has one of these statuses and nobody holds it; whether that came."""
        for _ in range(LOOKS):
            order = self._look(self._random.choice((self._customer, self._admin)))
            if order and order["activeSagaId"] is None and (order["orderStatus"] in wanted or order["orderStatus"] in ENDS):
                return bool(order["orderStatus"] in wanted)
            if self._customer.pause(LONGEST_PAUSE_SECONDS):
                break
        return False

    def _look(self, by: Person) -> Any:
        """The order as somebody reads it; now and then its history or a list besides."""
        if self._random.random() < 0.3:
            by.ask("GET", self._random.choice((f"{self._path}/history", "/api/orders?limit=4", "/api/orders?cursor=&limit=3")))
        read = by.ask("GET", self._path)
        return read.answer if read.status == 200 else None

    def _key(self) -> str | None:
        """Mostly requests can be repeated without a second effect."""
        return f"key-{self._random.getrandbits(64):x}" if self._random.random() < 0.9 else None

    def _wait(self) -> int | None:
        return self._random.choice(WAITS)


class Fate(NamedTuple):
    """How many in a hundred orders have it, what is done, and whose they are where that decides."""

    weight: int
    play: Callable[[Life], None]
    customer: str = ""


FATES: Sequence[Fate] = (
    Fate(45, Life.complete),
    Fate(10, Life.race),
    Fate(7, Life.give_back),
    Fate(4, Life.reject_a_runner),
    Fate(7, Life.cancel_at_once),
    Fate(6, Life.cancel_when_open),
    Fate(5, Life.cancel_when_accepted),
    Fate(4, Life.cancel_on_the_way),
    Fate(3, Life.leave_delivered),
    Fate(3, Life.leave),
    Fate(2, Life.leave, "declined"),
    Fate(1, Life.leave, "rejected"),
    Fate(2, Life.leave, "noescrow"),
    Fate(1, Life.leave, "silent"),
)
