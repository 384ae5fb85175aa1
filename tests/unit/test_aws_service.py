"""The service stack's template, read as data: what every function has and may do, and what keeps two stages apart."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from chalicelib.messages.topics import SCHEDULES, TRIGGERS
from chalicelib.observability import NAMESPACE
from chalicelib.settings import DatabaseSettings, MigrationSettings, Settings, TokenSettings
from infra.aws import alarms, chalice_project
from infra.aws.functions import API_SECONDS, AUTHORIZER, FUNCTIONS, MIGRATE, Function
from infra.aws.intrinsics import NO_VALUE

Resource = dict[str, Any]
# Actions that know no resource to be named (Service Authorization Reference).
STARS = {
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "kafka:GetBootstrapBrokers",
}
by_name = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)


@pytest.fixture(scope="module")
def template() -> Mapping[str, Any]:
    return chalice_project.template()


@pytest.fixture(scope="module")
def resources(template: Mapping[str, Any]) -> dict[str, Resource]:
    return template["Resources"]


def of_type(resources: Mapping[str, Resource], kind: str) -> dict[str, Resource]:
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == kind}


def statements(role: Resource) -> Iterator[Resource]:
    """All statements of a role, whatever their condition."""
    for policy in role["Policies"]:
        yield from (policy["Fn::If"][1] if "Fn::If" in policy else policy)["PolicyDocument"]["Statement"]


def actions(resources: Mapping[str, Resource], function: Function) -> set[str]:
    return {action for each in statements(resources[function.role_id]["Properties"]) for action in each["Action"]}


def names(value: Any) -> Iterator[str]:
    """Every text in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from names(each)
    elif isinstance(value, list):
        for each in value:
            yield from names(each)


def test_every_function_of_the_app_is_declared_and_no_other(resources: Mapping[str, Resource]) -> None:
    assert set(of_type(resources, "AWS::Serverless::Function")) == {function.logical_id for function in FUNCTIONS}


@by_name
def test_a_function_has_a_role_a_log_group_and_alarms_of_its_own(resources: Mapping[str, Resource], function: Function) -> None:
    properties = resources[function.logical_id]["Properties"]

    assert properties["Role"] == {"Fn::GetAtt": [function.role_id, "Arn"]}
    assert properties["LoggingConfig"] == {"LogGroup": {"Ref": function.log_group_id}}
    log_group = resources[function.log_group_id]["Properties"]
    assert log_group["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/{properties['FunctionName']['Fn::Sub']}"}
    assert log_group["RetentionInDays"] == {"Ref": "LogDays"}
    watched = {
        each["MetricName"]
        for each in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if {"Ref": function.logical_id} in [dimension["Value"] for dimension in each["Dimensions"]]
    }
    assert watched == {"Errors", "Throttles", "Duration"}


@by_name
def test_a_role_names_every_resource_that_can_be_named(resources: Mapping[str, Resource], function: Function) -> None:
    role = resources[function.role_id]["Properties"]
    starred = {action for each in statements(role) if each["Resource"] == "*" for action in each["Action"]}

    assert starred <= STARS
    assert not [action for each in statements(role) for action in each["Action"] if "*" in action]
    assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}


@by_name
def test_a_function_may_do_what_it_does_and_nothing_else(resources: Mapping[str, Resource], function: Function) -> None:
    allowed = actions(resources, function)

    assert {"logs:CreateLogStream", "logs:PutLogEvents"} <= allowed
    assert ("rds-db:connect" in allowed) == (function.database is not None)
    assert ("kafka-cluster:WriteData" in allowed) == function.publishes
    assert ("kafka-cluster:ReadData" in allowed) == (function.trigger is not None)
    login = [
        each["Resource"]["Fn::Sub"]
        for each in statements(resources[function.role_id]["Properties"])
        if each["Action"] == ["rds-db:connect"]
    ]
    assert [text.rpartition("/")[2] for text in login] == (
        [] if function == AUTHORIZER else ["${DatabaseOwner}" if function == MIGRATE else "${DatabaseUser}"]
    )


def test_the_authorizer_stands_outside_the_network_and_knows_neither_database_nor_broker(resources: Mapping[str, Resource]) -> None:
    properties = resources[AUTHORIZER.logical_id]["Properties"]

    assert "VpcConfig" not in properties
    assert set(properties["Environment"]["Variables"]) == {"STAGE", "ALLOW_DEVELOPMENT_SETTINGS", "JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE"}
    assert actions(resources, AUTHORIZER) == {"logs:CreateLogStream", "logs:PutLogEvents"}


@by_name
def test_all_other_functions_are_in_the_network_and_know_no_key_set(resources: Mapping[str, Resource], function: Function) -> None:
    if function == AUTHORIZER:
        return
    properties = resources[function.logical_id]["Properties"]

    assert properties["VpcConfig"]["Fn::If"][1] == {
        "SubnetIds": {"Fn::Split": [",", {"Ref": "SubnetIds"}]},
        "SecurityGroupIds": {"Fn::Split": [",", {"Ref": "SecurityGroupIds"}]},
    }
    assert not [name for name in properties["Environment"]["Variables"] if name.startswith("JW")]


def test_functions_have_the_time_that_their_callers_give_them(resources: Mapping[str, Resource]) -> None:
    timeouts = {function.name: resources[function.logical_id]["Properties"]["Timeout"] for function in FUNCTIONS}

    assert timeouts["api_handler"] == API_SECONDS == 29
    assert {each.function: each.timeout_seconds for each in (*TRIGGERS, *SCHEDULES)}.items() <= timeouts.items()


def test_schedules_fire_each_minute(resources: Mapping[str, Resource]) -> None:
    for schedule in SCHEDULES:
        (event,) = resources[next(each.logical_id for each in FUNCTIONS if each.name == schedule.function)]["Properties"]["Events"].values()
        assert event == {"Type": "Schedule", "Properties": {"Schedule": "rate(1 minute)"}}


def test_everything_that_has_a_name_has_the_stage_in_it(resources: Mapping[str, Resource]) -> None:
    keys = {"FunctionName", "LogGroupName", "AlarmName", "DashboardName", "RoleName", "Name"}
    named = [
        (name, each["Properties"][key])
        for name, each in resources.items()
        for key in keys & each["Properties"].keys()
        if each["Type"] not in ("AWS::Lambda::Permission", "AWS::Lambda::EventSourceMapping")
    ]

    assert len(named) > 2 * len(FUNCTIONS)
    assert [name for name, value in named if "${Stage}" not in value["Fn::Sub"]] == []


def test_the_services_own_metrics_are_told_apart_by_stage(resources: Mapping[str, Resource]) -> None:
    own = [each for each in of_type(resources, "AWS::CloudWatch::Alarm").values() if each["Namespace"] == NAMESPACE]

    assert own
    for alarm in own:
        assert {"Name": "stage", "Value": {"Ref": "Stage"}} in alarm["Dimensions"]
    board = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    lines = [line for widget in board["widgets"] for line in widget["properties"]["metrics"] if line[0] == NAMESPACE]
    assert lines
    assert all(line[-2:] == ["stage", "${Stage}"] for line in lines)


def test_the_dashboard_names_only_what_the_template_has(template: Mapping[str, Any]) -> None:
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]

    assert set(re.findall(r"\$\{([A-Za-z]+)\}", body)) <= {*template["Resources"], *template["Parameters"]}


def test_every_alarm_is_there_and_tells_whoever_is_named(resources: Mapping[str, Resource]) -> None:
    found = of_type(resources, "AWS::CloudWatch::Alarm")

    assert set(found) == {alarm.logical_id for alarm in alarms.ALARMS}
    for alarm in found.values():
        assert (
            alarm["AlarmActions"]
            == alarm["OKActions"]
            == {"Fn::If": ["TellsSomebody", {"Fn::Split": [",", {"Ref": "AlarmTopicArns"}]}, NO_VALUE]}
        )
        assert ("Statistic" in alarm) != ("ExtendedStatistic" in alarm)


def test_nothing_is_edited_after_packaging(resources: Mapping[str, Resource]) -> None:
    for properties in of_type(resources, "AWS::Serverless::Function").values():
        assert properties["CodeUri"] == {"Bucket": {"Ref": "CodeBucket"}, "Key": {"Ref": "CodeKey"}}


def test_development_settings_are_off_unless_the_parameter_says_so(template: Mapping[str, Any]) -> None:
    assert template["Parameters"]["AllowDevelopmentSettings"]["Default"] == "0"
    assert template["Conditions"]["Develops"] == {"Fn::Equals": [{"Ref": "AllowDevelopmentSettings"}, "1"]}
    for properties in of_type(template["Resources"], "AWS::Serverless::Function").values():
        assert properties["Environment"]["Variables"]["ALLOW_DEVELOPMENT_SETTINGS"] == {"Fn::If": ["Develops", "1", NO_VALUE]}
    (assertion,) = template["Rules"]["PlainTextIsForDevelopment"]["Assertions"]
    assert "AllowDevelopmentSettings=1" in assertion["AssertDescription"]


def test_parameters_have_the_defaults_and_limits_of_the_settings(template: Mapping[str, Any]) -> None:
    parameters = template["Parameters"]

    assert parameters["StepMaxAttempts"] == {"Type": "Number", "Default": 5, "MinValue": 1, "MaxValue": 100}
    assert parameters["CorsAllowOrigin"] == {"Type": "String", "Default": "*"}
    variables = template["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"]
    assert variables["STEP_MAX_ATTEMPTS"] == {"Ref": "StepMaxAttempts"}


def test_secrets_are_no_parameters_that_are_shown(template: Mapping[str, Any]) -> None:
    assert [name for name, each in template["Parameters"].items() if each.get("NoEcho")] == ["DatabaseUrl"]


def test_every_parameter_and_condition_is_used(template: Mapping[str, Any]) -> None:
    rest = {key: value for key, value in template.items() if key != "Parameters"}
    texts = list(names(rest))
    substituted = {name for text in texts for name in re.findall(r"\$\{([A-Za-z]+)\}", text)}

    assert set(template["Parameters"]) <= {*texts, *substituted}
    assert set(template["Conditions"]) <= set(texts)


IN_EVERY_CASE = {
    "Stage": "dev",
    "JwksUrl": "https://login.example/keys",
    "JwtIssuer": "https://login.example/",
    "KafkaBrokers": "b-1.example:9098,b-2.example:9098",
}
AT_HOME = {
    "AllowDevelopmentSettings": "1",
    "JwksUrl": "http://127.0.0.1:8001/keys",
    "DatabaseUrl": "postgresql+pg8000://campusg:secret@127.0.0.1:5432/campusg",
    "KafkaSecurity": "PLAINTEXT",
}
CASES: Mapping[str, tuple[dict[str, str], set[str]]] = {
    "IAM": ({"DatabaseHost": "proxy.example"}, {"UsesDatabaseIam"}),
    "a secret": (
        {"DatabaseHost": "db.example", "DatabaseSecretArn": "arn:aws:secretsmanager:us-east-1:1:secret:x"},
        {"UsesDatabaseSecret"},
    ),
    "a URL, on an emulator": (AT_HOME, {"UsesDatabaseUrl", "Develops"}),
}


def environment(template: Mapping[str, Any], function: Function, given: Mapping[str, str], holding: set[str]) -> dict[str, str]:
    """The function's environment variables on Lambda where the stack has these parameters and these conditions hold."""
    values = {name: str(each["Default"]) for name, each in template["Parameters"].items() if "Default" in each} | IN_EVERY_CASE | given
    found = {"AWS_LAMBDA_FUNCTION_NAME": function.name, "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in template["Resources"][function.logical_id]["Properties"]["Environment"]["Variables"].items():
        if "Fn::If" in value:
            condition, then, otherwise = value["Fn::If"]
            value = then if condition in holding else otherwise
        if value != NO_VALUE:
            found[name] = value if isinstance(value, str) else values[value["Ref"]]
    return found


@by_name
@pytest.mark.parametrize("case", CASES)
def test_a_function_starts_with_the_environment_that_it_is_given(template: Mapping[str, Any], function: Function, case: str) -> None:
    settings = {AUTHORIZER: TokenSettings, MIGRATE: MigrationSettings}.get(function, Settings)
    variables = environment(template, function, *CASES[case])

    read = settings.read(variables)

    known = {name.upper() for name in settings.model_fields} | {"STAGE", "AWS_DEFAULT_REGION"}
    assert set(variables) <= known, "nothing is set that the function doesn't read"
    if isinstance(read, DatabaseSettings):
        assert read.database_user == (None if case != "IAM" else "campusg_owner" if function == MIGRATE else "campusg")
