"""Both stacks before the checkers, with and without deliberate faults."""

import copy

import pytest

from infra.aws import chalice_project, data
from infra.aws.check.checkers import MSK, resolved
from infra.aws.check.command import check
from infra.aws.check.faults import FAULTS, GONE, put

STACKS = {"service": chalice_project.template(), "data": data.template()}


@pytest.mark.tool("infra-check")
@pytest.mark.timeout(300)
def test_the_checkers_find_nothing_in_the_stacks_and_every_deliberate_fault() -> None:
    findings, missed = check(STACKS)

    assert findings == []
    assert [fault.sentence for fault in missed] == []


def test_every_deliberate_fault_changes_something_that_is_there_and_they_keep_apart() -> None:
    for fault in FAULTS:
        template = copy.deepcopy(STACKS[fault.stack])
        put(template, fault)
        assert template != STACKS[fault.stack], fault.sentence
    touched = [(fault.stack, fault.resource) for fault in FAULTS]
    assert len(set(touched)) == len(touched) >= 20
    assert any(fault.value is GONE for fault in FAULTS)


def test_policies_are_checked_with_the_arns_that_they_will_have() -> None:
    kafka = resolved(STACKS["service"]["Resources"]["OnUserEventsRole"]["Properties"]["Policies"])[-1]["PolicyDocument"]["Statement"]
    named = [
        arn for statement in kafka for arn in ([statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"])
    ]

    assert MSK in named
    assert MSK.replace(":cluster/", ":topic/") + "/user-events" in named
    assert MSK.replace(":cluster/", ":group/") + "/campusg-on_user_events" in named
    network = resolved(STACKS["service"]["Resources"]["MigrateRole"]["Properties"]["Policies"])[1]["PolicyDocument"]["Statement"]
    places = next(each["Resource"] for each in network if each["Action"] == ["ec2:CreateNetworkInterface"])
    assert places[2:] == ["arn:aws:ec2:*:*:subnet/subnet-0a1", "arn:aws:ec2:*:*:subnet/subnet-0a2"]
