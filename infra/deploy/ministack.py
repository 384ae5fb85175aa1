"""MiniStack, an emulator of AWS, from an environment of its own: how it is started, and how it is spoken to."""

import os
from pathlib import Path
from typing import Any

from botocore.config import Config

from infra.deploy.errors import DeployError
from infra.stack.keeper import ROOT
from infra.stack.ports import HOST, accepts
from infra.stack.process import ServerCommand

PROGRAM = ROOT / ".tools" / "ministack" / "bin" / "ministack"
REGION = "us-east-1"
FIRST_PORT = 4566
# As long as a function may take, and its start.
ANSWER_SECONDS = 120


def require_program() -> None:
    """Raise DeployError where MiniStack is not installed."""
    if not PROGRAM.exists():
        raise DeployError(f"{PROGRAM.relative_to(ROOT)} is missing; install MiniStack by: make ministack")


class MiniStack:
    """One server on 127.0.0.1, which keeps all in memory; what its functions unpack lies in `folder`."""

    def __init__(self, folder: Path, port: int) -> None:
        """Nothing is started yet."""
        self._folder = folder
        self.port = port

    @property
    def endpoint(self) -> str:
        """Where all services are."""
        return f"http://{HOST}:{self.port}"

    def command(self) -> ServerCommand:
        """How it is started. Nothing of this process's account or Python reaches it or its functions."""
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        own = {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "LAMBDA_EXECUTOR": "local",
            # Else it listens on all addresses for that.
            "IOT_MTLS_ENABLED": "0",
            "TMPDIR": str(self._folder),
            "HOME": str(self._folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return ServerCommand(arguments=[str(PROGRAM)], environment=inherited | own)

    def is_ready(self) -> bool:
        """Whether it accepts connections."""
        return accepts(HOST, self.port)

    def api(self, rest_api: str, stage: str) -> str:
        """Where it serves a REST API, without a slash at the end."""
        return f"{self.endpoint}/restapis/{rest_api}/{stage}/_user_request_"


def client(service: str, endpoint: str) -> Any:
    """A client of boto3 for a service of MiniStack, which takes any credentials."""
    import boto3

    config = Config(read_timeout=ANSWER_SECONDS, retries={"total_max_attempts": 1})
    made_up = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region_name=REGION, endpoint_url=endpoint, config=config, **made_up)
