"""A deployment on AWS as far as it goes without AWS: S3 and STS are moto's, the rest are answers as botocore reads them."""

import io
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws

from infra.aws import chalice_project, data
from infra.deploy import amazon
from infra.deploy.amazon import PRECIOUS, Account, Wishes
from infra.deploy.errors import DeployError
from infra.deploy.package import DATA, SERVICE, ZIP, Package
from infra.deploy.stacks import Applied

REGION = "eu-west-1"
BUCKET = f"campusg-orders-123456789012-{REGION}"
CLUSTER = "arn:aws:kafka:eu-west-1:123456789012:cluster/campusg/1"
ISSUER = "JwksUrl=https://issuer.example/jwks.json JwtIssuer=https://issuer.example"
DATA_STACK, SERVICE_STACK = "campusg-orders-dev-data", "campusg-orders-dev-service"
OUTPUTS: Mapping[str, Mapping[str, str]] = {
    DATA_STACK: {
        "KafkaClusterArn": CLUSTER,
        "DatabaseHost": "proxy.example",
        "DatabaseProxyId": "prx-1",
        "MakeRolesFunction": "make_roles",
    },
    SERVICE_STACK: {"MigrateFunction": "migrate", "EndpointURL": "https://api.example/v1/"},
}


class FakeStacks:
    """Stands for Stacks: notes what it is asked, in `done`."""

    may_replace = False

    def __init__(self, done: list[Any], existing: dict[str, Any]) -> None:
        self._done, self._existing = done, existing

    def find(self, name: str) -> Any:
        return self._existing.get(name)

    def apply(self, name: str, template: Any, template_url: str, parameters: Mapping[str, str], *, keep: Collection[str] = ()) -> Applied:
        assert keep == (PRECIOUS if name == DATA_STACK and not self.may_replace else ())
        assert parameters.keys() <= template["Parameters"].keys()
        self._done.append((name, template_url, dict(parameters)))
        return Applied(OUTPUTS[name], changed=True)

    def delete(self, name: str) -> None:
        self._done.append(("delete", name))


class Cloud:
    """An account; `done` is what was done in it, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[Any] = []
        self.existing: dict[str, Any] = {}
        self.session = boto3.Session("test", "test", region_name=REGION)
        self.clients = {name: self.session.client(name) for name in ("s3", "sts", "lambda", "kafka", "cloudformation")}
        self.kafka, self.lambda_ = Stubber(self.clients["kafka"]), Stubber(self.clients["lambda"])
        self.kafka.activate()
        self.lambda_.activate()
        monkeypatch.setattr(amazon, "Stacks", lambda _client: FakeStacks(self.done, self.existing))
        monkeypatch.setattr(amazon.functions, "wait_until_ready", lambda api, _patience: self.done.append(("ready", api)))

    @property
    def region_name(self) -> str:
        return REGION

    def client(self, service: str, /) -> Any:
        return self.clients[service]

    def has_brokers(self, **found: str) -> None:
        self.kafka.add_response("get_bootstrap_brokers", found, {"ClusterArn": CLUSTER})

    def answers(self, function: str, content: Any = None, **more: str) -> None:
        body = json.dumps(content).encode()
        answer = {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(body), len(body)), **more}
        self.lambda_.add_response("invoke", answer, {"FunctionName": function, "Payload": b"{}"})

    def account(self) -> Account:
        return Account(self, "dev")


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with mock_aws():
        yield Cloud(monkeypatch)


@pytest.fixture(scope="module")
def templates() -> dict[str, Any]:
    return {SERVICE: chalice_project.template(), DATA: data.template()}


@pytest.fixture
def package(tmp_path: Path, templates: dict[str, Any]) -> Package:
    for name, template in templates.items():
        (tmp_path / name).write_text(json.dumps(template))
    (tmp_path / ZIP).write_bytes(b"zip")
    return Package(tmp_path)


def test_a_first_deployment_makes_all_in_order(cloud: Cloud, package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.has_brokers(BootstrapBrokerStringSaslIam="b-1:9098,b-2:9098")
    cloud.answers("make_roles", {"status": "made"})
    cloud.answers("migrate", {"status": "migrated"})

    cloud.account().deploy(package.folder, Wishes(ISSUER))

    first, second, ready = cloud.done
    place = f"https://{BUCKET}.s3.{REGION}.amazonaws.com/dev"
    assert first[:2] == (DATA_STACK, f"{place}/data.json")
    assert first[2] == {
        **{"Stage": "dev", "WhenDeleted": "Delete", "DatabaseWhenDeleted": "Delete", "DatabaseProtected": "false"},
        **{"DatabaseMultiAz": "false", "DatabaseClass": "db.t4g.micro", "BackupDays": "1", "LogDays": "7"},
        **{"CodeBucket": BUCKET, "CodeKey": package.key, "CodeRuntime": "python3.11", "CodeArchitecture": "x86_64"},
    }
    assert second == (
        SERVICE_STACK,
        f"{place}/service.json",
        {
            **{"Stage": "dev", "RequestsPerSecond": "20", "RequestsAtOnce": "40", "LogDays": "7"},
            **{"CodeBucket": BUCKET, "CodeKey": package.key, "KafkaBrokers": "b-1:9098,b-2:9098", "KafkaClusterArn": CLUSTER},
            **{"DatabaseHost": "proxy.example", "DatabaseProxyId": "prx-1"},
            **{"JwksUrl": "https://issuer.example/jwks.json", "JwtIssuer": "https://issuer.example"},
        },
    )
    assert ready == ("ready", "https://api.example/v1")
    kept = {each["Key"] for each in cloud.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert kept == {package.key, "dev/service.json", "dev/data.json"}
    assert "stage dev is deployed: https://api.example/v1\n" in capsys.readouterr().out


def test_an_update_makes_no_roles_and_takes_their_function_away(cloud: Cloud, package: Package) -> None:
    given = ("JwksUrl", "JwtIssuer")
    cloud.existing[SERVICE_STACK] = {"Parameters": [{"ParameterKey": name, "ParameterValue": "before"} for name in given]}
    cloud.answers("migrate")

    cloud.account().deploy(package.folder, Wishes("KafkaBrokers=own:9098 LogDays=3"))

    assert [(name, parameters["CodeKey"]) for name, _, parameters in cloud.done[:2]] == [(DATA_STACK, ""), (SERVICE_STACK, package.key)]
    assert [parameters["LogDays"] for _, _, parameters in cloud.done[:2]] == ["3", "3"]
    assert cloud.done[1][2]["KafkaBrokers"] == "own:9098"


def test_an_older_release_comes_back_without_a_migration(cloud: Cloud, package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.existing[SERVICE_STACK] = {}
    cloud.has_brokers(BootstrapBrokerStringSaslIam="b-1:9098")
    monkeypatch.setattr(FakeStacks, "may_replace", True)

    cloud.account().deploy(package.folder, Wishes(ISSUER, migrate=False, replace=True))

    assert [name for name, *_ in cloud.done] == [DATA_STACK, SERVICE_STACK, "ready"]


def test_nothing_is_made_where_a_parameter_is_missing_or_unknown(cloud: Cloud, package: Package) -> None:
    for parameters, said in {"": "these parameters are missing: JwksUrl .*; JwtIssuer", "JwksUri=x": "is JwksUrl meant"}.items():
        with pytest.raises(DeployError, match=said):
            cloud.account().deploy(package.folder, Wishes(parameters))
    assert cloud.done == []
    assert cloud.client("s3").list_buckets()["Buckets"] == []


def test_a_bucket_of_another_account_is_a_taken_name(cloud: Cloud, package: Package) -> None:
    with Stubber(cloud.clients["s3"]) as s3, pytest.raises(DeployError, match="the name taken is taken: the bucket is another account's"):
        s3.add_client_error("head_bucket", "403", http_status_code=403)
        cloud.account().deploy(package.folder, Wishes(ISSUER, bucket="taken"))


def test_a_cluster_without_iam_is_named(cloud: Cloud, package: Package) -> None:
    cloud.has_brokers(BootstrapBrokerString="b-1:9092")
    cloud.answers("make_roles")

    with pytest.raises(DeployError, match=f"the cluster {CLUSTER} has no brokers for clients with IAM"):
        cloud.account().deploy(package.folder, Wishes(ISSUER))


def test_a_function_that_fails_ends_it_with_what_it_raised(cloud: Cloud, package: Package) -> None:
    cloud.answers("make_roles", {"errorType": "OSError", "errorMessage": "no such host"}, FunctionError="Unhandled")

    with pytest.raises(DeployError, match="function make_roles has failed: OSError: no such host"):
        cloud.account().deploy(package.folder, Wishes(ISSUER))
    assert [name for name, *_ in cloud.done] == [DATA_STACK]


@pytest.mark.parametrize(("with_data", "deleted"), [(False, [SERVICE_STACK]), (True, [SERVICE_STACK, DATA_STACK])])
def test_the_data_goes_only_if_that_is_said(cloud: Cloud, with_data: bool, deleted: list[str]) -> None:
    cloud.account().undeploy(data=with_data)

    assert cloud.done == [("delete", name) for name in deleted]
