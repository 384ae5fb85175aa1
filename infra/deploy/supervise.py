"""The process that keeps a deployment at home running: `python -m infra.deploy.supervise`, started by `make deploy STAGE=home`.

It has the servers that are Amazon's on AWS: MiniStack with the stack deployed to it, PostgreSQL, a broker, an issuer's keys, what polls
Kafka for Lambda; and simulated partners.
"""

import asyncio
import os
import sys
from functools import partial

from infra.aws.parameters import shared_settings
from infra.console import complain, progress, say
from infra.deploy import jwks
from infra.deploy.errors import DeployError
from infra.deploy.ministack import FIRST_PORT, MiniStack
from infra.deploy.package import Package
from infra.deploy.place import Place
from infra.deploy.release import Release
from infra.stack import ports
from infra.stack.broker import EmbeddedBroker
from infra.stack.devkeys import ISSUER, jwks_file
from infra.stack.host import EXPECTED_ERRORS, host, locked
from infra.stack.keeper import ROOT, Keeper, all_of, module_command
from infra.stack.postgres import EmbeddedPostgres
from infra.stack.process import ServerCommand
from infra.stack.run import check_port
from infra.stack.runfile import RunInfo, publish, withdraw
from infra.stack.settings import StackSettings, read_settings
from infra.stack.setup import make_topics
from infra.stack.supervisor import Part
from infra.stack.threads import in_thread

# The mappings name it, and the poller is told its brokers: MiniStack has no cluster.
CLUSTER = "arn:aws:kafka:us-east-1:000000000000:cluster/campusg-home/00000000-0000-4000-8000-000000000000-1"
# How often everything is called by the clock, as on AWS.
CLOCK_SECONDS = "60"
RESTART_PATIENCE_SECONDS = 1.0


class Deployment:
    """The servers of one deployment. All methods are for one event loop, in the main thread."""

    def __init__(self, settings: StackSettings, parts_lock: int, hurry: asyncio.Event) -> None:
        """Nothing is started yet; the package must be in its place. When `hurry` is set, no part's end is waited for."""
        self._place = Place(settings.data_dir)
        self._data_dir = settings.data_dir
        keeper = self._keeper = Keeper(settings.data_dir / "logs", parts_lock, hurry)
        postgres = self._server = EmbeddedPostgres(self._place.folder, ports.free_port())
        broker = self._brokers = EmbeddedBroker(self._place.folder, ports.free_port())
        self._ministack = MiniStack(self._place.emulator_folder, settings.http_port or ports.free_port_from(FIRST_PORT))
        self._jwks_port = ports.free_port()
        self._api = ""
        self._postgres = keeper.part(
            "postgres", postgres.command, is_ready=postgres.is_ready, after_start=postgres.ensure_database, stop_patience=3.0
        )
        self._broker = keeper.part("kafka", broker.command, is_ready=broker.is_ready, after_start=self._make_topics)
        self._jwks = keeper.part("jwks", self._serve_keys)
        self._emulator = keeper.part(
            "ministack", self._emulate, is_ready=self._ministack.is_ready, after_start=self._release, stop_patience=5.0
        )
        self._partners = keeper.part("partners", lambda: module_command("infra.partners", self._variables()))
        self._poller = keeper.part("triggers", self._poll, is_ready=self._place.metrics_file.exists)

    @property
    def api(self) -> str:
        """Where the API is, once all is at work."""
        return self._api

    async def start(self) -> None:
        """Start every server and deploy; raises ServerError."""
        async with progress("making the database cluster"):
            await in_thread(self._server.prepare)
        self._brokers.prepare()
        await all_of(*(self._start(part) for part in (self._postgres, self._broker, self._jwks)))
        self._place.keep_servers({"port": self._ministack.port, "parameters": self._parameters()})
        await all_of(*(self._start(part) for part in (self._emulator, self._partners)))
        # It reads what is deployed.
        await self._start(self._poller)
        self._publish()

    async def stop(self) -> None:
        """End every server and withdraw run.json."""
        await self._keeper.let_go()
        withdraw(self._data_dir)
        await self._keeper.end((self._poller, self._emulator, self._partners, self._jwks, self._broker, self._postgres))

    async def failed(self) -> None:
        """Wait for ever; raise what no restart can mend, should it happen."""
        await self._keeper.failed()

    async def _start(self, part: Part) -> None:
        await self._keeper.start(part, self._is_back)

    async def _is_back(self, part: Part) -> None:
        if part is self._broker:
            say("kafka may have lost records: those who read from it are started anew")
            await all_of(*(reader.stop(RESTART_PATIENCE_SECONDS) for reader in (self._poller, self._partners)))
        self._publish()

    def _publish(self) -> None:
        """Write run.json if every part is at work; else the part that comes back last does."""
        parts = (self._postgres, self._broker, self._jwks, self._emulator, self._partners, self._poller)
        if all(part.at_work for part in parts):
            publish(self._data_dir, self._run_info(), self._variables())

    def _run_info(self) -> RunInfo:
        return RunInfo(
            http_url=self._api,
            http_pid=self._emulator.pid or 0,
            triggers_pid=self._poller.pid or 0,
            partners_pid=self._partners.pid,
            kafka_bootstrap=self._brokers.bootstrap,
            kafka_pid=self._broker.pid,
            postgres_url=self._server.url(),
            postgres_pid=self._postgres.pid,
        )

    def _make_topics(self) -> None:
        make_topics(self._brokers.bootstrap, embedded=True)

    def _emulate(self) -> ServerCommand:
        """How MiniStack is started: without what one that was killed has left."""
        self._place.renew_emulator_folder()
        return self._ministack.command()

    def _release(self) -> None:
        """Deploy to a MiniStack that has just been started and knows nothing."""
        package = Package.in_folder(self._place.package_folder)
        parameters = {**self._parameters(), **self._place.parameters()}
        release = Release(self._ministack, package, parameters, self._place.mappings_file)
        api = release.apply()
        if api is None:
            raise DeployError("MiniStack has deployed nothing")
        if self._api:
            release.wait(api)
        else:
            # Somebody is about to place an order.
            release.wake(api, self._data_dir)
        self._api = api

    def _parameters(self) -> dict[str, str]:
        """What the service stack must be told to work with these servers."""
        return {
            "AllowDevelopmentSettings": "1",
            "DatabaseUrl": self._server.url(),
            "KafkaBrokers": self._brokers.bootstrap,
            "KafkaClusterArn": CLUSTER,
            "KafkaSecurity": "PLAINTEXT",
            "JwksUrl": f"http://{ports.HOST}:{self._jwks_port}{jwks.PATH}",
            "JwtIssuer": ISSUER,
        }

    def _variables(self) -> dict[str, str]:
        """The same for what runs outside the emulator: servers of this stack, and operators' commands."""
        given = self._place.parameters()
        return {
            "DATABASE_URL": self._server.url(),
            "KAFKA_BROKERS": self._brokers.bootstrap,
            "DEV_JWKS_FILE": str(jwks_file(self._data_dir)),
            **{variable: given[name] for name, variable in shared_settings().items() if name in given},
            "SWEEP_SECONDS": CLOCK_SECONDS,
            "PYTHONPATH": str(ROOT),
        }

    def _serve_keys(self) -> ServerCommand:
        return module_command(jwks.__name__, {"DATA_DIR": str(self._data_dir), "JWKS_PORT": str(self._jwks_port)})

    def _poll(self) -> ServerCommand:
        """How the mappings are polled. It writes its metrics once it has begun."""
        self._place.metrics_file.unlink(missing_ok=True)
        options = [
            *("--mapping", str(self._place.mappings_file), "--metrics", str(self._place.metrics_file)),
            *("--lambda-endpoint", self._ministack.endpoint, "--dummy-credentials"),
            *("--brokers", f"{CLUSTER}={self._brokers.bootstrap}", "--first-wait", "0.2", "--longest-wait", "2"),
        ]
        command = module_command("infra.esm", {})
        return ServerCommand([*command.arguments, *options], command.environment, directory=command.directory)


def main() -> int:
    """Keep the deployment of DATA_DIR running until SIGTERM; return the exit code."""
    os.umask(0o077)
    try:
        settings = read_settings()
        with locked(settings.data_dir) as lock:
            return asyncio.run(host(lock, partial(_check, settings), partial(Deployment, settings), _welcome))
    except EXPECTED_ERRORS as error:
        complain(*str(error).split("\n"))
        return 1


async def _check(settings: StackSettings) -> None:
    """What `make deploy` has not looked at."""
    check_port(settings)


def _welcome(deployment: Deployment) -> None:
    say(f"deployed: {deployment.api}")


if __name__ == "__main__":
    sys.exit(main())
