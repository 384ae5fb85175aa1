"""What a run is made on: a stack of its own behind proxies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.stack.ports import HOST, free_port
from tests.chaos.clients import Log, Service
from tests.chaos.faults import CATALOGUE, PACE, Pace, Proxied, listening
from tests.support import proxy, tcp_proxy
from tests.support.history.reading import has_events
from tests.support.stack import Stack, StackFailedError

# A command is waited for 1 + 2 + 4 + 8 + 16 seconds, longer than any one fault takes.
SETTINGS = {
    "STEP_TIMEOUT_SECONDS": 1,
    "STEP_MAX_ATTEMPTS": 5,
    "ACCEPT_TIMEOUT_SECONDS": 45,
    "COMPLETE_TIMEOUT_SECONDS": 30,
    "SWEEP_SECONDS": 1,
}


@dataclass(frozen=True)
class Options:
    """How long, how many orders meanwhile, which faults how often, on which broker, with which of `make run`'s variables."""

    seconds: float
    orders: int
    seed: int
    catalogue: Mapping[str, Sequence[str]] = field(default_factory=lambda: CATALOGUE)
    pace: Pace = PACE
    kafka_brokers: str = ""
    settings: Mapping[str, float] = field(default_factory=lambda: SETTINGS)


@dataclass(frozen=True)
class Place:
    """A stack that a run is made on; `database` and `bootstrap` lead past its proxies."""

    service: Service
    log: Log
    database: str
    bootstrap: str
    pid_of: Callable[[str], int | None]
    proxies: Mapping[str, Proxied]
    sweep_seconds: float
    broker_keeps: bool = False
    """Whether the broker has on disk what it has acknowledged."""
    functions: str = "triggers"
    """The part among whose processes the functions are."""
    people: int = 96
    """How many orders may be under way at once; others begin later."""


class BehindProxies(Stack):
    MODULE = "tests.chaos.stack"


@contextmanager
def own_stack(options: Options, folder: Path) -> Iterator[Place]:
    """A stack of its own behind proxies, on the broker that is given, if one is; ended with the block."""
    http, postgres = free_port(), free_port()
    given = urlsplit(f"//{options.kafka_brokers}").port if options.kafka_brokers else None
    kafka = given or free_port()
    if given and has_events(f"{HOST}:{given}"):
        raise StackFailedError("KAFKA_BROKERS: the broker has events of another stack; start one with a DATA_DIR of its own")
    with ExitStack() as open_:
        before = {name: open_.enter_context(tcp_proxy.before(port)) for name, port in (("http", http), ("postgres", postgres))}
        broker = open_.enter_context(proxy.standing_before(kafka))
        ports = {"POSTGRES_PORTS": f"{postgres}:{before['postgres'].port}", "KAFKA_PORTS": f"{kafka}:{broker.port}"}
        brokers = {"KAFKA_BROKERS": broker.bootstrap} if given else {}
        variables: dict[str, Any] = {**ports, **brokers, **options.settings, "HTTP_PORT": http}
        stack = BehindProxies.start(folder, **variables)
        open_.callback(stack.stop)
        log = Log()
        proxies = {name: Proxied(each.stall, each.release, each.reset) for name, each in before.items()}
        yield Place(
            service=Service(lambda: stack.url, before["http"].port, folder, log),
            log=log,
            database=stack.run_json()["postgres"]["url"].replace(f":{before['postgres'].port}/", f":{postgres}/"),
            bootstrap=f"{HOST}:{kafka}",
            pid_of=lambda part: (stack.run_json()[part] or {}).get("pid") or listening(kafka),
            proxies={**proxies, "kafka": Proxied(broker.stall, broker.release, broker.cut)},
            sweep_seconds=options.settings["SWEEP_SECONDS"],
            broker_keeps=given is not None,
        )
