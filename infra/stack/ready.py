"""How a child process of the stack tells its supervisor that it is at work."""

import os


def descriptors() -> list[int]:
    """The descriptor to write to, where somebody waits; what this process forks must close it."""
    return [int(os.environ["READY_FD"])] if "READY_FD" in os.environ else []


def announce() -> None:
    """Write `ready` to the descriptor in `READY_FD` and close it; do nothing where nobody waits."""
    descriptor = os.environ.pop("READY_FD", None)
    if descriptor is None:
        return
    os.write(int(descriptor), b"ready\n")
    os.close(int(descriptor))
