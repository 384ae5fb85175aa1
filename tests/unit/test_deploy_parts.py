"""What a deployment at home has of its own: the issuer's key set by HTTP, and the wait until the API is ready."""

import json
import threading
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import responses

from infra.deploy import functions
from infra.deploy.errors import DeployError
from infra.deploy.jwks import PATH, Handler
from infra.stack.devkeys import jwks_file

API = "http://127.0.0.1:1/v1"


def test_the_keys_are_served_at_their_path_and_nothing_else(tmp_path: Path) -> None:
    file = jwks_file(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, file)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        found, other = requests.get(url + PATH, timeout=5), requests.get(f"{url}/jwt-key.pem", timeout=5)
        server.shutdown()

    assert (found.status_code, found.json()) == (200, json.loads(file.read_text()))
    assert (other.status_code, other.content) == (404, b"")


@responses.activate
def test_the_api_is_asked_until_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "LOOK_SECONDS", 0)
    refused = responses.get(f"{API}/health/ready", status=503)
    ready = responses.get(f"{API}/health/ready", status=200)

    functions.wait_until_ready(API, 30)

    assert (refused.call_count, ready.call_count) == (1, 1)


@responses.activate
def test_what_an_api_said_last_that_is_never_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "LOOK_SECONDS", 0.01)
    responses.get(f"{API}/health/ready", status=503, body="no database")

    with pytest.raises(DeployError, match=r"is not ready after 0 s; it said last: 503 no database"):
        functions.wait_until_ready(API, 0.05)
