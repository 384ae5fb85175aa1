"""The composition root: built once per container, on first use."""

import os
from datetime import timedelta
from functools import cached_property, lru_cache

from chalicelib.db.connection import Database, make_engine
from chalicelib.ids import new_fresh, new_id
from chalicelib.messaging.producer import Producer
from chalicelib.messaging.publisher import Publisher
from chalicelib.operations.consume import Consumer
from chalicelib.operations.sweep import Sweeper
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.settings import Settings


class Runtime:
    """Everything that lives as long as the container. Nothing connects before it is used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        policy = RetryPolicy(timedelta(seconds=settings.step_timeout_seconds), settings.step_max_attempts)
        self.rules = Rules(policy, timedelta(seconds=settings.accept_timeout_seconds), timedelta(seconds=settings.complete_timeout_seconds))

    @cached_property
    def database(self) -> Database:
        return Database(make_engine(self.settings.database_url.get_secret_value(), pool_size=self.settings.database_pool_size))

    @cached_property
    def producer(self) -> Producer:
        return Producer(self.settings.kafka_brokers)

    @cached_property
    def publisher(self) -> Publisher:
        return Publisher(self.database, self.producer, new_id)

    @cached_property
    def consumer(self) -> Consumer:
        return Consumer(self.database, self.rules, self.publisher.publish)

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.database, self.rules, self.publisher.publish, new_fresh)


@lru_cache(maxsize=1)
def runtime() -> Runtime:
    """The container's runtime; raises SettingsError where the environment is wrong."""
    return Runtime(Settings.read(os.environ))
