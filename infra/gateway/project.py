"""Loading the Chalice project, and the server for it."""

import os
from pathlib import Path

from chalice.app import Chalice
from chalice.cli.factory import CLIFactory
from chalice.config import Config
from chalice.deploy.validate import validate_routes
from chalice.local import LocalChalice, LocalDevServer

from infra.gateway.handler import GatewayHandler
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


def create_server(app: Chalice, config: Config, port: int) -> GatewayServer:
    """A server that listens on 127.0.0.1:`port` (0: any free one) and serves once `serve_forever` runs. Raises OSError if it can't."""
    if not isinstance(app, LocalChalice):
        # Chalice keeps the current request on the application; with a thread a connection each thread needs its own.
        app.__class__ = type("ThreadedChalice", (LocalChalice, type(app)), {})
    server = LocalDevServer(app, config, HOST, port, handler_cls=GatewayHandler, server_cls=GatewayServer).server
    assert isinstance(server, GatewayServer)
    return server
