"""Calls the deployed functions, and waits until the API is ready."""

import json
import time
from typing import Any

import requests

from infra.console import say
from infra.deploy.errors import DeployError

LOOK_SECONDS = 0.5
REQUEST_SECONDS = 30
SHOWN = 300


def call(client: Any, name: str, event: object) -> Any:
    """Invoke a function through a client of boto3 and return its answer; raises DeployError with what it raised."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    content = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer:
        told = content if isinstance(content, dict) else {}
        raise DeployError(f"function {name} has failed: {told.get('errorType', 'error')}: {told.get('errorMessage', content)}")
    return content


def migrate(client: Any, name: str) -> None:
    """Have the function make or change the tables; raises DeployError."""
    say(f"calling {name}: it makes or changes the tables")
    call(client, name, {})


def wait_until_ready(api: str, patience: float) -> None:
    """Ask the API, at an address without a slash at its end, until database and broker are there for it; raises DeployError."""
    say(f"waiting for {api}/health/ready")
    deadline = time.monotonic() + patience
    said = "nothing"
    while time.monotonic() < deadline:
        try:
            answer = requests.get(f"{api}/health/ready", timeout=REQUEST_SECONDS)
            if answer.ok:
                return
            said = f"{answer.status_code} {answer.text[:SHOWN]}"
        except requests.RequestException as error:
            said = str(error)[:SHOWN]
        time.sleep(LOOK_SECONDS)
    raise DeployError(f"{api}/health/ready is not ready after {patience:.0f} s; it said last: {said}")
