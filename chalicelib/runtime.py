"""The composition root: built once per container, on first use."""

import gc
import os
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from threading import Lock
from uuid import UUID

from chalicelib.db.access import open_engine
from chalicelib.db.connection import Database
from chalicelib.ids import new_id, new_id_source
from chalicelib.messaging.producer import Producer
from chalicelib.messaging.publisher import Publisher
from chalicelib.operations.deaths import DeathWatch
from chalicelib.operations.expire import cancel_expired
from chalicelib.operations.shared_wait import SharedWait
from chalicelib.operations.sweep import Sweeper
from chalicelib.orders.timeouts import Timeouts
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.queries import SagaWithOrder, read_resting, resting
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.settings import Settings, token_settings


class Runtime:
    """Everything that lives as long as the container. Nothing connects before it is used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        policy = RetryPolicy(timedelta(seconds=settings.step_timeout_seconds), settings.step_max_attempts)
        timeouts = Timeouts(timedelta(seconds=settings.accept_timeout_seconds), timedelta(seconds=settings.complete_timeout_seconds))
        self.rules = Rules(policy, timeouts, cancel_expired)
        self.database = Database(open_engine(settings))
        self.producer = Producer(settings.kafka_brokers, settings.kafka_security)
        self.publisher = Publisher(self.database, self.producer, new_id)
        self.deaths = DeathWatch(self.database)
        self.sweeper = Sweeper(self.database, self.rules, self.publisher.publish, new_id_source)
        self.shared_wait = SharedWait(self._resting)

    def _resting(self, saga_ids: Iterable[UUID]) -> list[SagaWithOrder]:
        with self.database.transaction() as session:
            answer = read_resting(session, saga_ids)
        return resting(answer)


# So many objects are made, over those given up, before the collector looks for cycles among them; by itself Python looks after 700.
GARBAGE = 50_000

_making = Lock()


def runtime() -> Runtime:
    """The container's runtime, one for all its threads; raises SettingsError where the environment is wrong."""
    with _making:
        return _made()


def forget() -> None:
    """Have the environment read anew by whoever asks next; for tests."""
    _made.cache_clear()
    token_settings.cache_clear()


@lru_cache(maxsize=1)
def _made() -> Runtime:
    made = Runtime(Settings.read(os.environ))
    _spare_the_collector()
    return made


@lru_cache(maxsize=1)
def _spare_the_collector() -> None:
    """Have the garbage collector look seldom, and never at what was imported and built, which lives as long as the container.

    A batch of replies makes some hundred thousand objects, hardly a cycle among them: counting references frees them. Looking for cycles
    all the same was a fifth of what a batch of a hundred cost. Nothing is collected first: that takes 70 ms and finds ten objects.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 50)
