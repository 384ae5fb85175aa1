"""Errors that this server words: problem details (RFC 9457)."""

import json
from collections.abc import Mapping
from http.client import responses as phrases

from chalicelib import errors
from chalicelib.entrypoints import refusals
from chalicelib.entrypoints.challenges import BEARER
from chalicelib.entrypoints.problems import PROBLEMS
from infra.gateway.messages import CORRELATION_HEADER, About, Response

MEDIA_TYPE = "application/problem+json"


def _kind(refusal: type[errors.Refusal]) -> tuple[str, str]:
    return PROBLEMS[refusal].slug, PROBLEMS[refusal].title


# For the other statuses of this server, as 400, 414, 431, 501 and 505: the request is at fault.
INVALID = _kind(errors.Invalid)
KINDS: Mapping[int, tuple[str, str]] = {
    401: _kind(refusals.Unauthorized),
    403: _kind(errors.Forbidden),
    404: _kind(errors.NotFound),
    405: _kind(refusals.MethodNotAllowed),
    409: _kind(errors.WrongStatus),
    413: _kind(refusals.TooLarge),
    415: _kind(refusals.UnsupportedMediaType),
    429: _kind(refusals.RateLimited),
    500: _kind(refusals.Unexpected),
    503: _kind(refusals.ServiceUnavailable),
}
CANONICAL = {name.lower(): name for name in (CORRELATION_HEADER, "WWW-Authenticate")}
UNEXPECTED = "An unexpected error. The correlationId leads to it in the log."
NO_TOKEN = "The request carries no bearer token."  # noqa: S105 - a sentence of an answer
BAD_TOKEN = "The request's bearer token is not valid here."  # noqa: S105 - a sentence of an answer
TOO_MUCH = "The service has too many requests at once just now; try again."
UNCHECKED_TOKEN = "The token can't be checked just now; try again."  # noqa: S105 - a sentence of an answer
RETRY_SECONDS = "2"


class Problem(Exception):
    """A request that is answered by problem details; `detail` is for the client, `headers` go with the answer."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def unauthorized(challenge: str) -> Problem:
    """401 with what `WWW-Authenticate` is to say."""
    return Problem(401, NO_TOKEN if challenge == BEARER else BAD_TOKEN, {"WWW-Authenticate": challenge})


def problem_response(problem: Problem, about: About) -> Response:
    """The response for a problem with this request."""
    correlation = problem.headers.get(CORRELATION_HEADER) or about.correlation_id
    name, title = KINDS.get(problem.status, INVALID)
    body = {
        "type": f"/problems/{name}",
        "title": title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": about.path or "/",
        "correlationId": correlation,
    }
    sent = problem.headers | {"Content-Type": MEDIA_TYPE, CORRELATION_HEADER: correlation}
    return Response(problem.status, list(sent.items()), json.dumps(body).encode())


def chalice_problem(response: Response) -> Problem | None:
    """The problem behind an error that Chalice worded (`{"Code", "Message"}`; in debug mode a stack trace), or that nobody did.

    None for everything that the application worded, whatever its status.
    """
    detail = _unworded_detail(response) if response.status >= 400 else None
    if detail is None:
        return None
    kept = {CANONICAL.get(name.lower(), name): value for name, value in response.headers if name.lower() != "content-type"}
    return Problem(response.status, detail if response.status < 500 else UNEXPECTED, kept)


def _unworded_detail(response: Response) -> str | None:
    if not response.body:
        return f"{phrases.get(response.status, 'Error')}."
    if response.status == 500 and (response.header("Content-Type") or "").startswith("text/plain"):
        return UNEXPECTED
    try:
        worded = json.loads(response.body)
    except ValueError:
        return None
    if isinstance(worded, dict) and worded.keys() == {"Code", "Message"}:
        return str(worded["Message"])
    return None
