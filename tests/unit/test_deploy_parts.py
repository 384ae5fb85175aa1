"""What a deployment at home has of its own: the issuer's key set by HTTP, and the wait until the API is ready."""

import json
import shutil
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
from infra.deploy.place import Place
from infra.stack.devkeys import jwks_file
from tests.support.eventually import eventually

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


def test_an_emulator_that_is_started_again_does_not_wait_for_what_the_last_one_left_to_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, may_remove, remove = Place(tmp_path), threading.Event(), shutil.rmtree

    def remove_later(folder: Path, *, ignore_errors: bool) -> None:
        assert may_remove.wait(30)
        remove(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", remove_later)
    place.emulator_folder.mkdir(parents=True)
    (place.emulator_folder / "unpacked").touch()

    place.renew_emulator_folder()

    assert list(place.emulator_folder.iterdir()) == []
    assert len(list(place.folder.iterdir())) == 2
    may_remove.set()
    eventually(lambda: list(place.folder.iterdir()) == [place.emulator_folder], what="the end of what was left")
