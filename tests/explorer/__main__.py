"""`make explore`: every world with everything possible once more, or WORLD=… alone, up to STATES states each."""

import argparse
import os
import sys
import time

from tests.explorer.explore import explore
from tests.explorer.worlds import WORLDS

DEFAULT_STATES = 1_000_000


def main(names: list[str], more: int, most: int) -> int:
    broken = 0
    for name in names:
        began = time.monotonic()
        explored = explore(WORLDS[name].larger(more), most)
        reach = "all of them" if explored.complete else "the nearest ones"
        seconds = time.monotonic() - began
        sys.stdout.write(f"{name}: {explored.states} states, {reach}, {explored.moves} moves, {seconds:.0f} s\n")
        sys.stdout.writelines(f"  {number}. {line}\n" for number, line in enumerate(explored.story, start=1))
        sys.stdout.flush()
        broken += bool(explored.story)
    return min(broken, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="make explore", description=__doc__)
    parser.add_argument("--world", choices=WORLDS, default=os.environ.get("WORLD"))
    parser.add_argument("--more", type=int, default=int(os.environ.get("MORE", "1")), help="how many times more everything may happen")
    parser.add_argument("--states", type=int, default=int(os.environ.get("STATES", DEFAULT_STATES)))
    arguments = parser.parse_args()
    sys.exit(main([arguments.world] if arguments.world else list(WORLDS), arguments.more, arguments.states))
