"""As much of `curl` as the documentation's examples need, for machines that have none: python -m tests.support.curl …"""

import argparse
import sys
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener


class Unfollowed(HTTPRedirectHandler):
    """Answers a redirect as it is: an error, for urllib."""

    def redirect_request(self, *_: object) -> None:
        """There is no other request."""


def main() -> None:
    """Send one request, print the body, and then, like `--write-out '%{stderr}%{http_code}'`, its status to stderr."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-sS", action="store_true")
    parser.add_argument("-X", default="GET")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-d")
    asked = parser.parse_args()
    headers = dict(header.split(": ", 1) for header in asked.H)
    request = Request(asked.url, asked.d.encode() if asked.d else None, headers, method=asked.X)  # noqa: S310 - an address of an example
    try:
        answer = build_opener(Unfollowed).open(request, timeout=30)
    except HTTPError as error:
        answer = error
    sys.stdout.write(answer.read().decode())
    sys.stderr.write(f"{answer.status}\n")


if __name__ == "__main__":
    main()
