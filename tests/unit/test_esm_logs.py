"""What the processes write of the Kafka client's complaints."""

import logging

from infra.esm.logs import OnceInAWhile


def record(name: str, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, "broker is away", None, None)


def test_the_kafka_client_is_heard_once_in_a_while_and_everybody_else_always() -> None:
    now = [100.0]
    quiet = OnceInAWhile(10.0, lambda: now[0])

    assert quiet.filter(record("kafka.net.manager"))
    assert not quiet.filter(record("kafka.cluster"))
    assert quiet.filter(record("infra.esm.poller"))
    now[0] = 110.0
    assert not quiet.filter(record("kafka.cluster", logging.INFO))
    assert quiet.filter(record("kafka.cluster"))
