"""Which parts the stack has, in which order they start and end, and what each of them is told."""

import asyncio
import contextlib
import os
from collections.abc import Mapping

from infra.console import progress, say
from infra.esm.forks import ForkFailed
from infra.stack import ports
from infra.stack.broker import EmbeddedBroker
from infra.stack.devkeys import jwks_file
from infra.stack.keeper import ROOT, Keeper, all_of, module_command
from infra.stack.part_forks import PartForks
from infra.stack.postgres import EmbeddedPostgres
from infra.stack.process import Process, ServerCommand, ServerError
from infra.stack.runfile import RunInfo, publish, withdraw
from infra.stack.settings import StackSettings
from infra.stack.setup import make_tables, make_topics
from infra.stack.supervisor import Part, PartError
from infra.stack.threads import in_thread

MODULES = {"gateway": "infra.gateway", "partners": "infra.partners", "triggers": "infra.stack.triggers"}
DEFAULT_HTTP_PORT = 8000
DATABASE_POOL_SIZE = 20
RESTART_PATIENCE_SECONDS = 1.0


class StackError(ServerError):
    """The stack can't be started."""


class Stack:
    """The parts of one stack. All methods are for one event loop, in the main thread."""

    def __init__(self, settings: StackSettings, parts_lock: int, hurry: asyncio.Event) -> None:
        """Nothing is started yet; the folders of DATA_DIR must exist. When `hurry` is set, no part's end is waited for."""
        self._settings = settings
        self.logs = settings.data_dir / "logs"
        self._keeper = Keeper(self.logs, parts_lock, hurry)
        self.http_port = settings.http_port or ports.free_port_from(DEFAULT_HTTP_PORT)
        self.postgres = EmbeddedPostgres(settings.data_dir, ports.free_port()) if settings.database_url is None else None
        self.broker = EmbeddedBroker(settings.data_dir, ports.free_port()) if settings.kafka_brokers is None else None
        self._postgres = self._postgres_part(self.postgres) if self.postgres else None
        self._broker = self._broker_part(self.broker) if self.broker else None
        self._forks = PartForks([parts_lock])
        self._preload = self._keeper.part("preload", lambda: self._module_command("infra.stack.preload"), launch=self._forks.start)
        self._partners = self._python_part("partners") if settings.partners == "simulated" else None
        self._triggers = self._python_part("triggers", stop_patience=2.5)
        self._gateway = self._python_part("gateway")

    @property
    def http_url(self) -> str:
        """Where the API is."""
        return f"http://{ports.HOST}:{self.http_port}"

    @property
    def bootstrap(self) -> str:
        """Where Kafka is."""
        return self._settings.kafka_brokers or (self.broker.bootstrap if self.broker else "")

    @property
    def database_url(self) -> str:
        """Where the database is, password included."""
        given = self._settings.database_url
        return given.get_secret_value() if given else self.postgres.url() if self.postgres else ""

    def variables(self) -> dict[str, str]:
        """What the service's own code must find in its environment to work on this stack."""
        return {
            "DATABASE_URL": self.database_url,
            "DATABASE_POOL_SIZE": str(DATABASE_POOL_SIZE),
            "KAFKA_BROKERS": self.bootstrap,
            "DEV_JWKS_FILE": str(jwks_file(self._settings.data_dir)),
            **self._settings.variables(),
            "POWERTOOLS_SERVICE_NAME": "orders",
            "POWERTOOLS_METRICS_DISABLED": "true",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "orders_app"))),
        }

    async def start(self) -> None:
        """Start every part and return when all are at work.

        Raises ServerError; what was started until then is left to `stop`.
        """
        if self.postgres is not None:
            async with progress("making the database cluster"):
                await in_thread(self.postgres.prepare)
        if self.broker is not None:
            self.broker.prepare()
        await all_of(*(self._start(part) for part in (self._postgres, self._broker, self._preload) if part is not None))
        async with progress("making tables and topics"):
            await all_of(in_thread(lambda: make_tables(self.database_url)), in_thread(self._make_topics))
        await all_of(
            *(self._start(part) for part in (self._partners, self._triggers) if part is not None),
            self._start_gateway(),
        )
        self._publish()

    async def stop(self) -> None:
        """End every part in order and withdraw run.json."""
        await self._keeper.let_go()
        withdraw(self._settings.data_dir)
        await self._keeper.end((self._gateway, self._triggers, self._partners, self._broker, self._postgres, self._preload))

    async def failed(self) -> None:
        """Wait for ever; raise what no restart can mend, should it happen."""
        await self._keeper.failed()

    async def _start(self, part: Part) -> None:
        await self._keeper.start(part, self._is_back)

    async def _start_gateway(self) -> None:
        while True:
            try:
                return await self._start(self._gateway)
            except PartError:
                # Between choosing the port and listening on it, another stack may have taken it.
                if self._settings.http_port is not None or not ports.accepts(ports.HOST, self.http_port):
                    raise
                self.http_port = ports.free_port_from(self.http_port + 1)

    async def _is_back(self, part: Part) -> None:
        if part is self._broker:
            # It may have lost records and committed offsets: those who read from it begin anew.
            say("kafka may have lost records: those who read from it are started anew")
            await all_of(*(reader.stop(RESTART_PATIENCE_SECONDS) for reader in (self._triggers, self._partners) if reader is not None))
        self._publish()

    def _publish(self) -> None:
        """Write run.json if every part is at work; else the part that comes back last does."""
        parts = [part for part in (self._postgres, self._broker, self._partners, self._triggers, self._gateway) if part is not None]
        if all(part.at_work for part in parts):
            publish(self._settings.data_dir, self._run_info(), self.variables())

    def _run_info(self) -> RunInfo:
        return RunInfo(
            http_url=self.http_url,
            http_pid=_running(self._gateway),
            triggers_pid=_running(self._triggers),
            partners_pid=self._partners.pid if self._partners else None,
            kafka_bootstrap=self.bootstrap,
            kafka_pid=self._broker.pid if self._broker else None,
            postgres_url=self.database_url,
            postgres_pid=self._postgres.pid if self._postgres else None,
        )

    def _make_topics(self) -> None:
        make_topics(self.bootstrap, embedded=self.broker is not None)

    def _postgres_part(self, server: EmbeddedPostgres) -> Part:
        return self._keeper.part(
            "postgres", server.command, is_ready=server.is_ready, after_start=server.ensure_database, stop_patience=3.0
        )

    def _broker_part(self, broker: EmbeddedBroker) -> Part:
        return self._keeper.part("kafka", broker.command, is_ready=broker.is_ready, after_start=self._make_topics)

    def _python_part(self, name: str, stop_patience: float = 2.0) -> Part:
        return self._keeper.part(name, lambda: self._python_command(name), launch=self._launch_python, stop_patience=stop_patience)

    def _python_command(self, name: str) -> ServerCommand:
        own: Mapping[str, str] = {"HTTP_PORT": str(self.http_port)} if name == "gateway" else {}
        return self._module_command(MODULES[name], own)

    def _module_command(self, module: str, environment: Mapping[str, str] | None = None) -> ServerCommand:
        return module_command(module, {**self.variables(), **(environment or {})})

    def _launch_python(self, command: ServerCommand, output: int, announce: int) -> Process:
        """Fork the part if the process for that is there; else start it, which takes longer."""
        if self._preload.at_work:
            with contextlib.suppress(ForkFailed):
                return self._forks.fork(command, output, announce)
        return self._keeper.launch(command, output, announce)


def _running(part: Part) -> int:
    if part.pid is None:
        raise StackError(f"{part.name} was never started")
    return part.pid
