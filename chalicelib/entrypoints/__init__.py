"""What AWS calls. Each module is imported when it is first asked for, as a function on Lambda needs but few of them.

Importing all of them is most of what a cold start takes, and a function that takes replies has no use for HTTP, nor the authorizer for a
database. What a function does need is imported while it is initialized: on Lambda that has a whole processor, as a call mostly has not.
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # So that checkers of types know what `__getattr__` gives.
    from chalicelib.entrypoints import board as board
    from chalicelib.entrypoints import console as console
    from chalicelib.entrypoints import dead_letters as dead_letters
    from chalicelib.entrypoints import documents as documents
    from chalicelib.entrypoints import health as health
    from chalicelib.entrypoints import kafka as kafka
    from chalicelib.entrypoints import maintenance as maintenance
    from chalicelib.entrypoints import orders as orders
    from chalicelib.entrypoints import sagas as sagas
    from chalicelib.entrypoints import schedules as schedules
    from chalicelib.entrypoints import search as search
    from chalicelib.entrypoints import tokens as tokens

# Whoever publishes needs the client of Kafka; the scheduled functions mostly find nothing to be published.
TAKING_REPLIES = ("chalicelib.entrypoints.kafka", "chalicelib.messaging.brokers")
SCHEDULED = ("chalicelib.entrypoints.schedules",)
# What each function works with, by its handler's name in app.py.
NEEDED: Mapping[str, Sequence[str]] = {
    "app": (
        *("chalicelib.entrypoints.orders", "chalicelib.entrypoints.sagas", "chalicelib.entrypoints.dead_letters"),
        *("chalicelib.entrypoints.search", "chalicelib.entrypoints.board"),
        *("chalicelib.entrypoints.health", "chalicelib.entrypoints.documents"),
        *("chalicelib.entrypoints.console", "chalicelib.messaging.brokers"),
    ),
    "token_auth": ("chalicelib.entrypoints.tokens",),
    "on_user_events": TAKING_REPLIES,
    "on_payment_events": TAKING_REPLIES,
    "on_escrow_events": TAKING_REPLIES,
    "sweep_timeouts": SCHEDULED,
    "relay_outbox": SCHEDULED,
    "purge_expired": SCHEDULED,
    "audit_invariants": SCHEDULED,
    "migrate": ("chalicelib.entrypoints.maintenance",),
}
MODULES = {needed for all_needed in NEEDED.values() for needed in all_needed}
# At home one process has all functions but this one: `make run` migrates by itself.
AT_HOME = sorted(MODULES - {*NEEDED["migrate"]})
# Needed besides by whoever signs in by IAM.
SIGNING = ("botocore.auth", "botocore.awsrequest", "botocore.session")


def __getattr__(name: str) -> ModuleType:
    module = f"{__name__}.{name}"
    if module not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(module)


def prepare(environ: Mapping[str, str] = os.environ) -> None:
    """Import what the function of this process needs, whose handler Lambda names, or what is needed at home."""
    function = environ.get("_HANDLER", "").rpartition(".")[2]
    needed = NEEDED.get(function, AT_HOME)
    by_iam = "DATABASE_USER" in environ or environ.get("KAFKA_SECURITY") == "MSK_IAM"
    for module in (*needed, *(SIGNING if by_iam else ())):
        importlib.import_module(module)
