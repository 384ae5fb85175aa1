"""What the service stack is told: parameters with safe defaults, the conditions that follow from them, and what may not go together."""

from typing import Any

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from chalicelib.settings import SharedSettings
from infra.aws.intrinsics import Value, camel, equals, is_not, ref, rule

STAGE: Value = {
    "Type": "String",
    "AllowedPattern": "[a-z][a-z0-9-]{0,15}",
    "ConstraintDescription": "up to 16 small letters, digits and hyphens, a letter first",
    "Description": "Stands in every name and on every metric, so that several stages share an account",
}
DAYS_OF_LOGS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]
LOG_DAYS: Value = {"Type": "Number", "Default": 30, "AllowedValues": DAYS_OF_LOGS, "Description": "Days until log lines are deleted"}
CODE: dict[str, Value] = {
    "CodeBucket": {"Type": "String", "Description": "S3 bucket of deployment.zip, in the same region"},
    "CodeKey": {"Type": "String", "Description": "Key of deployment.zip in that bucket; another one for other content"},
}


SUBNETS_OR_NONE = "(subnet-[0-9a-z]+(,subnet-[0-9a-z]+)+)?"


def _text(description: str, default: str | None = "", **more: Any) -> Value:
    return {"Type": "String", "Description": description, **({} if default is None else {"Default": default}), **more}


OWN: dict[str, Value] = {
    "Stage": STAGE,
    **CODE,
    "AllowDevelopmentSettings": _text(
        "1 only on an emulator: allows a broker in plain text and a key set by http", "0", AllowedValues=["0", "1"]
    ),
    "JwksUrl": _text("https URL of the key set of the tokens' issuer", None, AllowedPattern="https?://.+"),
    "JwtIssuer": _text("What a token's iss must be", None, MinLength=1),
    "JwtAudience": _text("What a token's aud must be", "campusg-orders", MinLength=1),
    "SubnetIds": _text(
        "Subnets of all functions but the authorizer, and of an MSK cluster, two or more with commas; none: no network of one's own",
        AllowedPattern=SUBNETS_OR_NONE,
    ),
    "SecurityGroupIds": _text(
        "Security groups of the same functions, with commas between", AllowedPattern="(sg-[0-9a-z]+(,sg-[0-9a-z]+)*)?"
    ),
    "DatabaseHost": _text("Endpoint of the RDS Proxy (or of the database, with DatabaseSecretArn)"),
    "DatabasePort": {"Type": "Number", "Default": 5432, "MinValue": 1, "MaxValue": 65535},
    "DatabaseName": _text("Database in which the schema campusg is", "campusg", MinLength=1),
    "DatabaseUser": _text("Role of the functions", "campusg", AllowedPattern="[a-z_][a-z0-9_]{0,62}"),
    "DatabaseOwner": _text(
        "Role that owns the tables: of the function migrate alone", "campusg_owner", AllowedPattern="[a-z_][a-z0-9_]{0,62}"
    ),
    "DatabaseProxyId": _text("The proxy's id (prx-…), for which the functions' tokens are good", AllowedPattern="(prx-[a-z0-9]+)?"),
    "DatabaseSecretArn": _text("Instead of IAM: ARN of a secret with username and password"),
    "DatabaseUrl": _text("Instead of all others of the database: postgresql+pg8000://user:password@host:port/database", NoEcho=True),
    "KafkaClusterArn": _text(
        "ARN of the MSK cluster; empty for any other Apache Kafka", AllowedPattern="(arn:[^:]+:kafka:.+:cluster/.+/.+)?"
    ),
    "KafkaBrokers": _text("host:port of the brokers, with commas between", None, AllowedPattern="[^ ,]+:[0-9]+(,[^ ,]+:[0-9]+)*"),
    "KafkaSecurity": _text("How brokers are spoken to", "MSK_IAM", AllowedValues=["MSK_IAM", "TLS", "PLAINTEXT"]),
    "RequestsPerSecond": {"Type": "Number", "Default": 100, "MinValue": 1, "Description": "Beyond that API Gateway answers 429"},
    "RequestsAtOnce": {"Type": "Number", "Default": 200, "MinValue": 1, "Description": "Requests in one burst"},
    "LogDays": LOG_DAYS,
    "AlarmTopicArns": _text("ARNs of the SNS topics that alarms are sent to, with commas between", AllowedPattern="(arn:[^ ]+)?"),
}


CONDITIONS: dict[str, Value] = {
    "Develops": equals(ref("AllowDevelopmentSettings"), "1"),
    "InNetwork": {"Fn::And": [is_not(equals(ref("SubnetIds"), "")), is_not(equals(ref("SecurityGroupIds"), ""))]},
    "UsesDatabaseUrl": is_not(equals(ref("DatabaseUrl"), "")),
    "UsesDatabaseSecret": is_not(equals(ref("DatabaseSecretArn"), "")),
    "UsesDatabaseIam": {"Fn::And": [equals(ref("DatabaseUrl"), ""), equals(ref("DatabaseSecretArn"), "")]},
    "UsesMsk": is_not(equals(ref("KafkaClusterArn"), "")),
    "TellsSomebody": is_not(equals(ref("AlarmTopicArns"), "")),
}

RULES: dict[str, Value] = {
    "DatabaseIsNamed": rule(
        equals(ref("DatabaseUrl"), ""),
        is_not(equals(ref("DatabaseHost"), "")),
        "DatabaseHost is missing: it is an output of the data stack (or give DatabaseUrl)",
    ),
    "ProxyIsNamed": rule(
        {"Fn::And": [equals(ref("DatabaseUrl"), ""), equals(ref("DatabaseSecretArn"), "")]},
        is_not(equals(ref("DatabaseProxyId"), "")),
        "DatabaseProxyId is missing: it is an output of the data stack (or give DatabaseSecretArn or DatabaseUrl)",
    ),
    "NetworkHasGroups": rule(
        is_not(equals(ref("SubnetIds"), "")),
        is_not(equals(ref("SecurityGroupIds"), "")),
        "SecurityGroupIds is missing: it is an output of the data stack, as SubnetIds",
    ),
    "IamIsForMsk": rule(
        equals(ref("KafkaSecurity"), "MSK_IAM"),
        is_not(equals(ref("KafkaClusterArn"), "")),
        "KafkaClusterArn is missing: only MSK has KafkaSecurity MSK_IAM; for other brokers give KafkaSecurity=TLS",
    ),
    "PlainTextIsForDevelopment": rule(
        equals(ref("KafkaSecurity"), "PLAINTEXT"),
        equals(ref("AllowDevelopmentSettings"), "1"),
        "KafkaSecurity PLAINTEXT is for emulators, which need AllowDevelopmentSettings=1",
    ),
}


def shared_settings() -> dict[str, str]:
    """The settings of the service that are the operator's to choose: variable by parameter."""
    return {camel(name): name.upper() for name in SharedSettings.model_fields if camel(name) not in OWN}


def parameters() -> dict[str, Value]:
    """All parameters of the service stack."""
    return OWN | {camel(name): _of(field) for name, field in SharedSettings.model_fields.items() if camel(name) not in OWN}


def _of(field: FieldInfo) -> Value:
    if field.annotation not in (int, float):
        return {"Type": "String", "Default": str(field.default)}
    limits: Value = {"Type": "Number", "Default": field.default}
    for each in field.metadata:
        if isinstance(each, Ge):
            limits["MinValue"] = each.ge
        if isinstance(each, Le):
            limits["MaxValue"] = each.le
    return limits
