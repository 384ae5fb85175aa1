"""Offsets on their way to the broker, and what becomes of those that do not arrive."""

from collections.abc import Callable
from typing import Any

import pytest
from kafka.errors import NotCoordinatorError

from infra.esm.consumer import Commits
from infra.esm.metrics import Metrics


class Coordinator:
    """A consumer that hands over each commit, to be answered by the test."""

    def __init__(self) -> None:
        self.sent: list[dict[int, int]] = []
        self.answers: list[Callable[[Any, Any], None]] = []

    def commit_async(self, offsets: Any, callback: Callable[[Any, Any], None]) -> None:
        self._note(offsets)
        self.answers.append(callback)

    def commit(self, offsets: Any, timeout_ms: int) -> None:
        self._note(offsets)

    def _note(self, offsets: Any) -> None:
        self.sent.append({partition.partition: offset.offset for partition, offset in offsets.items()})


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
def commits(coordinator: Coordinator) -> Commits:
    made = Commits(coordinator, "orders", Metrics(), repeat_seconds=0)
    made.begin({0: 10, 1: 0})
    return made


def counted(commits: Commits, name: str) -> float:
    return commits._metrics.snapshot()[name]


@pytest.mark.rule("commit-retried")
def test_a_commit_that_fails_is_sent_again_with_all_that_was_done_meanwhile(coordinator: Coordinator, commits: Commits) -> None:
    commits.commit({0: 12})
    commits.commit({1: 3})
    coordinator.answers[0](None, NotCoordinatorError())
    commits.send()
    coordinator.answers[1](None, None)
    commits.send()

    assert coordinator.sent == [{0: 12}, {0: 12, 1: 3}]
    assert counted(commits, "CommitErrorCount") == 1
    assert commits.committed == {0: 12, 1: 3}


@pytest.mark.rule("commit-retried")
def test_a_commit_that_failed_just_now_is_not_sent_again_at_once(coordinator: Coordinator) -> None:
    commits = Commits(coordinator, "orders", Metrics(), repeat_seconds=60)
    commits.commit({0: 12})
    coordinator.answers[0](None, NotCoordinatorError())
    commits.send()

    assert coordinator.sent == [{0: 12}]
    assert not commits.awaits_answer


def test_while_an_answer_is_awaited_nothing_is_sent_that_could_overtake_it(coordinator: Coordinator, commits: Commits) -> None:
    for end in (11, 12, 13):
        commits.commit({0: end})
    assert coordinator.sent == [{0: 11}]
    coordinator.answers[0](None, None)
    commits.send()

    assert coordinator.sent == [{0: 11}, {0: 13}]


@pytest.mark.rule("metrics-counted")
def test_committed_events_are_counted_by_their_offsets_and_once(coordinator: Coordinator, commits: Commits) -> None:
    commits.commit({0: 12})
    coordinator.answers[0](None, NotCoordinatorError())
    commits.send()
    coordinator.answers[1](None, None)
    commits.commit({0: 15, 1: 1})
    coordinator.answers[2](None, None)

    assert counted(commits, "CommittedEventCount") == 6


def test_at_the_end_what_is_not_confirmed_is_committed_and_nothing_else(coordinator: Coordinator, commits: Commits) -> None:
    commits.commit({0: 12})
    coordinator.answers[0](None, None)
    commits.settle(1.0)
    assert coordinator.sent == [{0: 12}]

    commits.commit({1: 2})
    commits.settle(1.0)
    assert coordinator.sent == [{0: 12}, {1: 2}, {0: 12, 1: 2}]
    assert commits.committed == {0: 12, 1: 2}


def test_where_nothing_was_done_nothing_is_committed_but_the_beginning_is_known(coordinator: Coordinator, commits: Commits) -> None:
    commits.commit({})
    commits.settle(1.0)

    assert coordinator.sent == []
    assert commits.done == {0: 10, 1: 0}
