"""The local gateway keeps what an authorizer said of a token, as API Gateway does."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from chalice.app import AuthRequest, AuthResponse, Chalice

from infra.gateway.authorizer import Authorizer
from infra.gateway.problems import Problem

PATH = "/things/1"


class Door:
    """An application whose authorizer is asked for tokens; `asked` are those it was asked for."""

    def __init__(self, ttl_seconds: int | None = 60, **options: Any) -> None:
        self.asked: list[str] = []
        self.now = 100.0
        app = Chalice(app_name="door")

        @app.authorizer(ttl_seconds=ttl_seconds)  # type: ignore[untyped-decorator]
        def door(request: AuthRequest) -> AuthResponse:
            self.asked.append(request.token)
            if request.token == "broken":
                raise ValueError("broken")
            return AuthResponse(routes=["*"] if request.token != "bad" else [], principal_id=request.token, context={"roles": "customer"})

        for path, name in (("/things/{thing}", "one"), ("/other", "other")):
            app.route(path, authorizer=door, name=name)(lambda **_: {})
        self._authorizer = Authorizer(app, lambda: self.now, **options)

    def ask(self, token: str, resource: str = "/things/{thing}", path: str = PATH) -> dict[str, Any]:
        context = {"httpMethod": "GET", "resourcePath": resource}
        event = {"httpMethod": "GET", "headers": {"authorization": token}, "requestContext": context}
        authorized, _ = self._authorizer.authorize(path, event, SimpleNamespace(aws_request_id="1"))
        found: dict[str, Any] = authorized["requestContext"]["authorizer"]
        return found


def test_a_token_is_asked_about_once_in_its_time_to_live_for_all_routes() -> None:
    door = Door()
    assert [door.ask("a") for _ in range(3)] == 3 * [{"principalId": "a", "roles": "customer"}]
    door.ask("a", "/other", "/other")
    door.ask("b")
    assert door.asked == ["a", "b"]


@pytest.mark.parametrize(("ttl", "seconds"), [(60, 60), (None, 300), (0, 0)])
def test_it_is_asked_about_again_when_that_time_is_over(ttl: int | None, seconds: int) -> None:
    door = Door(ttl)
    door.ask("a")
    door.now += max(seconds - 0.5, 0)
    door.ask("a")
    door.now += 0.5
    door.ask("a")
    assert len(door.asked) == (2 if seconds else 3)


def test_what_the_application_does_to_its_context_concerns_no_later_request() -> None:
    door = Door()
    door.ask("a")["roles"] = "admin"
    assert door.ask("a")["roles"] == "customer"


def raised(call: Callable[[], Any]) -> type[Exception]:
    with pytest.raises(Exception) as caught:
        call()
    return caught.type


def test_a_denial_is_kept_and_an_error_is_not() -> None:
    door = Door()
    assert [raised(lambda: door.ask("bad")) for _ in range(2)] == [Problem, Problem]
    assert [raised(lambda: door.ask("broken")) for _ in range(2)] == [ValueError, ValueError]
    assert door.asked == ["bad", "broken", "broken"]


def test_only_so_many_tokens_are_remembered() -> None:
    door = Door(most_results=2)
    for token in ("a", "b", "c", "c", "a"):
        door.ask(token)
    assert door.asked == ["a", "b", "c", "a"]
