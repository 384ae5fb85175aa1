"""`python -m tests.chaos.stack run`: a stack as `make run` has it, but its parts meet PostgreSQL and the embedded broker through proxies.

POSTGRES_PORTS and KAFKA_PORTS say where the server is to listen and where its proxy does: `5432:6432`.
"""

import asyncio
import os
import sys
from collections.abc import Mapping

from infra.commands import run_command
from infra.stack.ports import HOST
from infra.stack.run import run
from infra.stack.settings import StackSettings, read_settings
from infra.stack.stack import Stack


class ProxiedStack(Stack):
    """A stack whose addresses are those of proxies."""

    def __init__(self, settings: StackSettings, parts_lock: int, hurry: asyncio.Event) -> None:
        super().__init__(settings, parts_lock, hurry)
        self._proxies: dict[str, int] = {}
        for name, server in (("POSTGRES_PORTS", self.postgres), ("KAFKA_PORTS", self.broker)):
            if server is not None:
                server.port, self._proxies[name] = ports_of(name, os.environ)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self._proxies['KAFKA_PORTS']}" if self.broker else super().bootstrap

    @property
    def database_url(self) -> str:
        url = super().database_url
        return url.replace(f":{self.postgres.port}/", f":{self._proxies['POSTGRES_PORTS']}/") if self.postgres else url


def ports_of(name: str, environment: Mapping[str, str]) -> tuple[int, int]:
    """The port of a server and that of its proxy."""
    own, _, proxy = environment[name].partition(":")
    return int(own), int(proxy)


if __name__ == "__main__":
    sys.exit(run_command("tests.chaos.stack", {"run": lambda: run(read_settings(), ProxiedStack)}))
