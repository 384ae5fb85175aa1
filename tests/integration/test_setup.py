"""`make migrate` and `make topics`: what the service needs of a database and a broker that somebody else runs."""

import pytest
import sqlalchemy as sa
from kafka.admin import KafkaAdminClient

from chalicelib.errors import SettingsError
from chalicelib.messages.topics import PARTITIONS
from infra.stack import setup
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker


def test_tables_are_made(empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database)
    assert [setup.migrate(), setup.migrate()] == [0, 0]
    assert "the tables are those of this version" in capsys.readouterr().out
    engine = sa.create_engine(empty_database, poolclass=sa.NullPool)
    with engine.connect() as session:
        assert session.execute(sa.text("SELECT count(*) FROM campusg.orders")).scalar_one() == 0


@pytest.mark.parametrize(("given", "said"), [("", "DATABASE_URL is missing"), ("mysql://h/d", "DATABASE_URL: must be")])
def test_a_database_that_is_not_named_is_asked_for(given: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", given)
    with pytest.raises(SettingsError, match=f"^{said}"):
        setup.migrate()


def test_what_the_server_says_is_shown_and_no_password(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{empty_database}_gone")
    assert setup.migrate() == 1
    said = capsys.readouterr().err
    assert "make migrate: the tables can't be made: database" in said
    assert empty_database.partition("@")[0].rpartition(":")[2] not in said


def test_topics_are_made_and_a_topic_with_other_partitions_is_named(
    bare_kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BROKERS", bare_kafka.bootstrap)
    bare_kafka.create_topics({"order-events": 1})
    assert setup.topics() == 1
    assert "topic order-events has 1 partitions where 3 are needed" in capsys.readouterr().err
    admin = KafkaAdminClient(bootstrap_servers=bare_kafka.bootstrap)
    admin.delete_topics(["order-events"])
    eventually(lambda: "order-events" not in admin.list_topics(), what="the end of the topic")
    assert setup.topics() == 0
    assert set(admin.list_topics()) >= PARTITIONS.keys()
    admin.close()


def test_a_broker_that_is_not_named_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BROKERS", raising=False)
    with pytest.raises(SettingsError, match="KAFKA_BROKERS is missing"):
        setup.topics()
