"""`make explore`: every world with everything possible once more, up to a million states each.

By make: `make explore WORLD=accept` for one of them, `MORE=2` for everything twice more, `STATES=200000`. Returns 1 where a rule is broken.
"""

import os
import sys
import time

from infra.console import complain, say
from tests.explorer.explore import explore
from tests.explorer.worlds import WORLDS

MORE, STATES = 1, 1_000_000


def main() -> int:
    """Explore, print, and return the exit code."""
    world = os.environ.get("WORLD", "")
    if world and world not in WORLDS:
        complain(f"make explore: WORLD is one of {', '.join(WORLDS)}, not {world}")
        return 2
    more, most = int(os.environ.get("MORE") or MORE), int(os.environ.get("STATES") or STATES)
    codes = [_explored(name, more, most) for name in ([world] if world else WORLDS)]
    return max(codes)


def _explored(name: str, more: int, most: int) -> int:
    begun = time.monotonic()
    explored = explore(WORLDS[name].larger(more), most)
    reach = "all of them" if explored.complete else "the nearest ones"
    say(f"{name}: {explored.states} states, {reach}, {explored.moves} moves, {time.monotonic() - begun:.0f} s")
    say(*(f"  {number}. {line}" for number, line in enumerate(explored.story, start=1)))
    return 1 if explored.story else 0


if __name__ == "__main__":
    sys.exit(main())
