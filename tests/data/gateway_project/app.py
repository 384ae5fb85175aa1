"""A small Chalice application with every kind of answer that the local gateway has to bring across."""

import os
import threading
from typing import Any

from chalice.app import AuthRequest, AuthResponse, BadRequestError, Chalice, ConflictError, Response, UnauthorizedError

from chalicelib.entrypoints.challenges import BEARER_REFUSED, CHALLENGE
from chalicelib.errors import Unavailable

GUESTS = 100

app = Chalice(app_name="gateway-project")
meeting = threading.Barrier(GUESTS)


def current_event() -> Any:
    assert app.current_request is not None
    return app.current_request.to_original_event()


@app.authorizer()
def doorkeeper(request: AuthRequest) -> Any:
    match request.token.removeprefix("Bearer "):
        case "good":
            return AuthResponse(routes=["*"], principal_id="sub_1", context={"roles": "customer"})
        case "denied":
            return AuthResponse(routes=[], principal_id="sub_1")
        case "expired":
            return AuthResponse(routes=[], principal_id="nobody", context={CHALLENGE: BEARER_REFUSED})
        case "keyless":
            raise Unavailable("secret of the issuer")
        case "broken":
            raise RuntimeError("secret of the authorizer")
        case "nothing":
            return None
    raise UnauthorizedError("bad token")


@app.route("/event")
def show_event() -> Any:
    return current_event()


@app.route("/environment")
def show_environment() -> Any:
    return {name: value for name, value in os.environ.items() if name.startswith("FROM_")}


@app.route("/measure", methods=["POST"])
def measure() -> Any:
    assert app.current_request is not None
    return {"length": len(app.current_request.raw_body), "event": current_event()}


@app.route("/things/{thing}", authorizer=doorkeeper)
def get_thing(thing: str) -> Any:
    return {"thing": thing, "authorizer": current_event()["requestContext"]["authorizer"]}


@app.route("/things/{thing}", methods=["PATCH"], authorizer=doorkeeper)
def patch_thing(thing: str) -> Any:
    return {"thing": thing}


@app.route("/things/{thing}/parts/{part}")
def get_part(thing: str, part: str) -> Any:
    return {"parameters": current_event()["pathParameters"]}


@app.route("/nothing")
def nothing() -> Any:
    return Response(body="no such body", status_code=204)


@app.route("/unchanged")
def unchanged() -> Any:
    return Response(body=None, status_code=304, headers={"ETag": '"7"'})


@app.route("/own-problem")
def own_problem() -> Any:
    headers = {"Content-Type": "application/problem+json", "X-Correlation-Id": "of-the-application"}
    return Response(body={"type": "/problems/taken", "status": 409}, status_code=409, headers=headers)


@app.route("/not-ready")
def not_ready() -> Any:
    return Response(body={"status": "unavailable", "dependencies": {}}, status_code=503)


@app.route("/conflict")
def conflict() -> Any:
    raise ConflictError("words of Chalice")


@app.route("/bad")
def bad() -> Any:
    raise BadRequestError("not like this")


@app.route("/fails")
def fails() -> Any:
    raise RuntimeError("secret of the application")


@app.route("/unspeakable")
def unspeakable() -> Any:
    return Response(body=object())


@app.route("/splits")
def splits() -> Any:
    return Response(body={}, headers={"X-Split": "one\rSet-Cookie: two"})


@app.route("/cookies")
def cookies() -> Any:
    return Response(body="ok", headers={"Content-Type": "text/html", "Set-Cookie": ["a=1", "b=2"]})


@app.route("/large")
def large() -> Any:
    return "x" * 300_000


@app.route("/shared", cors=True)
def shared() -> Any:
    return {}


@app.route("/meet")
def meet() -> Any:
    meeting.wait(timeout=30)
    assert app.current_request is not None
    return {"guest": app.current_request.query_params["guest"]}


@app.route("/wait/{seconds}")
def wait(seconds: str) -> Any:
    threading.Event().wait(float(seconds))
    return {"waited": seconds}
