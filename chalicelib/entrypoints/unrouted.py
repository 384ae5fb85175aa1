"""Requests that no route is for: API Gateway hands them over by a path that takes all others, and by the methods that a path lacks."""

from collections.abc import Collection

from chalice.app import Response

from chalicelib.entrypoints.problems import problem
from chalicelib.entrypoints.refusals import MethodNotAllowed
from chalicelib.errors import NotFound

NOTHING_HERE = "There is nothing at this path."


def refuse(path: str, correlation_id: str, allowed: Collection[str]) -> Response:
    """405 with the methods that the path has, 404 where it has none."""
    if not allowed:
        return problem(NotFound(NOTHING_HERE), path, correlation_id)
    listed = listing(allowed)
    return problem(MethodNotAllowed(only_these(listed)), path, correlation_id, {"Allow": listed})


def listing(methods: Collection[str]) -> str:
    """Methods as the header Allow names them."""
    return ", ".join(sorted(methods))


def only_these(listed: str) -> str:
    """What is said of a method that the path doesn't have."""
    return f"This path has only: {listed}."
