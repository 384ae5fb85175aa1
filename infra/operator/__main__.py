"""What an operator asks for: `python -m infra.operator why`, and so on for each of COMMANDS. On a stack at home or a deployed service."""

import sys
from collections.abc import Callable

from infra.commands import run_command


def _audit() -> int:
    from infra.operator.audit import audit

    return audit()


def _why() -> int:
    from infra.operator.why import why

    return why()


def _dead_letters() -> int:
    from infra.operator.dead_letters import dead_letters

    return dead_letters()


def _redrive() -> int:
    from infra.operator.dead_letters import redrive

    return redrive()


def _dismiss() -> int:
    from infra.operator.dead_letters import dismiss

    return dismiss()


def _logs() -> int:
    from infra.operator.logs import logs

    return logs()


def _top() -> int:
    from infra.operator.top import top

    return top()


def _roles() -> int:
    from chalicelib.entrypoints.roles import make_roles
    from infra.console import say

    make_roles({}, None)
    say("both roles are made; migrate as the owner's role next")
    return 0


COMMANDS: dict[str, Callable[[], int]] = {
    "audit": _audit,
    "why": _why,
    "dead-letters": _dead_letters,
    "redrive": _redrive,
    "dismiss": _dismiss,
    "logs": _logs,
    "top": _top,
    "roles": _roles,
}

if __name__ == "__main__":
    sys.exit(run_command("infra.operator", COMMANDS))
