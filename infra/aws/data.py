"""The data stack: what outlives every release. Its outputs are parameters of the service stack, by the same names."""

from infra.aws import cluster, database, network
from infra.aws.functions import Function
from infra.aws.intrinsics import Value, attribute, equals, is_not, piece, ref, rule
from infra.aws.parameters import CODE, LOG_DAYS, OWN, STAGE, SUBNETS_OR_NONE
from infra.aws.roles import allow, network_statements, policy, trust
from infra.aws.service import log_group

# Makes the database's roles, as its master: called once, safe to call again.
MAKE_ROLES = Function("make_roles", timeout_seconds=60, memory_mb=512, publishes=False)
HANDLER = "chalicelib.entrypoints.roles.make_roles"


def _text(description: str, default: str = "", **more: object) -> Value:
    return {"Type": "String", "Default": default, "Description": description, **more}


def _number(description: str, default: int, least: int, most: int) -> Value:
    return {"Type": "Number", "Default": default, "MinValue": least, "MaxValue": most, "Description": description}


FLAG = {"AllowedValues": ["true", "false"]}
PARAMETERS: dict[str, Value] = {
    "Stage": STAGE,
    "WhenDeleted": _text("What becomes of network, cluster and topics with the stack", "Retain", AllowedValues=["Retain", "Delete"]),
    "DatabaseWhenDeleted": _text("What becomes of the database", "Snapshot", AllowedValues=["Snapshot", "Retain", "Delete"]),
    "NetworkCidr": _text("Addresses of a network made here", "10.80.0.0/20", AllowedPattern=r"[0-9.]+/(1[6-9]|2[01])"),
    "ExistingVpcId": _text("A network that is there, with ExistingSubnetIds", AllowedPattern="(vpc-[0-9a-f]+)?"),
    "ExistingSubnetIds": _text("Its subnets in different zones, two or more with commas between", AllowedPattern=SUBNETS_OR_NONE),
    "DatabaseName": OWN["DatabaseName"],
    "DatabaseUser": OWN["DatabaseUser"],
    "DatabaseOwner": OWN["DatabaseOwner"],
    "DatabaseClass": _text("Instance class of the database", "db.t4g.medium", AllowedPattern=r"db\.[a-z0-9]+\.[a-z0-9]+"),
    "DatabaseGigabytes": _number("Storage at the start", 20, 20, 65536),
    "DatabaseMostGigabytes": _number("Storage that it may grow to", 200, 22, 65536),
    "DatabaseMultiAz": _text("A second instance stands by in another zone", "true", **FLAG),
    "DatabaseProtected": _text("Whether the database can't be deleted", "true", **FLAG),
    "BackupDays": _number("Days of backups: any moment of them can be restored", 7, 1, 35),
    "ExistingKafkaClusterArn": _text(
        "A provisioned MSK cluster of three brokers or more with IAM, in the existing network, of no other stage",
        AllowedPattern="(arn:[^:]+:kafka:.+:cluster/.+/.+)?",
    ),
    "BrokerType": _text("Instance type of the brokers", "kafka.t3.small", AllowedPattern=r"kafka\.[a-z0-9]+\.[a-z0-9]+"),
    "BrokerGigabytes": _number("Storage of each broker", 20, 1, 16384),
    "LogDays": LOG_DAYS,
    # CloudFormation wants the form of a bucket's name also where none is used.
    "CodeBucket": CODE["CodeBucket"] | {"Default": "none"},
    "CodeKey": CODE["CodeKey"] | {"Default": "", "Description": "Key of deployment.zip there: then the function make_roles is there"},
    "CodeRuntime": _text("Runtime that deployment.zip was packaged for", "python3.11", AllowedPattern=r"python3\.[0-9]+"),
    "CodeArchitecture": _text("Architecture that it was packaged for", "x86_64", AllowedValues=["x86_64", "arm64"]),
}
CONDITIONS: dict[str, Value] = {
    "HasNetwork": {"Fn::And": [is_not(equals(ref("ExistingVpcId"), "")), is_not(equals(ref("ExistingSubnetIds"), ""))]},
    "MakesNetwork": is_not({"Condition": "HasNetwork"}),
    "MakesCluster": equals(ref("ExistingKafkaClusterArn"), ""),
    "MakesRoles": is_not(equals(ref("CodeKey"), "")),
}
RULES: dict[str, Value] = {
    "ClusterIsInItsNetwork": rule(
        is_not(equals(ref("ExistingKafkaClusterArn"), "")),
        is_not(equals(ref("ExistingVpcId"), "")),
        "ExistingKafkaClusterArn needs ExistingVpcId and ExistingSubnetIds: the network that the cluster is in",
    ),
    "NetworkHasSubnets": rule(
        is_not(equals(ref("ExistingVpcId"), "")),
        is_not(equals(ref("ExistingSubnetIds"), "")),
        "ExistingSubnetIds is missing: the subnets of ExistingVpcId that the stack is to use, two or more",
    ),
    "SubnetsHaveTheirNetwork": rule(
        is_not(equals(ref("ExistingSubnetIds"), "")),
        is_not(equals(ref("ExistingVpcId"), "")),
        "ExistingVpcId is missing: the network that ExistingSubnetIds are in",
    ),
}


def template() -> Value:
    """The data stack's template."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        # For policies of deletion that are parameters.
        "Transform": "AWS::LanguageExtensions",
        "Description": "CampusG orders: network, database and Kafka of one stage",
        "Parameters": PARAMETERS,
        "Rules": RULES,
        "Conditions": CONDITIONS,
        "Resources": network.resources() | database.resources() | cluster.resources() | _make_roles(),
        "Outputs": _outputs(),
    }


def _make_roles() -> dict[str, Value]:
    secret = attribute("Database", "MasterUserSecret.SecretArn")
    variables = {
        "STAGE": ref("Stage"),
        "DATABASE_HOST": attribute("Database", "Endpoint.Address"),
        "DATABASE_PORT": attribute("Database", "Endpoint.Port"),
        "DATABASE_NAME": ref("DatabaseName"),
        "DATABASE_SECRET_ARN": secret,
        "DATABASE_CA_FILE": "/var/task/rds-global-bundle.pem",
        "DATABASE_FUNCTIONS_ROLE": ref("DatabaseUser"),
        "DATABASE_OWNER_ROLE": ref("DatabaseOwner"),
    }
    function = {
        "FunctionName": MAKE_ROLES.deployed_name,
        "Handler": HANDLER,
        "Runtime": ref("CodeRuntime"),
        "Architectures": [ref("CodeArchitecture")],
        "Code": {"S3Bucket": ref("CodeBucket"), "S3Key": ref("CodeKey")},
        "Timeout": MAKE_ROLES.timeout_seconds,
        "MemorySize": MAKE_ROLES.memory_mb,
        "Role": attribute(MAKE_ROLES.role_id, "Arn"),
        "LoggingConfig": {"LogGroup": ref(MAKE_ROLES.log_group_id)},
        "VpcConfig": {"SubnetIds": network.SUBNETS, "SecurityGroupIds": [ref("FunctionsSecurityGroup")]},
        "Environment": {"Variables": variables},
    }
    policies = [
        policy("logs", [allow(("logs:CreateLogStream", "logs:PutLogEvents"), attribute(MAKE_ROLES.log_group_id, "Arn"))]),
        policy("network", network_statements(network.SUBNETS_AS_TEXT)),
        policy("master", [allow("secretsmanager:GetSecretValue", secret)]),
    ]
    role = {"AssumeRolePolicyDocument": trust("lambda"), "Policies": policies}
    made = {
        MAKE_ROLES.logical_id: {"Type": "AWS::Lambda::Function", "Properties": function},
        MAKE_ROLES.role_id: {"Type": "AWS::IAM::Role", "Properties": role},
        MAKE_ROLES.log_group_id: log_group(MAKE_ROLES),
    }
    return {name: resource | {"Condition": "MakesRoles"} for name, resource in made.items()}


def _outputs() -> dict[str, Value]:
    values = {
        "SubnetIds": network.SUBNETS_AS_TEXT,
        "SecurityGroupIds": ref("FunctionsSecurityGroup"),
        "DatabaseHost": attribute("Proxy", "Endpoint"),
        "DatabaseName": ref("DatabaseName"),
        "DatabaseUser": ref("DatabaseUser"),
        "DatabaseOwner": ref("DatabaseOwner"),
        "DatabaseProxyId": piece(6, attribute("Proxy", "DBProxyArn"), ":"),
        "KafkaClusterArn": cluster.CLUSTER_ARN,
    }
    outputs: dict[str, Value] = {name: {"Value": value} for name, value in values.items()}
    return outputs | {"MakeRolesFunction": {"Condition": "MakesRoles", "Value": ref(MAKE_ROLES.logical_id)}}
