"""The way to the broker in TLS, and with IAM as MSK has it: a broker behind a proxy that ends TLS and does the authentication."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from botocore.credentials import Credentials

from chalicelib.errors import Unavailable
from chalicelib.ids import new_id
from chalicelib.messaging.producer import Patience, Producer
from tests.integration.test_publisher import EVENTS, event
from tests.support.kafka_records import on_topic
from tests.support.msk import MECHANISM, Authentication, signature
from tests.support.proxy import Proxy, standing_before
from tests.support.servers import KafkaBroker
from tests.support.tls import server_context

REGION = "ap-southeast-1"
CREDENTIALS = Credentials("AKIDEXAMPLE", "a-secret-key", "a-session-token")


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context whose certificate this process trusts."""
    context, certificate = server_context(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return context


# For a producer that gives up soon.
HASTY = Patience(max_block_ms=400)


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and region as Lambda has them in its environment."""
    given = {"AWS_ACCESS_KEY_ID": CREDENTIALS.access_key, "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key}
    for name, value in {**given, "AWS_SESSION_TOKEN": CREDENTIALS.token, "AWS_DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@contextmanager
def msk(kafka: KafkaBroker, tls: ssl.SSLContext, authentication: Authentication) -> Iterator[Proxy]:
    with standing_before(kafka.server.port, tls, authentication.answer) as proxy:
        yield proxy


def test_records_go_through_tls(kafka: KafkaBroker, tls: ssl.SSLContext) -> None:
    with standing_before(kafka.server.port, tls) as proxy, closing(Producer(proxy.bootstrap, "TLS")) as producer:
        producer.check(2)
        assert producer.send([event(new_id(), 1)], 5) == [None]
    assert len(on_topic(kafka.bootstrap, EVENTS)) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(kafka: KafkaBroker, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with standing_before(kafka.server.port, tls) as proxy, closing(Producer(proxy.bootstrap, "TLS", HASTY)) as producer:
        with pytest.raises(Unavailable):
            producer.check(0.4)
        with pytest.raises(Unavailable):
            producer.send([event(new_id(), 1)], 5)


def test_records_and_health_go_through_iam_by_a_request_signed_for_broker_and_region(kafka: KafkaBroker, tls: ssl.SSLContext) -> None:
    authentication = Authentication()
    with msk(kafka, tls, authentication) as proxy, closing(Producer(proxy.bootstrap, "MSK_IAM")) as producer:
        producer.check(2)
        checked = len(authentication.requests)
        assert checked
        assert producer.send([event(new_id(), 1)], 5) == [None]
    assert len(on_topic(kafka.bootstrap, EVENTS)) == 1
    assert len(authentication.requests) > checked
    assert set(authentication.mechanisms) == {MECHANISM}
    for request in authentication.requests:
        assert (request["version"], request["host"], request["action"]) == ("2020_10_22", "127.0.0.1", "kafka-cluster:Connect")
        key, _, region, service, end = request["x-amz-credential"].split("/")
        assert (key, region, service, end) == (CREDENTIALS.access_key, REGION, "kafka-cluster", "aws4_request")
        assert request["x-amz-security-token"] == CREDENTIALS.token
        assert request["x-amz-signature"] == signature(request, CREDENTIALS, REGION)


def test_who_may_not_connect_is_told_so_and_no_secret_is(kafka: KafkaBroker, tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture) -> None:
    authentication = Authentication(refusal="Access denied")
    caplog.set_level(logging.INFO)
    with msk(kafka, tls, authentication) as proxy, closing(Producer(proxy.bootstrap, "MSK_IAM", HASTY)) as producer:
        with pytest.raises(Unavailable):
            producer.check(0.4)
        with pytest.raises(Unavailable):
            producer.send([event(new_id(), 1)], 5)
        assert producer.resting
        told = f"{producer!r} {vars(producer)}"
    lines = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "Access denied" in lines
    for secret in (CREDENTIALS.secret_key, CREDENTIALS.token, *(request["x-amz-signature"] for request in authentication.requests)):
        assert secret not in lines
        assert secret not in told


def test_without_credentials_the_broker_counts_as_unavailable(
    kafka: KafkaBroker, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    authentication = Authentication()
    with (
        msk(kafka, tls, authentication) as proxy,
        closing(Producer(proxy.bootstrap, "MSK_IAM", HASTY)) as producer,
        pytest.raises(Unavailable),
    ):
        producer.send([event(new_id(), 1)], 5)
    assert authentication.requests == []
