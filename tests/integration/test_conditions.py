"""Conditional requests (RFC 9110, section 13): what is not sent again, and what is not done."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tests.support.edge import ORDERS, OWNER, RUNNER, Edge
from tests.support.scene import Scene, Stage


@pytest.fixture
def scene(stage: Stage) -> Scene:
    """An accepted order."""
    return stage.scene("ACCEPTED", pool=1)


def version(scene: Scene) -> int:
    return int(scene.order["version"])


NOT_MODIFIED = {
    "the tag": '"{}"',
    "the tag, weak": 'W/"{}"',
    "any": "*",
    "one of a list": '"1", "{}" ,"99"',
    "one of a weak list": 'W/"1",W/"{}"',
    "beside a tag with a comma": '"a,b", "{}"',
    "empty members": ',, "{}",',
}
MODIFIED = {
    "another": '"1"',
    "a list without it": '"1", W/"2"',
    "without quotes": "{}",
    "half a quote": '"{}',
    "inside of another": '"x{}"',
    "a part of a tag with a comma": '"a,"{}",b"',
    "small w": 'w/"{}"',
    "empty": "",
}


def test_what_the_client_has_is_not_sent_again(edge: Edge, scene: Scene) -> None:
    tag = f'"{version(scene)}"'
    for name, tags in NOT_MODIFIED.items():
        answered = edge.get(f"{ORDERS}/{scene.order_id}", OWNER, If_None_Match=tags.format(version(scene)))
        assert (name, answered.status, answered.body, answered.headers["ETag"]) == (name, 304, b"", tag)


def test_what_the_client_does_not_have_is_sent(edge: Edge, scene: Scene) -> None:
    for name, tags in MODIFIED.items():
        answered = edge.get(f"{ORDERS}/{scene.order_id}", OWNER, If_None_Match=tags.format(version(scene)))
        assert (name, answered.status, answered.headers["ETag"]) == (name, 200, f'"{version(scene)}"')
        assert answered.json()["version"] == version(scene)


HOLDS = {"the tag": '"{}"', "any": "*", "one of a list": '"1" , "{}"', "beside a weak one": 'W/"1", "{}"', "empty members": ',"{}",, '}
FAILS = {
    "another": '"1"',
    "weak": 'W/"{}"',
    "a list without it": '"1", "2"',
    "a tag with a comma": '"{},1"',
    "not a number": '"latest"',
    "a number that is no version": '"0{}"',
    "an empty tag": '""',
    "a huge number": '"' + "9" * 5000 + '"',
    "other digits": '"\xb2"',
}
GARBAGE = {
    "without quotes": "{}",
    "half a quote": '"{}',
    "empty": "",
    "only commas": ", ,",
    "small w": 'w/"{}"',
    "no comma between": '"{}" "{}"',
    "any in a list": '*, "{}"',
}


@pytest.mark.parametrize("tags", HOLDS.values(), ids=HOLDS)
def test_a_change_is_made_while_the_condition_holds(edge: Edge, scene: Scene, tags: str) -> None:
    before = version(scene)
    answered = edge.call("PATCH", f"{ORDERS}/{scene.order_id}/status", RUNNER, {"status": "COLLECTED"}, If_Match=tags.format(before))
    assert (answered.status, answered.headers["ETag"]) == (200, f'"{before + 1}"')
    assert answered.json()["version"] == version(scene) == before + 1


@pytest.mark.parametrize(
    ("examples", "problem"), [(FAILS, (412, "precondition-failed")), (GARBAGE, (400, "invalid"))], ids=["fails", "is none"]
)
def test_nothing_changes_where_the_condition(edge: Edge, scene: Scene, examples: dict[str, str], problem: tuple[int, str]) -> None:
    before = scene.state()
    for tags in examples.values():
        condition = tags.format(version(scene), version(scene))
        path, body = f"{ORDERS}/{scene.order_id}/status", {"status": "COLLECTED"}
        edge.call("PATCH", path, RUNNER, body, If_Match=condition).problem(*problem)
    assert scene.state() == before


def test_a_failed_condition_is_said_before_a_wrong_status(edge: Edge, scene: Scene) -> None:
    path, body = f"{ORDERS}/{scene.order_id}/status", {"status": "DELIVERED"}
    edge.call("PATCH", path, RUNNER, body, If_Match='"1"').problem(412, "precondition-failed")
    edge.call("PATCH", path, RUNNER, body, If_Match=f'"{version(scene)}"').problem(409, "wrong-status")
    edge.call("PATCH", path, RUNNER, {"status": "LOST"}, If_Match='"1"').problem(422, "invalid")
    edge.call("PATCH", path, OWNER, body, If_Match='"1"').problem(403, "forbidden")


def test_of_two_changes_at_once_with_one_tag_one_is_made(edge: Edge, scene: Scene) -> None:
    """Judged before the lock, both conditions would hold."""
    begun, tag, path = Barrier(2), f'"{version(scene)}"', f"{ORDERS}/{scene.order_id}/status"
    before = version(scene)
    edge.token(RUNNER)

    def collect(_: int) -> int:
        begun.wait(10)
        return edge.call("PATCH", path, RUNNER, {"status": "COLLECTED"}, If_Match=tag).status

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(collect, range(2))) == [200, 412]
    assert version(scene) == before + 1
