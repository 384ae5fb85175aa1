"""What a run on the emulated AWS is made on: the package of `make package`, deployed to MiniStack for the run."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from infra.aws.package import FOLDER
from infra.deploy import home
from infra.stack.ports import free_port
from infra.stack.running import run_info
from tests.chaos.clients import Log, Service
from tests.chaos.faults import CUT, FREEZE, FUNCTION, KILL, PROXIED, RESET, Pace, Proxied
from tests.chaos.place import Place
from tests.support import proxy, tcp_proxy

# As on AWS the clock comes by each minute, which is the grain of all timeouts.
PARAMETERS = "StepTimeoutSeconds=5 AcceptTimeoutSeconds=60 CompleteTimeoutSeconds=60"
SWEEP_SECONDS = 60.0
ORDERS_A_MINUTE = 30
# Each request that comes while others are answered starts one more process of a function, which unpacks the whole package first.
PEOPLE = 8
PACE = Pace((3.0, 8.0), (0.5, 6.0))
PARTS = ("triggers", "partners", "kafka", "postgres", FUNCTION)
# `http` is MiniStack itself: it keeps all in memory, and is deployed to once more when it was killed, which takes most of a minute. So
# that comes once while everything else comes several times.
CATALOGUE: Mapping[str, Sequence[str]] = {
    KILL: ("http", *PARTS, FUNCTION, FUNCTION, FUNCTION),
    FREEZE: PARTS * 3,
    CUT: PROXIED * 4,
    RESET: PROXIED * 4,
}


@contextmanager
def deployed(folder: Path) -> Iterator[Place]:
    """A deployment of its own behind proxies: its API, and for its functions PostgreSQL and the broker; removed with the block."""
    folder.mkdir(mode=0o700)
    os.environ |= {"DATA_DIR": str(folder), "HTTP_PORT": str(free_port())}
    home.deploy(FOLDER, PARAMETERS)
    try:
        with ExitStack() as open_:
            info = run_info(folder)
            ports = {"http": port_of(info["http"]["url"]), "postgres": port_of(info["postgres"]["url"])}
            before = {name: open_.enter_context(tcp_proxy.before(port)) for name, port in ports.items()}
            broker = open_.enter_context(proxy.standing_before(port_of(f"//{info['kafka']['bootstrap']}")))
            database = info["postgres"]["url"].replace(f":{ports['postgres']}/", f":{before['postgres'].port}/")
            # Where the servers are is known once they run, so the functions hear of the proxies by an update.
            home.deploy(FOLDER, f"{PARAMETERS} {shlex.quote(f'DatabaseUrl={database}')} KafkaBrokers={broker.bootstrap}")
            log = Log()
            proxies = {name: Proxied(each.stall, each.release, each.reset) for name, each in before.items()}
            yield Place(
                service=Service(lambda: str(run_info(folder)["http"]["url"]), before["http"].port, folder, log, emulated=True),
                log=log,
                database=info["postgres"]["url"],
                bootstrap=info["kafka"]["bootstrap"],
                pid_of=lambda part: int(run_info(folder)[part]["pid"]),
                proxies={**proxies, "kafka": Proxied(broker.stall, broker.release, broker.cut)},
                sweep_seconds=SWEEP_SECONDS,
                functions="http",
                people=PEOPLE,
            )
    finally:
        home.undeploy()


def port_of(url: str) -> int:
    """The port that a URL names."""
    port = urlsplit(url).port
    assert port is not None, url
    return port
