"""Loading the Chalice project, and the server for it."""

import os
from pathlib import Path

from chalice.app import Chalice
from chalice.cli.factory import CLIFactory
from chalice.config import Config
from chalice.deploy.validate import validate_routes
from chalice.local import LocalChalice

from infra.gateway.admission import Limits
from infra.gateway.api import Gateway
from infra.gateway.connection import Timeouts
from infra.gateway.server import GatewayServer
from infra.stack.ports import HOST

STAGE = "local"


def load_project(directory: Path) -> tuple[Chalice, Config]:
    """Import the project's `app.py` and read its configuration, as `chalice local --stage local` does.

    The stage's environment variables are set where the environment doesn't have them: who starts this process knows better. Raises what
    importing raises, RuntimeError where `directory` is no Chalice project, and ValueError for routes that API Gateway would refuse.
    """
    os.environ["AWS_CHALICE_CLI_MODE"] = "true"
    factory = CLIFactory(str(directory), environ={})
    config = factory.create_config_obj(chalice_stage_name=STAGE)
    for name, value in config.environment_variables.items():
        os.environ.setdefault(name, value)
    app = config.chalice_app
    validate_routes(app.routes)
    return app, config


def create_server(
    app: Chalice, config: Config, port: int, *, host: str = HOST, timeouts: Timeouts | None = None, limits: Limits | None = None
) -> GatewayServer:
    """A server that listens on `host`:`port` (0: any free one) and serves once it is started. Raises OSError if it can't."""
    if not isinstance(app, LocalChalice):
        # Chalice keeps the current request on the application; each of the server's threads needs its own.
        app.__class__ = type("ThreadedChalice", (LocalChalice, type(app)), {})
    return GatewayServer(Gateway(app, config), host, port, timeouts or Timeouts(), limits or Limits())
