"""PostgreSQL of the data stack behind a proxy; whoever connects shows an IAM token, the proxy too."""

from infra.aws.functions import PREFIX
from infra.aws.intrinsics import Value, attribute, ref, sub
from infra.aws.network import POSTGRES, SUBNETS
from infra.aws.roles import allow, trust

MAJOR_VERSION, MINOR_VERSION = 17, 11
KEPT: Value = {"DeletionPolicy": ref("DatabaseWhenDeleted"), "UpdateReplacePolicy": ref("DatabaseWhenDeleted")}
USERS = ("DatabaseUser", "DatabaseOwner")


def resources() -> dict[str, Value]:
    """The database, its parameters, its log, and the proxy with its role."""
    return {
        "DatabaseSubnets": _typed("DBSubnetGroup", DBSubnetGroupDescription=sub(PREFIX), SubnetIds=SUBNETS),
        "DatabaseParameters": _typed(
            "DBParameterGroup",
            Family=f"postgres{MAJOR_VERSION}",
            Description=sub(f"{PREFIX}: TLS for everybody"),
            Parameters={"rds.force_ssl": "1"},
        ),
        "DatabaseLog": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {"LogGroupName": sub(f"/aws/rds/instance/{PREFIX}/postgresql"), "RetentionInDays": ref("LogDays")},
        },
        "Database": _database() | KEPT,
        "ProxyRole": _proxy_role(),
        "Proxy": _typed(
            "DBProxy",
            DBProxyName=sub(PREFIX),
            EngineFamily="POSTGRESQL",
            # Nobody's password is kept: the proxy itself connects by IAM, as whoever connected to it.
            DefaultAuthScheme="IAM_AUTH",
            RequireTLS=True,
            RoleArn=attribute("ProxyRole", "Arn"),
            VpcSubnetIds=SUBNETS,
            VpcSecurityGroupIds=[ref("ProxySecurityGroup")],
        ),
        "ProxyTarget": _typed(
            "DBProxyTargetGroup",
            DBProxyName=ref("Proxy"),
            TargetGroupName="default",
            DBInstanceIdentifiers=[ref("Database")],
            # Sooner than the functions give up.
            ConnectionPoolConfigurationInfo={"MaxConnectionsPercent": 90, "ConnectionBorrowTimeout": 5},
        ),
    }


def _database() -> Value:
    return {
        "Type": "AWS::RDS::DBInstance",
        "DependsOn": "DatabaseLog",
        "Properties": {
            # A name of its own refuses to be replaced: an update that would do so fails instead.
            "DBInstanceIdentifier": sub(PREFIX),
            "Engine": "postgres",
            "EngineVersion": f"{MAJOR_VERSION}.{MINOR_VERSION}",
            "AutoMinorVersionUpgrade": True,
            "DBInstanceClass": ref("DatabaseClass"),
            "DBName": ref("DatabaseName"),
            "Port": str(POSTGRES),
            "MasterUsername": "campusg_master",
            # RDS makes the password, keeps it as a secret and renews it.
            "ManageMasterUserPassword": True,
            "EnableIAMDatabaseAuthentication": True,
            "StorageType": "gp3",
            "AllocatedStorage": ref("DatabaseGigabytes"),
            "MaxAllocatedStorage": ref("DatabaseMostGigabytes"),
            "StorageEncrypted": True,
            "MultiAZ": ref("DatabaseMultiAz"),
            "BackupRetentionPeriod": ref("BackupDays"),
            "CopyTagsToSnapshot": True,
            "DeletionProtection": ref("DatabaseProtected"),
            "PubliclyAccessible": False,
            "DBSubnetGroupName": ref("DatabaseSubnets"),
            "VPCSecurityGroups": [ref("DatabaseSecurityGroup")],
            "DBParameterGroupName": ref("DatabaseParameters"),
            "EnableCloudwatchLogsExports": ["postgresql"],
        },
    }


def _proxy_role() -> Value:
    logins = [
        sub(
            f"arn:${{AWS::Partition}}:rds-db:${{AWS::Region}}:${{AWS::AccountId}}:dbuser:${{Id}}/${{{user}}}",
            Id=attribute("Database", "DbiResourceId"),
        )
        for user in USERS
    ]
    document = {"Version": "2012-10-17", "Statement": [allow("rds-db:connect", *logins)]}
    properties = {"AssumeRolePolicyDocument": trust("rds"), "Policies": [{"PolicyName": "database", "PolicyDocument": document}]}
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def _typed(kind: str, **properties: object) -> Value:
    return {"Type": f"AWS::RDS::{kind}", "Properties": properties}
