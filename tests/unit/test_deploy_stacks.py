"""Stacks by change sets: what is said before, meanwhile and at the end, by CloudFormation's answers as botocore reads them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from infra.deploy import stacks
from infra.deploy.errors import DeployError
from infra.deploy.stacks import Stacks

NAME, URL = "campusg-orders-dev-service", "https://bucket/service.json"
NOW = datetime(2026, 11, 29, tzinfo=UTC)
TEMPLATE = {"Parameters": {"Stage": {}, "LogDays": {}, "New": {}}}
ID = f"arn:aws:cloudformation:us-east-1:000000000000:stack/{NAME}/1"


class Cloud:
    """CloudFormation's next answers, in the order in which they are asked for."""

    def __init__(self, client: Any) -> None:
        self.stub = Stubber(client)
        self.stacks = Stacks(client)

    def missing(self) -> None:
        self.stub.add_client_error(
            "describe_stacks", "ValidationError", f"Stack with id {NAME} does not exist", 400, None, {"StackName": NAME}
        )

    def stack(self, state: str, name: str = NAME, **more: Any) -> None:
        found = {"StackName": NAME, "StackId": ID, "CreationTime": NOW, "StackStatus": state, **more}
        self.stub.add_response("describe_stacks", {"Stacks": [found]}, {"StackName": name})

    def changes(self, kind: str, parameters: list[Any], status: str = "CREATE_COMPLETE", reason: str = "", **more: Any) -> None:
        asked = {"StackName": NAME, "ChangeSetName": ANY, "ChangeSetType": kind, "TemplateURL": URL, "Parameters": parameters}
        self.stub.add_response("create_change_set", {"Id": "set:1"}, {**asked, "Capabilities": list(stacks.CAPABILITIES)})
        answer = {"ChangeSetId": "set:1", "Status": status, "StatusReason": reason, **more}
        self.stub.add_response("describe_change_set", answer, {"StackName": NAME, "ChangeSetName": "set:1"})

    def events(self, *events: tuple[str, str, str], name: str = NAME) -> None:
        """Events as (id, status, reason), the newest first."""
        told = [
            {"StackId": ID, "StackName": NAME, "EventId": id, "Timestamp": NOW, "ResourceStatus": status, "ResourceStatusReason": reason}
            | {"LogicalResourceId": f"R{id}", "ResourceType": "AWS::X::Y"}
            for id, status, reason in events
        ]
        self.stub.add_response("describe_stack_events", {"StackEvents": told}, {"StackName": name})


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr(stacks, "FIRST_LOOK_SECONDS", 0.0)
    client = boto3.client("cloudformation", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    made = Cloud(client)
    with made.stub:
        yield made
        made.stub.assert_no_pending_responses()


def change(action: str, id: str, **more: Any) -> Any:
    return {"Type": "Resource", "ResourceChange": {"Action": action, "LogicalResourceId": id, "ResourceType": "AWS::X::Y", **more}}


def given(name: str, value: str) -> dict[str, str]:
    return {"ParameterKey": name, "ParameterValue": value}


def test_a_stack_is_made_and_all_of_it_is_said(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.missing()
    cloud.changes("CREATE", [given("Stage", "dev")], Changes=[change("Add", f"R{number}") for number in range(8)])
    cloud.events()
    cloud.stub.add_response("execute_change_set", {}, {"StackName": NAME, "ChangeSetName": "set:1"})
    cloud.stack("CREATE_IN_PROGRESS")
    cloud.events(("1", "CREATE_IN_PROGRESS", ""))
    cloud.stack("CREATE_COMPLETE")
    cloud.events(("3", "CREATE_COMPLETE", ""), ("2", "CREATE_COMPLETE", ""), ("1", "CREATE_IN_PROGRESS", ""))
    cloud.stack("CREATE_COMPLETE", Outputs=[{"OutputKey": "Url", "OutputValue": "u"}])

    applied = cloud.stacks.apply(NAME, TEMPLATE, URL, {"Stage": "dev"})

    assert (applied.outputs, applied.changed) == ({"Url": "u"}, True)
    assert capsys.readouterr().out.splitlines() == [
        f"stack {NAME} will be made:",
        "  add 8 AWS::X::Y: R0, R1, R2, R3, R4, R5 and 2 more",
        "  CREATE_COMPLETE AWS::X::Y R2",
        "  CREATE_COMPLETE AWS::X::Y R3",
    ]


def test_what_was_given_before_is_kept_and_what_is_made_anew_is_marked(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.stack("UPDATE_COMPLETE", Parameters=[given("Stage", "dev"), given("LogDays", "7")])
    wanted = [given("Stage", "dev"), {"ParameterKey": "LogDays", "UsePreviousValue": True}]
    cloud.changes("UPDATE", wanted, Changes=[change("Modify", "A", Replacement="True"), change("Remove", "B")])
    cloud.events(("1", "UPDATE_COMPLETE", ""))
    cloud.stub.add_response("execute_change_set", {}, {"StackName": NAME, "ChangeSetName": "set:1"})
    cloud.stack("UPDATE_COMPLETE")
    cloud.events(("1", "UPDATE_COMPLETE", ""))
    cloud.stack("UPDATE_COMPLETE")

    assert cloud.stacks.apply(NAME, TEMPLATE, URL, {"Stage": "dev"}).changed

    assert capsys.readouterr().out.splitlines() == [
        f"stack {NAME} will be changed:",
        "  change 1 AWS::X::Y: A (made anew)",
        "  remove 1 AWS::X::Y: B",
    ]


@pytest.mark.parametrize("what", [{"action": "Remove"}, {"action": "Modify", "Replacement": "Conditional"}])
def test_what_must_be_kept_is_not_lost(cloud: Cloud, what: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    cloud.stack("CREATE_COMPLETE")
    cloud.changes("UPDATE", [], Changes=[change("Modify", "A", Replacement="False"), change(id="B", **what)])
    cloud.stub.add_response("delete_change_set", {}, {"StackName": NAME, "ChangeSetName": "set:1"})

    with pytest.raises(DeployError, match=f"stack {NAME} is left as it is: B would be lost, or made anew without its data"):
        cloud.stacks.apply(NAME, TEMPLATE, URL, {}, keep={"AWS::X::Y"})


def test_an_empty_change_set_is_nothing_to_change(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.stack("CREATE_COMPLETE", Outputs=[{"OutputKey": "Url", "OutputValue": "u"}])
    cloud.changes("UPDATE", [], status="FAILED", reason="The submitted information didn't contain changes.")
    cloud.stub.add_response("delete_change_set", {}, {"StackName": NAME, "ChangeSetName": "set:1"})

    applied = cloud.stacks.apply(NAME, TEMPLATE, URL, {})

    assert (applied.outputs, applied.changed) == ({"Url": "u"}, False)
    assert capsys.readouterr().out == f"stack {NAME}: nothing to change\n"


def test_a_failure_is_shown_as_it_comes_and_its_first_reason_last(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.missing()
    cloud.changes("CREATE", [], Changes=[change("Add", "R1")])
    cloud.events()
    cloud.stub.add_response("execute_change_set", {}, {"StackName": NAME, "ChangeSetName": "set:1"})
    cloud.stack("ROLLBACK_COMPLETE")
    cloud.events(
        ("4", "DELETE_COMPLETE", ""),
        ("3", "CREATE_FAILED", "it came later"),
        ("2", "CREATE_FAILED", "a function of that name already exists"),
        ("1", "CREATE_FAILED", "Resource creation cancelled"),
    )

    with pytest.raises(DeployError) as raised:
        cloud.stacks.apply(NAME, TEMPLATE, URL, {})

    first = "the first failure: R2 (AWS::X::Y): a function of that name already exists"
    assert str(raised.value) == f"stack {NAME} has ended as ROLLBACK_COMPLETE; {first}"
    assert "  CREATE_FAILED AWS::X::Y R2: a function of that name already exists\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("UPDATE_IN_PROGRESS", "is being changed by somebody else"),
        ("ROLLBACK_COMPLETE", "can't be changed; delete it first: make undeploy"),
    ],
)
def test_a_stack_that_can_not_be_changed_now(cloud: Cloud, state: str, said: str) -> None:
    cloud.stack(state)

    with pytest.raises(DeployError, match=said):
        cloud.stacks.apply(NAME, TEMPLATE, URL, {})


def test_a_change_set_that_can_not_be_made_leaves_no_empty_stack(cloud: Cloud) -> None:
    cloud.missing()
    cloud.changes("CREATE", [], status="FAILED", reason="the role X is no good")
    cloud.stub.add_response("delete_change_set", {}, {"StackName": NAME, "ChangeSetName": "set:1"})
    cloud.stub.add_response("delete_stack", {}, {"StackName": NAME})

    with pytest.raises(DeployError, match=f"stack {NAME} can't be made: the role X is no good"):
        cloud.stacks.apply(NAME, TEMPLATE, URL, {})


def test_a_parameter_that_is_refused_is_named(cloud: Cloud) -> None:
    cloud.stack("CREATE_COMPLETE")
    cloud.stub.add_client_error("create_change_set", "ValidationError", "Parameter 'LogDays' must be one of AllowedValues")

    with pytest.raises(DeployError, match=f"stack {NAME} can't be changed: Parameter 'LogDays' must be one of AllowedValues"):
        cloud.stacks.apply(NAME, TEMPLATE, URL, {})


def test_a_stack_is_deleted_and_one_that_is_not_there_is_passed_over(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.missing()
    cloud.stacks.delete(NAME)
    cloud.stack("CREATE_COMPLETE")
    cloud.events(name=ID)
    cloud.stub.add_response("delete_stack", {}, {"StackName": NAME})
    cloud.stack("DELETE_COMPLETE", name=ID)
    cloud.events(("1", "DELETE_COMPLETE", ""), name=ID)

    cloud.stacks.delete(NAME)

    assert capsys.readouterr().out.splitlines() == [
        f"stack {NAME}: there is none",
        f"stack {NAME} will be deleted",
        "  DELETE_COMPLETE AWS::X::Y R1",
    ]
