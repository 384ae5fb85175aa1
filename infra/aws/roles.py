"""One role a function, which may do what that function does and nothing else."""

from collections.abc import Sequence
from typing import Any

from chalicelib.messages.topics import ORDER_EVENTS, ORDERS_DLQ, PARTITIONS, Trigger
from infra.aws.functions import Function
from infra.aws.intrinsics import Value, attribute, either, joined, piece, ref, sub

# What functions publish: commands to partners, events of orders, copies of dead letters.
PUBLISHED = (*(topic for topic in PARTITIONS if topic.endswith("-commands")), ORDER_EVENTS, ORDERS_DLQ)
# The region may stay open, as a subnet's id is given once in the world; a delimiter can't have a variable in it.
SUBNET = "arn:aws:ec2:*:*:subnet/"


def role(function: Function) -> Value:
    """The function's role as a resource."""
    policies = [policy("logs", _logs(function))]
    if function.database:
        policies += [_only_if("InNetwork", "network", network_statements(ref("SubnetIds"))), *_database(function.database)]
    kafka = [*(PUBLISHING if function.publishes else ()), *(_consuming(function.trigger) if function.trigger else ())]
    if kafka:
        policies.append(_only_if("UsesMsk", "kafka", kafka))
    return {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust("lambda"), "Policies": policies}}


def trust(service: str) -> Value:
    """Who may take a role: one service of AWS."""
    statement = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def allow(actions: str | Sequence[str], *resources: Any) -> Value:
    """A statement that allows actions on resources; one resource may stand for a list."""
    return {
        "Effect": "Allow",
        "Action": [actions] if isinstance(actions, str) else list(actions),
        "Resource": resources[0] if len(resources) == 1 else list(resources),
    }


def policy(name: str, statements: Sequence[Value]) -> Value:
    """A policy of a role, by a name that says what it is for."""
    return {"PolicyName": name, "PolicyDocument": {"Version": "2012-10-17", "Statement": list(statements)}}


def _only_if(condition: str, name: str, statements: Sequence[Value]) -> Value:
    return either(condition, policy(name, statements))


def _logs(function: Function) -> list[Value]:
    # The ARN of a log group ends with `:*`, which stands for its streams.
    return [allow(("logs:CreateLogStream", "logs:PutLogEvents"), attribute(function.log_group_id, "Arn"))]


def _of_ec2(what: str) -> str:
    return f"arn:${{AWS::Partition}}:ec2:${{AWS::Region}}:${{AWS::AccountId}}:{what}/*"


def network_statements(subnets: Value) -> list[Value]:
    """What Lambda does in the name of a function in these subnets, a text with commas (Lambda developer guide, VPC permissions).

    The lookups know no resources.
    """
    # One text with commas, as a list of unknown length can't be put into another.
    all_subnets = joined({"Fn::Split": [",", subnets]}, f",{SUBNET}")
    places = sub(f"{_of_ec2('network-interface')},{_of_ec2('security-group')},{SUBNET}${{Subnets}}", Subnets=all_subnets)
    return [
        allow(("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:DescribeSecurityGroups"), "*"),
        allow("ec2:CreateNetworkInterface", {"Fn::Split": [",", places]}),
        allow("ec2:DeleteNetworkInterface", sub(_of_ec2("network-interface"))),
    ]


def _database(who: str) -> list[Value]:
    user = "DatabaseOwner" if who == "owner" else "DatabaseUser"
    login = f"arn:${{AWS::Partition}}:rds-db:${{AWS::Region}}:${{AWS::AccountId}}:dbuser:${{DatabaseProxyId}}/${{{user}}}"
    return [
        _only_if("UsesDatabaseIam", "database", [allow("rds-db:connect", sub(login))]),
        _only_if("UsesDatabaseSecret", "database-secret", [allow("secretsmanager:GetSecretValue", ref("DatabaseSecretArn"))]),
    ]


def _of_cluster(kind: str, name: str) -> Value:
    """The ARN of a topic or a group, which has the cluster's name and id in it."""
    start, cluster = (piece(number, ref("KafkaClusterArn"), ":cluster/") for number in (0, 1))
    return sub(f"${{Start}}:{kind}/${{Cluster}}/{name}", Start=start, Cluster=cluster)


PUBLISHING = (
    allow("kafka-cluster:Connect", ref("KafkaClusterArn")),
    allow(("kafka-cluster:DescribeTopic", "kafka-cluster:WriteData"), *(_of_cluster("topic", topic) for topic in PUBLISHED)),
)


def _consuming(trigger: Trigger) -> list[Value]:
    """What Lambda's pollers do in the function's name; nobody can name the cluster of GetBootstrapBrokers."""
    return [
        allow("kafka:DescribeClusterV2", ref("KafkaClusterArn")),
        allow("kafka:GetBootstrapBrokers", "*"),
        allow(("kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"), _of_cluster("topic", trigger.topic)),
        allow(("kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"), _of_cluster("group", trigger.consumer_group)),
    ]
