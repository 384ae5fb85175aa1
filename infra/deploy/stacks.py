"""CloudFormation's stacks by change sets: says what will be done, what is being done, and why something was not."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.aws.intrinsics import Value
from infra.console import say
from infra.deploy.errors import DeployError

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
# How often CloudFormation is asked how far it is: at first, and in the end.
FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS = 0.1, 3.0
# Of a change set without changes; CloudFormation has no code for it.
NOTHING_TO_DO = ("didn't contain changes", "No updates are to be performed")
# What follows from another resource's failure, in CloudFormation's words.
CANCELLED = "cancelled"
NAMES_SHOWN = 6
WORKS = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")
CAN_BE_CHANGED = (*WORKS, "UPDATE_ROLLBACK_COMPLETE")
VERBS = {"Add": "add", "Modify": "change", "Remove": "remove", "Import": "import", "Dynamic": "perhaps change"}


@dataclass(frozen=True)
class Applied:
    """A stack as it is after `apply`: its outputs, and whether anything was done."""

    outputs: Mapping[str, str]
    changed: bool


class Stacks:
    """The stacks of one account and region, through a client of boto3 for CloudFormation."""

    def __init__(self, client: Any) -> None:
        """Nothing is asked yet."""
        self._client = client

    def find(self, name: str) -> Mapping[str, Any] | None:
        """What CloudFormation says of a stack; None where there is none, or where there never was anything but a change set."""
        try:
            stack: Mapping[str, Any] = self._client.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if stack["StackStatus"] == "REVIEW_IN_PROGRESS" else stack

    def outputs(self, name: str) -> Mapping[str, str]:
        """The outputs of a stack, none where it doesn't exist."""
        return _outputs(self.find(name) or {})

    def apply(self, name: str, template: Value, template_url: str, parameters: Mapping[str, str], *, keep: Collection[str] = ()) -> Applied:
        """Make the stack as the template says, or change it. Parameters that are not given stay as they are.

        Does nothing where a resource of a type in `keep` would be lost. Raises DeployError then, or with the reason of the first failure:
        CloudFormation has put back by then what it had changed.
        """
        stack = self.find(name)
        if stack is not None:
            _check(name, stack["StackStatus"])
        change_set = self._changes(name, stack, template_url, _given(template, stack, parameters))
        if change_set is None:
            say(f"stack {name}: nothing to change")
            return Applied(_outputs(stack or {}), changed=False)
        say(f"stack {name} will be {'made' if stack is None else 'changed'}:", *_summary(change_set["Changes"]))
        lost = [resource["LogicalResourceId"] for resource in _lost(change_set["Changes"]) if resource["ResourceType"] in keep]
        if lost:
            self._forget(name, stack, change_set["ChangeSetId"])
            raise DeployError(f"stack {name} is left as it is: {', '.join(lost)} would be lost, or made anew without its data")
        seen = {event["EventId"] for event in self._news(name, set())}
        self._client.execute_change_set(StackName=name, ChangeSetName=change_set["ChangeSetId"])
        self._follow(name, seen, WORKS)
        return Applied(self.outputs(name), changed=True)

    def delete(self, name: str) -> None:
        """Delete the stack and wait until it is gone; raises DeployError."""
        stack = self.find(name)
        if stack is None:
            say(f"stack {name}: there is none")
            return
        say(f"stack {name} will be deleted")
        # By its id it can be asked for also when it is gone.
        seen = {event["EventId"] for event in self._news(stack["StackId"], set())}
        self._client.delete_stack(StackName=name)
        self._follow(stack["StackId"], seen, ("DELETE_COMPLETE",))

    def _changes(self, name: str, stack: Mapping[str, Any] | None, template_url: str, parameters: list[Value]) -> Mapping[str, Any] | None:
        """A change set that can be executed, None where nothing would change."""
        verb = "made" if stack is None else "changed"
        try:
            made = self._client.create_change_set(
                StackName=name,
                ChangeSetName=f"deploy-{time.time_ns()}",
                ChangeSetType="CREATE" if stack is None else "UPDATE",
                TemplateURL=template_url,
                Parameters=parameters,
                Capabilities=list(CAPABILITIES),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise DeployError(f"stack {name} can't be {verb}: {error.response['Error']['Message']}") from error
        for _ in _looks():
            change_set: dict[str, Any] = self._client.describe_change_set(StackName=name, ChangeSetName=made["Id"])
            if not change_set["Status"].endswith(("PENDING", "IN_PROGRESS")):
                break
        if change_set["Status"] == "CREATE_COMPLETE":
            page = change_set
            while "NextToken" in page:
                page = self._client.describe_change_set(StackName=name, ChangeSetName=made["Id"], NextToken=page["NextToken"])
                change_set["Changes"] += page["Changes"]
            return change_set
        reason = change_set.get("StatusReason", "CloudFormation gives no reason")
        self._forget(name, stack, made["Id"])
        if any(words in reason for words in NOTHING_TO_DO):
            return None
        raise DeployError(f"stack {name} can't be {verb}: {reason}")

    def _forget(self, name: str, stack: Mapping[str, Any] | None, change_set: str) -> None:
        """Leave nothing behind of a change set that can't be executed: for a new stack that is a stack without resources."""
        self._client.delete_change_set(StackName=name, ChangeSetName=change_set)
        if stack is None:
            self._client.delete_stack(StackName=name)

    def _follow(self, name: str, seen: set[str], wanted: tuple[str, ...]) -> None:
        """Say what happens to the stack until it has one of the wanted states; raises DeployError where it comes to rest in another."""
        failure = ""
        for _ in _looks():
            state = self._client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
            for event in reversed(self._news(name, seen)):
                seen.add(event["EventId"])
                failure = failure or _failure(event)
                if not event["ResourceStatus"].endswith("_IN_PROGRESS"):
                    say(f"  {_line(event)}")
            if state in wanted:
                return
            if not state.endswith("_IN_PROGRESS"):
                raise DeployError(f"stack {name} has ended as {state}; the first failure: {failure or 'none is known'}")

    def _news(self, name: str, seen: set[str]) -> list[Mapping[str, Any]]:
        """The events since those that were seen, the newest first."""
        news: list[Mapping[str, Any]] = []
        try:
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=name):
                for event in page["StackEvents"]:
                    if event["EventId"] in seen:
                        return news
                    news.append(event)
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
        return news


def _check(name: str, state: str) -> None:
    """Raise DeployError for a stack that can't be changed in this state."""
    if state.endswith("_IN_PROGRESS"):
        raise DeployError(f"stack {name} is being changed by somebody else ({state}): wait until that has ended")
    if state not in CAN_BE_CHANGED:
        raise DeployError(
            f"stack {name} is {state} and can't be changed; delete it first: make undeploy (with DATA=1 where it is the data's)"
        )


def _given(template: Value, stack: Mapping[str, Any] | None, parameters: Mapping[str, str]) -> list[Value]:
    before = {each["ParameterKey"] for each in (stack or {}).get("Parameters", [])}
    kept = [name for name in template["Parameters"] if name in before and name not in parameters]
    return [
        *({"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()),
        *({"ParameterKey": name, "UsePreviousValue": True} for name in kept),
    ]


def _outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _summary(changes: list[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each kind of change to each type of resource."""
    names: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for change in changes:
        resource = change["ResourceChange"]
        replaced = " (made anew)" if resource.get("Replacement") == "True" else ""
        names[resource["Action"], resource["ResourceType"]].append(resource["LogicalResourceId"] + replaced)
    for (action, kind), ids in sorted(names.items()):
        shown = ", ".join(ids[:NAMES_SHOWN]) + (f" and {len(ids) - NAMES_SHOWN} more" if len(ids) > NAMES_SHOWN else "")
        yield f"  {VERBS.get(action, action)} {len(ids)} {kind}: {shown}"


def _lost(changes: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The resources that are removed, or replaced, perhaps or certainly."""
    for change in changes:
        resource = change["ResourceChange"]
        if resource["Action"] == "Remove" or resource.get("Replacement", "False") != "False":
            yield resource


def _failure(event: Mapping[str, Any]) -> str:
    reason = event.get("ResourceStatusReason", "no reason is given")
    if not event["ResourceStatus"].endswith("_FAILED") or CANCELLED in reason:
        return ""
    return f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"


def _line(event: Mapping[str, Any]) -> str:
    reason = event.get("ResourceStatusReason")
    return f"{event['ResourceStatus']} {event['ResourceType']} {event['LogicalResourceId']}" + (f": {reason}" if reason else "")


def _looks() -> Iterator[None]:
    """Go on for ever, with pauses that grow."""
    pause = FIRST_LOOK_SECONDS
    while True:
        yield
        time.sleep(pause)
        pause = min(pause * 1.5, LAST_LOOK_SECONDS)
