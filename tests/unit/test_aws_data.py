"""The data stack's template, read as data, and the stages' parameters of both stacks."""

import base64
import importlib
from collections.abc import Mapping
from typing import Any

import pytest

from chalicelib.messages.topics import PARTITIONS, SETTINGS
from chalicelib.settings import RoleSettings
from infra.aws import chalice_project, data, stages

Resource = dict[str, Any]
PORTS = {5432, 9098, 443}


@pytest.fixture(scope="module")
def template() -> Mapping[str, Any]:
    return data.template()


@pytest.fixture(scope="module")
def resources(template: Mapping[str, Any]) -> dict[str, Resource]:
    return template["Resources"]


def properties(resources: Mapping[str, Resource], kind: str) -> list[Resource]:
    return [each["Properties"] for each in resources.values() if each["Type"] == kind]


def test_every_topic_is_a_resource_with_its_partitions_and_settings(resources: Mapping[str, Resource]) -> None:
    topics = {each["TopicName"]: each for each in properties(resources, "AWS::MSK::Topic")}

    assert {name: each["PartitionCount"] for name, each in topics.items()} == PARTITIONS
    for name, topic in topics.items():
        lines = base64.b64decode(topic["Configs"]).decode().splitlines()
        settings = dict(line.split("=", 1) for line in lines)
        assert SETTINGS.get(name, {}).items() <= settings.items()
        assert "retention.ms" in settings


def test_the_database_is_encrypted_backed_up_and_reached_by_tls_only(resources: Mapping[str, Resource]) -> None:
    (database,) = properties(resources, "AWS::RDS::DBInstance")
    (parameters,) = properties(resources, "AWS::RDS::DBParameterGroup")

    assert database["StorageEncrypted"]
    assert not database["PubliclyAccessible"]
    assert parameters["Parameters"]["rds.force_ssl"] == "1"
    assert parameters["Family"] == f"postgres{database['EngineVersion'].partition('.')[0]}"
    assert database["BackupRetentionPeriod"] == {"Ref": "BackupDays"}
    assert database["MultiAZ"] == {"Ref": "DatabaseMultiAz"}
    assert database["DeletionProtection"] == {"Ref": "DatabaseProtected"}


def test_no_password_is_kept_anywhere_but_the_masters_by_rds(resources: Mapping[str, Resource]) -> None:
    (database,) = properties(resources, "AWS::RDS::DBInstance")
    (proxy,) = properties(resources, "AWS::RDS::DBProxy")

    assert database["ManageMasterUserPassword"]
    assert "MasterUserPassword" not in database
    assert (proxy["DefaultAuthScheme"], proxy["RequireTLS"]) == ("IAM_AUTH", True)
    assert "Auth" not in proxy


def test_the_cluster_knows_its_clients_by_iam_over_tls(resources: Mapping[str, Resource]) -> None:
    (cluster,) = properties(resources, "AWS::MSK::Cluster")

    assert cluster["ClientAuthentication"] == {"Sasl": {"Iam": {"Enabled": True}}, "Unauthenticated": {"Enabled": False}}
    assert cluster["EncryptionInfo"]["EncryptionInTransit"]["ClientBroker"] == "TLS"


def test_nothing_leads_into_the_internet_and_nobody_comes_in_from_it(resources: Mapping[str, Resource]) -> None:
    kinds = {each["Type"] for each in resources.values()}
    assert kinds.isdisjoint({"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::Route"})
    inline = [rule for group in properties(resources, "AWS::EC2::SecurityGroup") for rule in group.get("SecurityGroupIngress", [])]
    for rule in [*inline, *properties(resources, "AWS::EC2::SecurityGroupIngress")]:
        assert rule["FromPort"] == rule["ToPort"] in PORTS
        assert "SourceSecurityGroupId" in rule
        assert "CidrIp" not in rule


def test_what_holds_data_is_kept_by_default(template: Mapping[str, Any]) -> None:
    resources, parameters = template["Resources"], template["Parameters"]

    assert parameters["WhenDeleted"]["Default"] == "Retain"
    assert parameters["DatabaseWhenDeleted"]["Default"] == "Snapshot"
    assert parameters["DatabaseProtected"]["Default"] == "true"
    kept = {name: each["DeletionPolicy"]["Ref"] for name, each in resources.items() if "DeletionPolicy" in each}
    assert kept["Database"] == "DatabaseWhenDeleted"
    assert {name for name, each in resources.items() if each["Type"].startswith("AWS::MSK::")} <= kept.keys()
    assert all(each["UpdateReplacePolicy"] == each["DeletionPolicy"] for each in resources.values() if "DeletionPolicy" in each)


def test_the_roles_are_made_by_a_function_that_can_be_taken_away_again(template: Mapping[str, Any]) -> None:
    resources = template["Resources"]
    temporary = {name for name, each in resources.items() if each.get("Condition") == "MakesRoles"}

    assert temporary == {"MakeRoles", "MakeRolesRole", "MakeRolesLogGroup", "SecretsEndpoint", "SecretsSecurityGroup", "RolesReachDatabase"}
    assert template["Parameters"]["CodeKey"]["Default"] == ""
    function = resources["MakeRoles"]["Properties"]
    assert function["Environment"]["Variables"]["DATABASE_SECRET_ARN"] == {"Fn::GetAtt": ["Database", "MasterUserSecret.SecretArn"]}


def test_the_service_stack_takes_what_the_data_stack_has_made(template: Mapping[str, Any]) -> None:
    service = chalice_project.template()
    outputs = dict.fromkeys(template["Outputs"], "x")

    assert set(outputs) - set(stages.known(service, outputs)) == {"MakeRolesFunction"}
    missing = stages.missing(service, stages.parameters("dev", "service") | stages.known(service, outputs))
    assert set(missing) == {"CodeBucket", "CodeKey", "JwksUrl", "JwtIssuer", "KafkaBrokers"}
    assert all(missing.values()), "each says what it is for"


@pytest.mark.parametrize("stage", stages.STAGES)
@pytest.mark.parametrize("stack", ["data", "service"])
def test_a_stages_parameters_are_known_and_allowed(stage: str, stack: stages.Stack) -> None:
    declared = (data.template() if stack == "data" else chalice_project.template())["Parameters"]
    for name, value in stages.parameters(stage, stack).items():
        assert value in map(str, declared[name].get("AllowedValues", [value])), name
        assert isinstance(value, str), "CloudFormation takes texts"


def test_production_keeps_what_it_has() -> None:
    given = stages.parameters("prod", "data")

    assert given.keys().isdisjoint({"WhenDeleted", "DatabaseWhenDeleted", "DatabaseProtected", "DatabaseMultiAz"}), "the safe defaults"
    assert int(given["BackupDays"]) >= 7


def test_stages_have_stacks_of_their_own() -> None:
    names = {stages.stack_name(stage, stack) for stage in stages.STAGES for stack in ("data", "service")}

    assert len(names) == 2 * len(stages.STAGES) == 4


def test_the_function_that_makes_the_roles_starts_with_the_environment_that_it_is_given(template: Mapping[str, Any]) -> None:
    function = template["Resources"]["MakeRoles"]["Properties"]
    attributes = {
        "Endpoint.Address": "db.example",
        "Endpoint.Port": "5432",
        "MasterUserSecret.SecretArn": "arn:aws:secretsmanager:us-east-1:1:secret:x",
    }
    values = {name: str(each.get("Default", "dev")) for name, each in template["Parameters"].items()}
    variables = {
        name: value if isinstance(value, str) else attributes[value["Fn::GetAtt"][1]] if "Fn::GetAtt" in value else values[value["Ref"]]
        for name, value in function["Environment"]["Variables"].items()
    }

    read = RoleSettings.read(variables | {"AWS_LAMBDA_FUNCTION_NAME": "x", "AWS_DEFAULT_REGION": "us-east-1"})

    assert (read.database_host, read.database_owner_role, read.database_functions_role) == ("db.example", "campusg_owner", "campusg")
    module, _, name = function["Handler"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))
