"""The answer to a request, as each client of the tests gives it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Any

PROBLEM_MEMBERS = {"type", "title", "status", "detail", "instance", "correlationId"}
# Members that some problems have besides.
OPTIONAL_MEMBERS = {"errors", "order", "saga"}


def header_lines(headers: Mapping[str, str | list[str]]) -> HTTPMessage:
    """Headers by their names in any case; one with a list of values stands on as many lines."""
    lines = HTTPMessage()
    for name, value in headers.items():
        for line in [value] if isinstance(value, str) else value:
            lines[name] = line
    return lines


@dataclass(frozen=True)
class Answer:
    """One response, read whole."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int, name: str) -> Any:
        """The problem details that this answer must be."""
        assert (self.status, self.headers["Content-Type"]) == (status, "application/problem+json"), (self.status, self.body)
        problem = self.json()
        assert set(problem) - OPTIONAL_MEMBERS == PROBLEM_MEMBERS, problem
        assert (problem["status"], problem["type"]) == (status, f"/problems/{name}"), problem
        assert problem["title"] and problem["detail"] and problem["instance"]
        assert problem["correlationId"] == self.headers["X-Correlation-Id"]
        return problem

    @property
    def replayed(self) -> bool:
        """Whether it is the answer to an earlier request with the same Idempotency-Key."""
        return bool(self.headers["Idempotency-Replayed"] == "true")

    def said(self) -> Any:
        """What a repeat with the same Idempotency-Key must say again."""
        return self.status, self.body, {name: self.headers[name] for name in ("Content-Type", "Location", "ETag", "Preference-Applied")}

    def reveals(self) -> Any:
        """All of it but what differs from request to request anyway: the two ids, the path, the date."""
        body = json.loads(self.body) if self.body else None
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if name not in ("instance", "correlationId")}
        varying = ("x-correlation-id", "date", "content-length")
        return self.status, sorted((name, value) for name, value in self.headers.items() if name.lower() not in varying), body
