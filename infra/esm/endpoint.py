"""Functions behind an endpoint that speaks the Lambda API: called through `Invoke`, as Lambda's pollers do.

Operations and errors are those of the Lambda API reference ("Invoke", "GetFunctionConfiguration", "ListEventSourceMappings").
"""

import json
from ipaddress import ip_address
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from .function_names import LOCAL_REGION, FunctionName
from .invoke import EventTooLarge, FunctionError, FunctionTimedOut, NotInvoked

LONGEST_TIMEOUT_SECONDS = 14 * 60.0
"""How long the function of a Kafka mapping may take."""
START_SECONDS = 10.0
"""What is allowed besides for the start of an execution environment."""
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0

_TOO_LARGE = 413


class LambdaEndpoint:
    """An endpoint of the Lambda API; may be used by several threads."""

    def __init__(self, url: str, *, dummy_credentials: bool = False) -> None:
        """Nothing is connected yet. Requests are signed as boto3 does it, or with credentials that are made up.

        Raises ValueError without boto3 or credentials, for a wrong URL, and for made-up credentials where the endpoint is not on loopback.
        """
        # Late: only those who call functions this way need it.
        try:
            from boto3.session import Session
        except ImportError as error:
            raise ValueError("--lambda-endpoint needs boto3: install kafka-event-source-mapping[aws]") from error
        if dummy_credentials and not _is_loopback(url):
            raise ValueError("--dummy-credentials: only for an endpoint on this machine")
        made_up = {"aws_access_key_id": "test", "aws_secret_access_key": "test"} if dummy_credentials else {}
        self._url = url
        self._session = Session(**made_up)
        self._lock = Lock()
        if self._session.get_credentials() is None:
            raise ValueError("--lambda-endpoint: no AWS credentials found; for an endpoint on this machine --dummy-credentials will do")
        self._client = self.client(ANSWER_SECONDS)

    def client(self, read_seconds: float) -> Any:
        """A client that waits so long for an answer, and tries once."""
        from botocore.config import Config

        config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=read_seconds, retries={"total_max_attempts": 1}, tcp_keepalive=True)
        region = self._session.region_name or LOCAL_REGION
        with self._lock:
            return self._session.client("lambda", region_name=region, endpoint_url=self._url, config=config)

    def mappings(self) -> list[dict[str, Any]]:
        """What the endpoint lists as its event source mappings; raises ValueError where it can't."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            pages = self._client.get_paginator("list_event_source_mappings").paginate()
            return [mapping for page in pages for mapping in page["EventSourceMappings"]]
        except (BotoCoreError, ClientError, KeyError) as error:
            raise ValueError(f"--lambda-endpoint {self._url} lists no event source mappings, --mapping is needed: {error}") from error

    def timeout_of(self, function: FunctionName) -> float | None:
        """The timeout of a function, None where the endpoint does not tell; raises NotInvoked where it is away."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return float(self._client.get_function_configuration(**_target(function))["Timeout"])
        except (ClientError, KeyError):
            return None
        except BotoCoreError as error:
            raise NotInvoked(str(error)) from error


class EndpointFunction:
    """A function that an endpoint runs."""

    def __init__(self, name: str, endpoint: LambdaEndpoint, timeout_seconds: float | None = None) -> None:
        """`name` is a name or an ARN. Its answer is waited for as long as `timeout_seconds`, or as its own timeout and start allow."""
        self.name = name
        self._function = FunctionName.read(name)
        self._endpoint = endpoint
        self._patience_seconds = timeout_seconds
        self._client: Any = None

    def invoke(self, event_text: str) -> Any:
        """Call it with the event and return its answer; raises FunctionError, NotInvoked.

        Where no answer comes in time the function counts as timed out.
        """
        from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

        if self._client is None:
            self._client = self._endpoint.client(self._patience())
        try:
            response = self._client.invoke(**_target(self._function), InvocationType="RequestResponse", Payload=event_text.encode())
            payload: bytes = response["Payload"].read()
        except ReadTimeoutError as error:
            raise FunctionTimedOut(self._patience()) from error
        except ClientError as error:
            is_too_large = error.response["ResponseMetadata"].get("HTTPStatusCode") == _TOO_LARGE
            raise (EventTooLarge if is_too_large else NotInvoked)(str(error)) from error
        except BotoCoreError as error:
            raise NotInvoked(str(error)) from error
        return _answer(payload, response.get("FunctionError"))

    def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            self._client.close()

    def _patience(self) -> float:
        if self._patience_seconds is None:
            self._patience_seconds = (self._endpoint.timeout_of(self._function) or LONGEST_TIMEOUT_SECONDS) + START_SECONDS
        return self._patience_seconds


def _target(function: FunctionName) -> dict[str, str]:
    # The name alone: not every emulator knows ARNs or an empty qualifier, and a mapping's function is of its own account and region.
    return {"FunctionName": function.name} | ({"Qualifier": function.qualifier} if function.qualifier else {})


def _answer(payload: bytes, kind: str | None) -> Any:
    try:
        answer = json.loads(payload or b"null")
    except (ValueError, RecursionError) as error:
        raise FunctionError(f"the answer can't be read: {error}") from error
    if kind is None:
        return answer
    told = answer if isinstance(answer, dict) else {}
    failure = FunctionError(f"{told.get('errorType', kind)}: {told.get('errorMessage', answer)}")
    failure.kind = kind
    raise failure


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
