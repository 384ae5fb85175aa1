"""What MSK asks of a client besides Kafka: SASL with the mechanism AWS_MSK_IAM, whose one message is a request signed for the broker.

Signatures are checked with botocore, not with the code that made them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

HANDSHAKE, AUTHENTICATE = 17, 36
REFUSED = 58
NO_TAGS = b"\x00"
MECHANISM = "AWS_MSK_IAM"


@dataclass
class Authentication:
    """Answers the SASL requests of a client in a broker's stead, with `refusal` where there is one, and keeps what was asked."""

    refusal: str | None = None
    mechanisms: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, frame: bytes) -> bytes | None:
        """The answer to one request; None for everything that is not SASL."""
        api, version, correlation = int.from_bytes(frame[:2], "big"), int.from_bytes(frame[2:4], "big"), frame[4:8]
        if api == HANDSHAKE:
            self.mechanisms.append(MECHANISM if frame.endswith(_text(MECHANISM)) else frame.decode("latin-1"))
            return correlation + _number(0, 2) + _number(1, 4) + _text(MECHANISM)
        if api == AUTHENTICATE:
            assert version == 2, "a client takes the newest version that the broker has"
            self.requests.append(json.loads(frame[frame.index(b"{") : frame.rindex(b"}") + 1]))
            error = _number(REFUSED, 2) + _compact(self.refusal) if self.refusal else _number(0, 2) + _number(0, 1)
            return correlation + NO_TAGS + error + _compact("{}") + _number(0, 8) + NO_TAGS
        return None


def signature(request: Mapping[str, str], credentials: Credentials, region: str) -> str:
    """What the request's signature must be: Signature Version 4 of a GET for the broker's host, its parameters in the query.

    Source: the README of aws/aws-msk-iam-auth, "Details of SASL mechanism AWS_MSK_IAM".
    """
    names = ["Action", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token", "X-Amz-SignedHeaders"]
    query = urlencode({name: request[name.lower()] for name in names})
    made = AWSRequest("GET", f"https://{request['host']}/?{query}", headers={"host": request["host"]})
    made.context["timestamp"] = request["x-amz-date"]
    signer = SigV4QueryAuth(credentials, "kafka-cluster", region)
    text: str = signer.signature(signer.string_to_sign(made, signer.canonical_request(made)), made)
    return text


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def _compact(text: str) -> bytes:
    assert len(text) < 127
    return _number(len(text) + 1, 1) + text.encode()


def _text(text: str) -> bytes:
    return _number(len(text), 2) + text.encode()
