"""`make deploy STAGE=dev` and `make undeploy STAGE=dev`: Amazon's own cloud, by the credentials that boto3 finds.

Two stacks: the data's outlives every release, so a release that fails can't touch it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError

from infra.aws import stages
from infra.aws.intrinsics import Value
from infra.console import say
from infra.deploy import functions
from infra.deploy.errors import DeployError
from infra.deploy.package import DATA, SERVICE, Package
from infra.deploy.parameters import read_parameters, require
from infra.deploy.stacks import Stacks

READY_SECONDS = 300.0
# What us-east-1 is called where a bucket's place is named: not at all.
UNNAMED_REGION = "us-east-1"
NOT_FOUND, FORBIDDEN = 404, 403
# Types of the data stack that hold what nobody can make again.
PRECIOUS = frozenset({"AWS::RDS::DBInstance", "AWS::MSK::Cluster", "AWS::MSK::Topic"})


@dataclass(frozen=True)
class Wishes:
    """What a person may ask of a deployment.

    `bucket` is for the package; `roles` has the database's roles made anew, as the first deployment does anyway; without `migrate` the
    tables stay as they are, as when an older release comes back; with `replace` even what is PRECIOUS may be lost.
    """

    parameters: str = ""
    bucket: str = ""
    roles: bool = False
    migrate: bool = True
    replace: bool = False


class Session(Protocol):
    """What is used of a session of boto3."""

    @property
    def region_name(self) -> str:
        """The region."""
        ...

    def client(self, service: str, /) -> Any:
        """A client for a service."""
        ...


def open_session() -> Session:
    """A session of boto3; raises DeployError where nobody says for which region or by which credentials."""
    from boto3.session import Session as BotoSession

    session = BotoSession()
    if session.region_name is None:
        raise DeployError("no region is given; set AWS_DEFAULT_REGION, or AWS_PROFILE to a profile that has one")
    if session.get_credentials() is None:
        raise DeployError("no AWS credentials are found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    opened: Session = session
    return opened


class Account:
    """One stage in the account and region of a session."""

    def __init__(self, session: Session, stage: str) -> None:
        """Nothing is asked yet."""
        self._session = session
        self._stage = stage
        self._stacks = Stacks(session.client("cloudformation"))
        self._lambda = session.client("lambda")
        self._s3 = session.client("s3")
        self._data, self._service = stages.stack_name(stage, "data"), stages.stack_name(stage, "service")

    def deploy(self, package_folder: Path, wishes: Wishes) -> None:
        """Bring both stacks to this package and wait until the API is ready; raises DeployError."""
        package = Package.in_folder(package_folder)
        given = read_parameters(wishes.parameters, package.data, package.service)
        # Before anything is made that costs money.
        self._check(package, given)
        bucket = self._upload(package, wishes.bucket)
        makes_roles = wishes.roles or self._stacks.find(self._service) is None
        keep: Collection[str] = () if wishes.replace else PRECIOUS
        url = self._url(bucket, DATA)
        given_data = self._for_data(package, given, bucket, makes_roles=makes_roles)
        data = self._stacks.apply(self._data, package.data, url, given_data, keep=keep).outputs
        if makes_roles:
            say(f"calling {data['MakeRolesFunction']}: it makes the database's roles")
            functions.call(self._lambda, data["MakeRolesFunction"], {})
        service = self._apply_service(package, given, bucket, data)
        if wishes.migrate:
            functions.migrate(self._lambda, service["MigrateFunction"])
        api = service["EndpointURL"].rstrip("/")
        functions.wait_until_ready(api, READY_SECONDS)
        say(f"stage {self._stage} is deployed: {api}")

    def undeploy(self, *, data: bool = False) -> None:
        """Delete the service's stack, with `data` also the data's, as its parameters allow; raises DeployError."""
        self._stacks.delete(self._service)
        if data:
            self._stacks.delete(self._data)
        else:
            say(f"stack {self._data} stays, with the orders; DATA=1 deletes it, too, as its parameters allow")

    def _check(self, package: Package, given: Mapping[str, str]) -> None:
        later = {"CodeBucket": "", "CodeKey": "", "KafkaBrokers": ""}
        outputs = package.data["Outputs"]
        kept = {each["ParameterKey"]: "" for each in (self._stacks.find(self._service) or {}).get("Parameters", [])}
        require(package.service, {**kept, **later, **outputs, "Stage": self._stage, **given})

    def _for_data(self, package: Package, given: Mapping[str, str], bucket: str, *, makes_roles: bool) -> dict[str, str]:
        """The parameters of the data stack."""
        handler = package.function("APIHandler")
        code = {
            "CodeBucket": bucket,
            # Without a key function and endpoint go again.
            "CodeKey": package.key if makes_roles else "",
            "CodeRuntime": handler["Runtime"],
            "CodeArchitecture": handler["Architectures"][0],
        }
        return {**stages.parameters(self._stage, "data"), **_of(package.data, given), **code}

    def _apply_service(self, package: Package, given: Mapping[str, str], bucket: str, data: Mapping[str, str]) -> Mapping[str, str]:
        own = _of(package.service, given)
        parameters = {
            **stages.parameters(self._stage, "service"),
            **stages.known(package.service, data),
            "CodeBucket": bucket,
            "CodeKey": package.key,
            "KafkaBrokers": own.get("KafkaBrokers") or self._brokers(data["KafkaClusterArn"]),
            **own,
        }
        return self._stacks.apply(self._service, package.service, self._url(bucket, SERVICE), parameters).outputs

    def _brokers(self, cluster: str) -> str:
        """The addresses of the cluster's brokers for IAM, which CloudFormation can't read."""
        found = self._session.client("kafka").get_bootstrap_brokers(ClusterArn=cluster)
        brokers = found.get("BootstrapBrokerStringSaslIam")
        if not brokers:
            raise DeployError(f"the cluster {cluster} has no brokers for clients with IAM; switch that on for it")
        say(f"the brokers of {cluster}: {brokers}")
        return str(brokers)

    def _upload(self, package: Package, name: str) -> str:
        """Put the package into its bucket, which is made if it is missing; return the bucket's name."""
        account = self._session.client("sts").get_caller_identity()["Account"]
        bucket = name or f"campusg-orders-{account}-{self._session.region_name}"
        self._make_bucket(bucket, account)
        say(f"uploading {package.zip.name} to s3://{bucket}/{package.key}")
        try:
            for key, file in {package.key: package.zip, SERVICE: package.folder / SERVICE, DATA: package.folder / DATA}.items():
                self._s3.upload_file(str(file), bucket, self._key(key))
        except S3UploadFailedError as error:
            raise DeployError(f"nothing can be written to the bucket {bucket}: {error}") from error
        return bucket

    def _make_bucket(self, bucket: str, account: str) -> None:
        try:
            self._s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
            return
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == FORBIDDEN:
                raise DeployError(f"the name {bucket} is taken: the bucket is another account's; give another name as BUCKET=…") from error
            if status != NOT_FOUND:
                raise
        say(f"making the bucket {bucket}")
        region = self._session.region_name
        place = {} if region == UNNAMED_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self._s3.create_bucket(Bucket=bucket, **place)

    def _key(self, name: str) -> str:
        """The templates of each stage have a place of their own; the zip's name says what is in it."""
        return name if name.endswith(".zip") else f"{self._stage}/{name}"

    def _url(self, bucket: str, name: str) -> str:
        return f"https://{bucket}.s3.{self._session.region_name}.amazonaws.com/{self._key(name)}"


def _of(template: Value, given: Mapping[str, str]) -> dict[str, str]:
    """Those parameters that this template has."""
    return {name: value for name, value in given.items() if name in template["Parameters"]}
