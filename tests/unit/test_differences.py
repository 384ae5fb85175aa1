"""What differs between two documents, as deep as they can be compared."""

from typing import Any

import pytest

from chalicelib.operations.differences import DIFFERENCE, Difference, differences


@pytest.mark.parametrize(
    ("before", "after", "places"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, [("/b", 2, 3)]),
        ({"a": {"b": None}}, {"a": {"b": "x"}}, [("/a/b", None, "x")]),
        ({"a": None}, {"a": {"b": 1}}, [("/a", None, {"b": 1})]),
        ({"a": [{"n": 1}, {"n": 2}]}, {"a": [{"n": 1}, {"n": 3}]}, [("/a/1/n", 2, 3)]),
        ({"a": [1]}, {"a": [1, 2]}, [("/a", [1], [1, 2])]),
        ({"a": 1}, {"b": 1}, [("", {"a": 1}, {"b": 1})]),
        ({"x/y": {"~": 1}}, {"x/y": {"~": 2}}, [("/x~1y/~0", 1, 2)]),
        (None, {"a": 1}, [("", None, {"a": 1})]),
        ({"a": 1, "b": 1}, {"a": 2, "b": 2}, [("/a", 1, 2), ("/b", 1, 2)]),
    ],
)
def test_each_place_that_differs_is_told_with_both_values(before: Any, after: Any, places: list[Any]) -> None:
    assert differences("order", "o-1", before, after) == [Difference("order", "o-1", *place) for place in places]


def test_a_difference_is_shown_as_a_json_patch_would_point_at_it() -> None:
    [difference] = differences("saga", "s-1", {"status": "RUNNING"}, {"status": "COMPLETED"})

    assert DIFFERENCE.document(difference) == {"what": "saga", "id": "s-1", "pointer": "/status", "from": "RUNNING", "to": "COMPLETED"}
