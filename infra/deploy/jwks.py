"""The set of the development keys by HTTP, as an issuer of tokens has it: `python -m infra.deploy.jwks` with DATA_DIR and JWKS_PORT."""

import os
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from infra.stack.devkeys import jwks_file
from infra.stack.ports import HOST
from infra.stack.ready import announce

PATH = "/jwks.json"


class Handler(BaseHTTPRequestHandler):
    """Answers with the file, and to every other path with 404."""

    protocol_version = "HTTP/1.1"

    def __init__(self, file: Path, *arguments: Any) -> None:
        """`arguments` are those of the server."""
        self._file = file
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer."""
        is_there = self.path == PATH
        body = self._file.read_bytes() if is_there else b""
        self.send_response(200 if is_there else 404)
        self.send_header("Content-Type", "application/jwk-set+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve until SIGTERM."""
    file = jwks_file(Path(os.environ["DATA_DIR"]))
    with ThreadingHTTPServer((HOST, int(os.environ["JWKS_PORT"])), partial(Handler, file)) as server:
        announce()
        server.serve_forever()


if __name__ == "__main__":
    main()
