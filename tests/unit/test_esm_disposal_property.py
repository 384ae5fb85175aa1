"""Whatever a function does and however a mapping is set: every record is settled, in order, and committed only then."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.esm.batch import Batch
from infra.esm.disposal import Failed, Outcome, Reported, Rules, commits
from infra.esm.event import EncodedRecord
from infra.esm.mapping import EventSourceMapping
from infra.esm.partial import FailedItem
from infra.esm.readings import Readings
from infra.esm.retry import Backoff
from infra.esm.waiting import Waiting

FOR_EVER = 10_000
MOST_STEPS = 2_000
NOW_MS = 1_000_000_000
Place = tuple[int, int]


@dataclass
class World:
    """A function whose records fail as often as they should, and what became of them."""

    fates: dict[Place, tuple[str, int]]
    done: set[Place] = field(default_factory=set)
    given_up: set[Place] = field(default_factory=set)
    committed: dict[int, int] = field(default_factory=dict)

    @property
    def unsettled(self) -> set[Place]:
        return self.fates.keys() - self.done - self.given_up

    def invoke(self, records: tuple[EncodedRecord, ...]) -> Outcome:
        """Do the records in order; one that raises ends it, one that is reported does not."""
        failed = set()
        for record in records:
            place = (record.partition, record.offset)
            how, times = self.fates[place]
            self.fates[place] = (how, times - 1)
            if times <= 0:
                self.done.add(place)
            elif how == "raise":
                return Failed("Unhandled")
            else:
                failed.add(FailedItem(*place))
        return Reported(frozenset(failed))

    def check_order(self, records: tuple[EncodedRecord, ...]) -> None:
        """Each partition is delivered in order, and from its first record on that is not settled."""
        for partition in {record.partition for record in records}:
            offsets = [record.offset for record in records if record.partition == partition]
            assert offsets == sorted(set(offsets))
            assert offsets[0] <= min((offset for number, offset in self.unsettled if number == partition), default=offsets[0])

    def commit(self, ends: dict[int, int]) -> None:
        """Commits only go on, and never beyond what is not settled."""
        for partition, end in ends.items():
            assert end > self.committed.get(partition, -1)
            assert not [offset for number, offset in self.unsettled if number == partition and offset < end]
        self.committed |= ends


fates = st.tuples(st.sampled_from(["raise", "report"]), st.sampled_from([0, 0, 0, 0, 1, 2, 5, FOR_EVER]))
places = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), unique=True, min_size=1, max_size=20)
readings = st.builds(
    Readings,
    partial=st.sampled_from(["checkpoint", "items"]),
    partial_counts=st.sampled_from(["yes", "no"]),
    bisect_counts=st.sampled_from(["no", "yes"]),
)


@pytest.mark.rule("at-least-once")
@pytest.mark.rule("order-per-partition")
@pytest.mark.rule("commit-after-success")
@given(places, st.data(), st.integers(0, 4), st.booleans(), readings)
@settings(max_examples=300, deadline=None)
def test_every_record_is_done_or_given_up_in_order_and_committed_only_then(
    places: list[Place], data: st.DataObject, retries: int, bisects: bool, chosen: Readings
) -> None:
    parameters: dict[str, Any] = {"maximum_retry_attempts": retries, "bisect_batch_on_function_error": bisects}
    rules = Rules(EventSourceMapping("f", ("orders",), "TRIM_HORIZON", **parameters), chosen, Backoff())
    places.sort(key=lambda place: place[1])
    world = World({place: data.draw(fates) for place in places})
    filtered = data.draw(st.dictionaries(st.integers(0, 3), st.integers(100, 110)))
    first = Batch(
        tuple(EncodedRecord(*place, "{}", NOW_MS) for place in places),
        {partition: offset + 1 for partition, offset in places} | filtered,
    )
    waiting = Waiting()
    waiting.replace(first, [first])
    steps = 0
    while (batch := waiting.due(float("inf"))) is not None:
        steps += 1
        assert steps < MOST_STEPS
        world.check_order(batch.records)
        disposal = rules.after(batch, world.invoke(batch.records), 0.0)
        world.given_up |= {(record.partition, record.offset) for given_up in disposal.given_up for record in given_up.records}
        world.commit(commits(batch, disposal.again))
        waiting.replace(batch, disposal.again)

    assert world.unsettled == set()
    assert world.committed == dict(first.ends)
