"""What a run on the emulated AWS is made on: the package of `make package`, deployed to MiniStack for the run."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from infra.aws.package import FOLDER
from infra.deploy import home
from infra.stack.ports import free_port
from infra.stack.running import run_info
from tests.chaos.clients import Log, Service
from tests.chaos.faults import CUT, FREEZE, FUNCTION, KILL, RESET, Pace, Proxied
from tests.chaos.place import Place
from tests.support import tcp_proxy

# As on AWS the clock comes by each minute, which is the grain of all timeouts.
PARAMETERS = "StepTimeoutSeconds=5 AcceptTimeoutSeconds=60 CompleteTimeoutSeconds=60"
SWEEP_SECONDS = 60.0
PACE = Pace((4.0, 12.0), (0.5, 6.0))
PARTS = ("triggers", "partners", "kafka", "postgres", FUNCTION)
# `http` is MiniStack itself: it keeps all in memory, and is deployed to once more when it was killed, which takes most of a minute.
CATALOGUE: Mapping[str, Sequence[str]] = {KILL: ("http", *PARTS), FREEZE: PARTS, CUT: ("http",), RESET: ("http",)}


@contextmanager
def deployed(folder: Path) -> Iterator[Place]:
    """A deployment of its own, its API behind a proxy; removed with the block."""
    folder.mkdir(mode=0o700)
    os.environ |= {"DATA_DIR": str(folder), "HTTP_PORT": str(free_port())}
    home.deploy(FOLDER, PARAMETERS)
    try:
        info = run_info(folder)
        with tcp_proxy.before(urlsplit(info["http"]["url"]).port or 0) as http:
            log = Log()
            yield Place(
                service=Service(lambda: str(run_info(folder)["http"]["url"]), http.port, folder, log, emulated=True),
                log=log,
                database=info["postgres"]["url"],
                bootstrap=info["kafka"]["bootstrap"],
                pid_of=lambda part: int(run_info(folder)[part]["pid"]),
                proxies={"http": Proxied(http.stall, http.release, http.reset)},
                sweep_seconds=SWEEP_SECONDS,
                functions="http",
            )
    finally:
        home.undeploy()
