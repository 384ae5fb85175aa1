"""The HTTP API as an operator's commands call it: as an admin, on the stack of DATA_DIR, or wherever API_URL says."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import requests

from chalicelib.messages.wire import PERSON_ID
from infra.stack import devkeys
from infra.stack.running import run_info
from infra.stack.settings import data_dir

SECONDS_A_CALL = 35
SECONDS_A_LOOK = 5
NOT_MODIFIED = 304
# An API that limits its callers says how long to wait.
MOST_WAITS = 5
LONGEST_WAIT_SECONDS = 60
PAGE = 100
JWT = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


class ApiError(Exception):
    """The API can't be used at all; the message says why, and holds no token."""


class RefusedError(Exception):
    """The API refused this one request; the message is what it said."""


class OperatorApi:
    """Calls with one admin's token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._session = requests.Session()
        # As `auth`, because a machine's .netrc would replace a mere header.
        self._session.auth = _Bearer(token)

    def items(self, path: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        """The items of a list, page after page as they are asked for; raises ApiError, RefusedError."""
        cursor: str | None = ""
        while cursor is not None:
            page = self._call("GET", path, params={**query, "cursor": cursor, "limit": str(PAGE)})
            yield from page["items"]
            cursor = page["nextCursor"]

    def newer(self, path: str, etag: str) -> tuple[Mapping[str, Any], str] | None:
        """The document at `path` and its entity tag; None where that is still `etag`. Asks once. Raises ApiError, RefusedError."""
        answer = self._answer("GET", path, {"headers": {"If-None-Match": etag}}, seconds=SECONDS_A_LOOK)
        if answer.status_code == NOT_MODIFIED:
            return None
        return self._content(answer), answer.headers.get("ETag", "")

    def get(self, path: str) -> Mapping[str, Any]:
        """The answer to a GET; raises ApiError, RefusedError."""
        return self._call("GET", path)

    def post(self, path: str, body: Any) -> Mapping[str, Any]:
        """The answer to a POST; raises ApiError, RefusedError."""
        return self._call("POST", path, json=body)

    def _call(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        answer = self._answer(method, path, sent)
        for _ in range(MOST_WAITS):
            if not answer.headers.get("Retry-After", "").isdigit():
                break
            time.sleep(min(int(answer.headers["Retry-After"]), LONGEST_WAIT_SECONDS))
            answer = self._answer(method, path, sent)
        return self._content(answer)

    def _content(self, answer: requests.Response) -> dict[str, Any]:
        try:
            content: dict[str, Any] = answer.json()
        except requests.JSONDecodeError:
            raise ApiError(f"{self.url} was no order service: it answered {answer.status_code} without JSON") from None
        if answer.status_code in (401, 403):
            raise ApiError(f"{self.url}: {content.get('detail')}")
        if not answer.ok:
            raise RefusedError(f"{content.get('detail')}")
        return content

    def _answer(self, method: str, path: str, sent: Mapping[str, Any], seconds: float = SECONDS_A_CALL) -> requests.Response:
        try:
            return self._session.request(method, self.url + path, timeout=seconds, allow_redirects=False, **sent)
        except requests.RequestException as error:
            raise ApiError(f"{self.url} {unanswered(error)}") from None


def unanswered(error: requests.RequestException) -> str:
    """What became of a request that has no response, in our own words."""
    return "doesn't answer in time" if isinstance(error, requests.Timeout) else "can't be reached"


class _Bearer(requests.auth.AuthBase):
    """The token, which no representation shows."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def operator_api(environment: Mapping[str, str] = os.environ) -> OperatorApi:
    """The API that API_URL and TOKEN name, else that of the stack of DATA_DIR; raises ApiError, NotRunningError."""
    url, token = (environment.get(name, "").strip() for name in ("API_URL", "TOKEN"))
    if not url:
        folder = data_dir(environment)
        found = str(run_info(folder)["http"]["url"])
        return OperatorApi(found, devkeys.token(folder, ["admin"], _operator(environment), datetime.now(UTC)))
    if not url.startswith(("http://", "https://")):
        raise ApiError(f"API_URL must begin with http:// or https://, not {url!r}")
    if not token:
        raise ApiError("API_URL needs a TOKEN beside it, a JWT of an admin")
    if not JWT.fullmatch(token):
        raise ApiError("TOKEN is no JWT")
    return OperatorApi(url.rstrip("/"), token)


def _operator(environment: Mapping[str, str]) -> str:
    """Who the history will name."""
    user = environment.get("USER", "")
    return user if PERSON_ID.fullmatch(user) else "operator"
