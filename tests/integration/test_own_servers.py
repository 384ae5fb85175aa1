"""The tests' own servers keep tests apart."""

from kafka import KafkaConsumer, KafkaProducer

from tests.support.servers import KafkaBroker, PostgresServer


def test_a_database_of_its_own_is_empty_and_gone_afterwards(postgres_server: PostgresServer, empty_database: str) -> None:
    name = empty_database.rpartition("/")[2]
    before = databases(postgres_server)
    assert postgres_server.server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)) == [(1,)]

    postgres_server.drop_database(postgres_server.create_database())

    assert databases(postgres_server) == before


def databases(server: PostgresServer) -> list[tuple[object, ...]]:
    return server.server.execute("SELECT datname FROM pg_database ORDER BY datname")


def test_a_broker_of_its_own_has_the_topics_of_the_service_and_takes_records(kafka: KafkaBroker) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    sent = producer.send("order-events", b"value", key=b"key").get(timeout=5)
    producer.close()
    assert sent.offset == 0

    consumer = KafkaConsumer("order-events", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=5000)
    assert next(consumer).value == b"value"
    assert consumer.partitions_for_topic("order-events") == {0, 1, 2}
    consumer.close()
