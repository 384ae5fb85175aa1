"""Offsets on their way to the broker, and what becomes of those that do not arrive."""

from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from infra.esm.consumer import REPEAT_SECONDS, Commits
from infra.esm.metrics import Metrics


class Coordinator:
    """A consumer that takes commits unless it is told to refuse them; and the time, which the test sets."""

    def __init__(self) -> None:
        self.sent: list[dict[int, int]] = []
        self.refuses = False
        self.now = 100.0

    def commit(self, offsets: Any, timeout_ms: int) -> None:
        self.sent.append({partition.partition: offset.offset for partition, offset in offsets.items()})
        if self.refuses:
            raise KafkaTimeoutError

    def commits(self, interval_seconds: float = 0.0) -> Commits:
        made = Commits(self, "orders", Metrics(), interval_seconds, lambda: self.now)
        made.begin({0: 10, 1: 0})
        return made


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


def counted(commits: Commits, name: str) -> float:
    return commits._metrics.snapshot()[name]


@pytest.mark.rule("commit-retried")
def test_a_commit_that_fails_is_sent_again_with_all_that_was_done_meanwhile(coordinator: Coordinator) -> None:
    commits = coordinator.commits()
    coordinator.refuses = True
    commits.commit({0: 12})
    commits.commit({1: 3})
    coordinator.refuses = False
    coordinator.now += REPEAT_SECONDS
    commits.send()
    commits.send()

    assert coordinator.sent == [{0: 12}, {0: 12, 1: 3}]
    assert counted(commits, "CommitErrorCount") == 1
    assert commits.committed == {0: 12, 1: 3}


@pytest.mark.rule("commit-retried")
def test_a_commit_that_failed_just_now_is_not_sent_again_at_once(coordinator: Coordinator) -> None:
    commits = coordinator.commits()
    coordinator.refuses = True
    commits.commit({0: 12})
    coordinator.now += REPEAT_SECONDS / 2
    commits.send()

    assert coordinator.sent == [{0: 12}]


@pytest.mark.rule("commit-after-success")
def test_every_batch_is_committed_at_once(coordinator: Coordinator) -> None:
    commits = coordinator.commits()
    for end in (11, 12):
        commits.commit({0: end})

    assert coordinator.sent == [{0: 11}, {0: 12}]


@pytest.mark.rule("commit-interval")
def test_with_an_interval_the_newest_offsets_are_committed_once_in_it_and_at_the_end(coordinator: Coordinator) -> None:
    commits = coordinator.commits(interval_seconds=0.2)
    for end in (11, 12, 13):
        commits.commit({0: end})
    assert coordinator.sent == [{0: 11}]
    assert commits.done == {0: 13, 1: 0}
    coordinator.now += 0.2
    commits.send()
    assert coordinator.sent == [{0: 11}, {0: 13}]
    commits.commit({0: 14})
    commits.settle(1.0)

    assert coordinator.sent == [{0: 11}, {0: 13}, {0: 14}]


@pytest.mark.rule("metrics-counted")
def test_committed_events_are_counted_by_their_offsets_and_once(coordinator: Coordinator) -> None:
    commits = coordinator.commits()
    coordinator.refuses = True
    commits.commit({0: 12})
    coordinator.refuses = False
    coordinator.now += REPEAT_SECONDS
    commits.send()
    commits.commit({0: 15, 1: 1})

    assert counted(commits, "CommittedEventCount") == 6


def test_at_the_end_what_is_not_confirmed_is_committed_and_nothing_else(coordinator: Coordinator) -> None:
    commits = coordinator.commits()
    commits.commit({0: 12})
    commits.settle(1.0)
    assert coordinator.sent == [{0: 12}]

    coordinator.refuses = True
    commits.commit({1: 2})
    coordinator.refuses = False
    commits.settle(1.0)
    assert coordinator.sent == [{0: 12}, {1: 2}, {1: 2}]
    assert commits.committed == {0: 12, 1: 2}


def test_where_nothing_was_done_nothing_is_committed_but_the_beginning_is_known(coordinator: Coordinator) -> None:
    commits = coordinator.commits()
    commits.commit({})
    commits.settle(1.0)

    assert coordinator.sent == []
    assert commits.done == {0: 10, 1: 0}
