"""Apache Kafka of the data stack: an MSK cluster of its own or one that is there, and on either all topics of the service."""

import base64

from chalicelib.messages.topics import PARTITIONS, SETTINGS
from infra.aws.functions import PREFIX
from infra.aws.intrinsics import Value, attribute, camel, either, ref, sub
from infra.aws.network import KEPT, SUBNETS, ZONES

# The APIs of topics need 3.6 or newer.
KAFKA_VERSION = "3.8.x"
BROKER_PROPERTIES = {"auto.create.topics.enable": "false", "default.replication.factor": "3", "min.insync.replicas": "2"}
# Longer than anybody's weekend: what waits there for a function can be read no later.
TOPIC_PROPERTIES = {"retention.ms": str(7 * 24 * 3600 * 1000), "min.insync.replicas": "2"}

CLUSTER_ARN = either("MakesCluster", ref("Cluster"), ref("ExistingKafkaClusterArn"))


def resources() -> dict[str, Value]:
    """The cluster with its configuration and log, and the topics."""
    own = {"Condition": "MakesCluster"}
    return {
        "ClusterLog": {
            "Type": "AWS::Logs::LogGroup",
            **own,
            "Properties": {"LogGroupName": sub(f"/aws/msk/{PREFIX}"), "RetentionInDays": ref("LogDays")},
        },
        "ClusterConfiguration": {
            "Type": "AWS::MSK::Configuration",
            **own,
            **KEPT,
            "Properties": {"Name": sub(PREFIX), "ServerProperties": _lines(BROKER_PROPERTIES)},
        },
        "Cluster": {"Type": "AWS::MSK::Cluster", **own, **KEPT, "Properties": _cluster()},
        **{f"{camel(topic)}Topic": _topic(topic, partitions) for topic, partitions in PARTITIONS.items()},
    }


def _cluster() -> Value:
    return {
        "ClusterName": sub(PREFIX),
        "KafkaVersion": KAFKA_VERSION,
        "NumberOfBrokerNodes": ZONES,
        "BrokerNodeGroupInfo": {
            "InstanceType": ref("BrokerType"),
            "ClientSubnets": SUBNETS,
            "SecurityGroups": [ref("KafkaSecurityGroup")],
            "StorageInfo": {"EBSStorageInfo": {"VolumeSize": ref("BrokerGigabytes")}},
        },
        "ClientAuthentication": {"Sasl": {"Iam": {"Enabled": True}}, "Unauthenticated": {"Enabled": False}},
        "EncryptionInfo": {"EncryptionInTransit": {"ClientBroker": "TLS", "InCluster": True}},
        "ConfigurationInfo": {
            "Arn": attribute("ClusterConfiguration", "Arn"),
            "Revision": attribute("ClusterConfiguration", "LatestRevision.Revision"),
        },
        "LoggingInfo": {"BrokerLogs": {"CloudWatchLogs": {"Enabled": True, "LogGroup": ref("ClusterLog")}}},
    }


def _topic(name: str, partitions: int) -> Value:
    properties = {
        "ClusterArn": CLUSTER_ARN,
        "TopicName": name,
        "PartitionCount": partitions,
        "ReplicationFactor": ZONES,
        "Configs": base64.b64encode(_lines(TOPIC_PROPERTIES | SETTINGS.get(name, {})).encode()).decode(),
    }
    return {"Type": "AWS::MSK::Topic", **KEPT, "Properties": properties}


def _lines(properties: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())
