"""Partial batch responses, in their documented form and no other."""

from typing import Any

import pytest

from infra.esm.event import EncodedRecord
from infra.esm.partial import FailedItem, MalformedResponse, checkpoint, failed_items

RECORDS = [EncodedRecord(partition, offset, "", 0) for partition, offset in ((0, 5), (0, 6), (2, 9), (3, 1))]


def reported(*identifiers: Any) -> Any:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


@pytest.mark.rule("partial-success")
@pytest.mark.parametrize("response", [None, "", {}, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_nothing_reported_is_success(response: Any) -> None:
    assert failed_items(response, "a-1", RECORDS) == frozenset()


@pytest.mark.rule("partial-form")
def test_reported_records_are_those_that_failed() -> None:
    response = reported({"partition": "a-1-0", "offset": 6}, {"partition": "a-1-2", "offset": 9}, {"partition": "a-1-0", "offset": 6})

    assert failed_items(response, "a-1", RECORDS) == {FailedItem(0, 6), FailedItem(2, 9)}


@pytest.mark.rule("partial-form")
@pytest.mark.rule("partial-whole-batch-failed")
@pytest.mark.parametrize(
    "response",
    [
        "done",
        [],
        7,
        {"batchItemFailures": {}},
        {"batchItemFailures": "none"},
        {"batchItemFailures": [None]},
        {"batchItemFailures": [{}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        reported({}),
        reported({"partition": "a-1-0"}),
        reported({"offset": 5}),
        reported({"topic-partition": "a-1-0", "offset": 5}),
        reported({"partition": "a-1-0", "offset": 5, "more": 1}),
        reported({"partition": 0, "offset": 5}),
        reported({"partition": "a-1-0", "offset": "5"}),
        reported({"partition": "a-1-3", "offset": True}),
        reported({"partition": "a-1-0", "offset": None}),
        reported({"partition": "a-1-1", "offset": 5}),
        reported({"partition": "b-0", "offset": 5}),
        reported({"partition": "a-1-0", "offset": 9}),
        reported({"partition": "a-1-0", "offset": 5}, {"partition": "a-1-0", "offset": 4}),
    ],
)
def test_any_other_form_or_place_fails_the_whole_batch(response: Any) -> None:
    with pytest.raises(MalformedResponse):
        failed_items(response, "a-1", RECORDS)


@pytest.mark.rule("partial-form")
def test_the_former_member_name_is_refused_with_a_hint() -> None:
    with pytest.raises(MalformedResponse, match="topic-partition is not read"):
        failed_items(reported({"topic-partition": "a-1-0", "offset": 5}), "a-1", RECORDS)


def test_a_checkpoint_is_the_lowest_failed_offset_of_each_partition() -> None:
    assert checkpoint([FailedItem(0, 8), FailedItem(2, 9), FailedItem(0, 6), FailedItem(0, 7)]) == {0: 6, 2: 9}
