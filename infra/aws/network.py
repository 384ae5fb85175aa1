"""The network of the data stack: three subnets and no way out of them, as nothing in them needs one."""

from infra.aws.functions import PREFIX
from infra.aws.intrinsics import Value, either, joined, listed, ref, sub

ZONES = 3
POSTGRES, KAFKA_IAM, HTTPS = 5432, 9098, 443
# A cluster that is kept needs its network.
KEPT: Value = {"DeletionPolicy": ref("WhenDeleted"), "UpdateReplacePolicy": ref("WhenDeleted")}

VPC = either("HasNetwork", ref("ExistingVpcId"), ref("Vpc"))
OWN_SUBNETS = [ref(f"Subnet{number}") for number in range(ZONES)]
SUBNETS = either("HasNetwork", listed("ExistingSubnetIds"), OWN_SUBNETS)
SUBNETS_AS_TEXT = either("HasNetwork", ref("ExistingSubnetIds"), joined(OWN_SUBNETS))


def resources() -> dict[str, Value]:
    """The network, unless there is one, and who may speak to whom in it."""
    own = {"Condition": "MakesNetwork", **KEPT}
    vpc = {"CidrBlock": ref("NetworkCidr"), "EnableDnsSupport": True, "EnableDnsHostnames": True, "Tags": _named("")}
    found: dict[str, Value] = {"Vpc": {"Type": "AWS::EC2::VPC", **own, "Properties": vpc}}
    for number in range(ZONES):
        subnet = {
            "VpcId": ref("Vpc"),
            "AvailabilityZone": {"Fn::Select": [number, {"Fn::GetAZs": ""}]},
            "CidrBlock": {"Fn::Select": [number, {"Fn::Cidr": [ref("NetworkCidr"), 2 * ZONES, 10]}]},
            "MapPublicIpOnLaunch": False,
            "Tags": _named(f"-{number}"),
        }
        found[f"Subnet{number}"] = {"Type": "AWS::EC2::Subnet", **own, "Properties": subnet}
    return found | {
        "FunctionsSecurityGroup": _group("the functions"),
        "ProxySecurityGroup": _group("the proxy before the database", _from("FunctionsSecurityGroup", POSTGRES)),
        "DatabaseSecurityGroup": _group("the database", _from("ProxySecurityGroup", POSTGRES)),
        "KafkaSecurityGroup": _group("brokers, and Lambda's pollers", _from("FunctionsSecurityGroup", KAFKA_IAM)),
        "PollersReachBrokers": ingress("KafkaSecurityGroup", "KafkaSecurityGroup", KAFKA_IAM, "MakesCluster"),
        # As long as the function that makes the roles is there.
        "RolesReachDatabase": ingress("DatabaseSecurityGroup", "FunctionsSecurityGroup", POSTGRES, "MakesRoles"),
        "SecretsSecurityGroup": _group("the endpoint for the secret", _from("FunctionsSecurityGroup", HTTPS)) | {"Condition": "MakesRoles"},
        "SecretsEndpoint": {
            "Type": "AWS::EC2::VPCEndpoint",
            "Condition": "MakesRoles",
            "Properties": {
                "ServiceName": sub("com.amazonaws.${AWS::Region}.secretsmanager"),
                "VpcEndpointType": "Interface",
                "PrivateDnsEnabled": True,
                "VpcId": VPC,
                "SubnetIds": SUBNETS,
                "SecurityGroupIds": [ref("SecretsSecurityGroup")],
            },
        },
    }


def ingress(group: str, source: str, port: int, condition: str) -> Value:
    """A rule apart from its group, for what is there only on a condition or names the group itself."""
    properties = {"GroupId": ref(group), **_from(source, port)}
    return {"Type": "AWS::EC2::SecurityGroupIngress", "Condition": condition, "Properties": properties}


def _group(whose: str, *rules: Value) -> Value:
    properties: Value = {"GroupDescription": sub(f"{PREFIX}: {whose}"), "VpcId": VPC}
    if rules:
        properties["SecurityGroupIngress"] = list(rules)
    return {"Type": "AWS::EC2::SecurityGroup", **KEPT, "Properties": properties}


def _from(source: str, port: int) -> Value:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "SourceSecurityGroupId": ref(source)}


def _named(suffix: str) -> list[Value]:
    return [{"Key": "Name", "Value": sub(f"{PREFIX}{suffix}")}]
