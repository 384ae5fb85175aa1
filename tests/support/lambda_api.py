"""An endpoint of the Lambda API for one test: functions are called in its threads, and it fails as it is told to."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

VERSION = "/2015-03-31"


@dataclass(frozen=True)
class Answer:
    """A response of `Invoke`: what the function answered, or an error of the service with its HTTP status."""

    payload: Any = None
    status: int = 200
    error: str = ""
    """The name of the service's error, or what `FunctionError` says."""


Handler = Callable[[Any], Answer]


@dataclass
class LambdaApi:
    """What the endpoint knows, and what it was asked."""

    handler: Handler
    timeout: int | None = 3
    mappings: Sequence[Mapping[str, Any]] = ()
    invoked: list[tuple[str, str | None, Any]] = field(default_factory=list)
    """Function, qualifier and event of each call of `Invoke`."""
    url: str = ""

    def invoke(self, function: str, qualifier: str | None, body: bytes) -> Answer:
        event = json.loads(body)
        self.invoked.append((function, qualifier, event))
        return self.handler(event)


class _Requests(BaseHTTPRequestHandler):
    api: LambdaApi
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == f"{VERSION}/event-source-mappings":
            self._respond(200, {"EventSourceMappings": list(self.api.mappings)})
        elif self.api.timeout is not None and path.endswith("/configuration"):
            self._respond(200, {"Timeout": self.api.timeout})
        else:
            self._respond(404, {"Type": "User", "Message": "no such operation"}, {"x-amzn-ErrorType": "PathNotFoundLocally"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = urlsplit(self.path)
        assert self.headers["X-Amz-Invocation-Type"] == "RequestResponse"
        qualifier = parse_qs(url.query).get("Qualifier", [None])[0]
        answer = self.api.invoke(unquote(url.path).split("/")[3], qualifier, body)
        if answer.status != 200:
            self._respond(answer.status, {"Type": "User", "Message": answer.error}, {"x-amzn-ErrorType": answer.error})
        else:
            self._respond(200, answer.payload, {"X-Amz-Function-Error": answer.error} if answer.error else {})

    def _respond(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing is written."""


@contextmanager
def lambda_api(handler: Handler, port: int = 0, **known: Any) -> Iterator[LambdaApi]:
    """An endpoint at work while the block runs, on a free port unless one is given."""
    api = LambdaApi(handler, **known)
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Requests", (_Requests,), {"api": api}))
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
