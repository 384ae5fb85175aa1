"""Opening clients of kafka-python so that one which reaches no broker leaves nothing behind."""

from collections.abc import Callable
from typing import Any, TypeVar

from kafka.net.compat import KafkaNetClient

T = TypeVar("T")


def connected(kind: Callable[..., T], **settings: Any) -> T:
    """A `KafkaConsumer`, `KafkaProducer` or `KafkaAdminClient` that has reached a broker; raises what that raises, KafkaError mostly.

    kafka-python 3.0.12 leaves a thread and its sockets behind where the constructor raises: in a long outage they add up.
    """
    clients: list[Any] = []

    def client(**config: Any) -> Any:
        made = KafkaNetClient(**config)
        clients.append(made)
        # kafka-python does not hand the setting on, and asks again and again for a topic that is gone.
        made.cluster.config["allow_auto_create_topics"] = config.get("allow_auto_create_topics", True)
        return made

    try:
        return kind(kafka_client=client, **settings)
    except BaseException:
        for made in clients:
            made.close()
        raise
