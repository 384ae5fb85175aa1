"""Worlds: how far an order has come when a search begins, and what may happen from there, how often.

Replies come, commands are worked or not, and sweeps go on as long as there is anything for them to do: those have no bound. With larger
`bounds` everything else may happen once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chalicelib.orders.order import OrderStatus
from tests.explorer.moves import COMPENSATED, EXPIRY, LATE, REFUSAL, RETRIED, UNCOMPLETED

MOVED_ON = "the runner moves the order on"
ACCEPTED = ("run_1 accepts the order",)
DELIVERED = (*ACCEPTED, MOVED_ON, MOVED_ON, MOVED_ON)


@dataclass(frozen=True)
class World:
    """`given`: what people have asked for before, with everybody willing; None: nothing at all, the order was just placed.

    `may`: what may happen, and how often at most. `enough`: at rest in one of these statuses an order need not go on. `attempts` copies of
    a command are sent; `sweeps` run at once.
    """

    name: str
    given: tuple[str, ...] | None
    may: Mapping[str, int]
    enough: tuple[OrderStatus, ...] = ()
    attempts: int = 1
    sweeps: int = 1

    def larger(self, by: int) -> "World":
        """The world in which everything may happen so many times more."""
        return replace(self, attempts=self.attempts + by, may={name: number + by for name, number in self.may.items()})


WORLDS = {
    world.name: world
    for world in (
        World(
            "create",
            given=None,
            may={REFUSAL: 1, EXPIRY: 1, "the customer cancels": 1, RETRIED: 1, COMPENSATED: 1},
            enough=(OrderStatus.READY_FOR_PICKUP,),
            attempts=2,
        ),
        World(
            "accept",
            given=(),
            may={REFUSAL: 1, LATE: 1, "run_1 accepts the order": 1, "run_2 accepts the order": 1, RETRIED: 1},
            enough=(OrderStatus.ACCEPTED,),
        ),
        World(
            "complete",
            given=DELIVERED,
            may={REFUSAL: 2, EXPIRY: 1, "the customer completes the order": 1, UNCOMPLETED: 1, RETRIED: 1, COMPENSATED: 1},
            enough=(OrderStatus.DELIVERED,),
            attempts=2,
        ),
        World(
            "cancel",
            given=ACCEPTED,
            may={
                EXPIRY: 1,
                LATE: 1,
                "run_2 accepts the order": 1,
                "the customer cancels": 1,
                "an admin cancels": 1,
                "the runner gives the order back": 1,
                MOVED_ON: 1,
            },
            enough=(OrderStatus.ACCEPTED, OrderStatus.COLLECTED),
            sweeps=2,
        ),
    )
}
