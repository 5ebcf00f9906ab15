"""What CloudFormation asks IAM for each resource, in the caller's name: the permissions of the resource handlers.

Source: `handlers.{create,update,delete,read}.permissions` of the resource provider schemas that AWS publishes, as
cfn-lint ships them. A list names what a handler may need for any property; `UNUSED` names what our templates never
make it do.
"""

import functools
import json
import re
from pathlib import Path

import cfnlint

_DATA = Path(cfnlint.__file__).parent / "data"

#: Resource type (`*`: each) -> what is only for properties that no template of ours sets: pattern -> which.
UNUSED = {
    "*": {r"kms:.*": "keys of one's own"},
    "AWS::ApplicationAutoScaling::ScalableTarget": {
        r"lambda:.*|cloudwatch:.*|iam:PassRole": "other targets than ECS services",
        r".*ScheduledAction": "ScheduledActions",
    },
    "AWS::ApplicationAutoScaling::ScalingPolicy": {r"cloudwatch:GetMetricData": "PredictiveScalingPolicyConfiguration"},
    "AWS::AutoScaling::AutoScalingGroup": {
        r"managed-fleets:.*": "managed instances",
        r"vpc-lattice:.*|elasticloadbalancing:.*|.*LoadBalancer.*|.*TrafficSources": "TrafficSources",
        r"cloudwatch:PutMetricAlarm|.*MetricsCollection": "MetricsCollection",
        r".*NotificationConfiguration": "NotificationConfigurations",
        r".*LifecycleHook": "LifecycleHookSpecificationList",
        r".*InstanceRefresh|.*Processes": "UpdatePolicy",
    },
    "AWS::EC2::Subnet": {r".*SubnetCidrBlock": "Ipv6CidrBlocks"},
    "AWS::EC2::VPC": {
        r".*CreateVpcEncryptionControl": "VpcEncryptionControl",
        r".*ModifyVpcTenancy": "InstanceTenancy",
    },
    "AWS::EC2::VPCGatewayAttachment": {r".*(At|De)tachVpnGateway": "VpnGatewayId"},
    "AWS::ECR::Repository": {
        r".*RepositoryPolicy": "RepositoryPolicyText",
        r".*PutImage.*": "ImageScanningConfiguration, ImageTagMutability",
    },
    "AWS::ECS::Cluster": {r".*PutAccountSetting.*|.*UpdateClusterSettings": "ClusterSettings"},
    "AWS::Events::EventBus": {r".*(Put|Remove)Permission": "Policy"},
    "AWS::IAM::Policy": {r".*(User|Group)Policy": "Users, Groups"},
    "AWS::IAM::Role": {
        r".*PermissionsBoundary": "PermissionsBoundary",
        r".*UpdateRole(Description)?": "Description, MaxSessionDuration",
    },
    "AWS::Lambda::Function": {
        r"s3:.*": "Code.S3Bucket",
        r"s3files:.*|elasticfilesystem:.*": "FileSystemConfigs",
        r"ec2:Describe(SecurityGroups|Subnets|Vpcs)": "VpcConfig",
        r".*(Put|Delete)FunctionConcurrency": "ReservedConcurrentExecutions",
        r".*PassCapacityProvider|.*PutFunctionScalingConfig": "CapacityProviderConfig",
        r".*(Put|Delete)FunctionCodeSigningConfig|.*:GetCodeSigningConfig": "CodeSigningConfigArn",
        r".*GetLayerVersion": "Layers",
        r".*PutFunctionRecursionConfig": "RecursiveLoop",
        r".*PublishVersion|.*AssociateRuntimeAlias|.*PutRuntimeManagementConfig": "RuntimeManagementConfig",
    },
    "AWS::Logs::LogGroup": {
        r".*PutDataProtectionPolicy": "DataProtectionPolicy",
        r".*CreateLogDelivery|s3:.*|firehose:.*": "DataProtectionPolicy",
        r".*(Put|Delete)IndexPolicy": "FieldIndexPolicies",
        r".*(Put|Delete)ResourcePolicy": "ResourcePolicyDocument",
        r".*KmsKey": "KmsKeyId",
        r".*PutBearerTokenAuthentication": "BearerTokenAuthenticationEnabled",
        r".*PutLogGroupDeletionProtection": "DeletionProtectionEnabled",
    },
    "AWS::S3::Bucket": {
        r"s3tables:.*|.*(Create|Update|Delete)BucketMetadata.*": "MetadataTableConfiguration",
        r".*(Put|Delete).*(Analytics|Inventory|Metrics|Accelerate|IntelligentTiering)Configuration": "those",
        r".*(Put|Delete)Bucket(CORS|Cors|Website|Logging|Versioning|Abac|Acl|ObjectLockConfiguration)": "those",
        r".*Put(Object|BucketObject)LockConfiguration": "ObjectLockConfiguration",
        r".*(Put|Delete)(Bucket)?Replication(Configuration)?|iam:PassRole": "ReplicationConfiguration",
        r".*PutBucketOwnershipControls|.*PutObjectAcl": "OwnershipControls, AccessControl",
        r".*:DeleteObject": "a bucket is empty when it goes",
        r".*DeleteBucket(Encryption|Lifecycle)": "no actions of IAM: Put...Configuration is asked for",
    },
    "AWS::SNS::Subscription": {r"iam:.*": "SubscriptionRoleArn"},
    "AWS::SNS::Topic": {
        r"iam:.*": "DeliveryStatusLogging",
        r".*PutDataProtectionPolicy": "DataProtectionPolicy",
        r".*:(Uns|S)ubscribe": "Subscription",
    },
    "AWS::StepFunctions::StateMachine": {r"s3:.*": "DefinitionS3Location"},
    "AWS::SecretsManager::Secret": {
        r".*Regions.*": "ReplicaRegions",
        r".*GetRandomPassword|.*GetSecretValue": "GenerateSecretString",
    },
}  # fmt: skip


def is_unused(kind: str, action: str) -> bool:
    """Whether a handler asks for it only because of properties that no template of ours sets."""
    patterns = [*UNUSED["*"], *UNUSED.get(kind, {})]
    return any(re.fullmatch(pattern, action) for pattern in patterns)


@functools.cache
def permissions(kind: str, step: str) -> tuple[str, ...]:
    """The actions of `create`, `update`, `delete` or `read` of a resource type; none for types without a schema."""
    asked = _schema(kind).get("handlers", {}).get(step, {}).get("permissions", ())
    return tuple(action for action in asked if not is_unused(kind, action))


@functools.cache
def _index() -> dict[str, str]:
    return json.loads((_DATA / "schemas/providers/eu-west-1.json").read_text(encoding="utf-8"))


@functools.cache
def _schema(kind: str) -> dict:
    name = _index().get(kind)
    path = _DATA / f"schemas/resources/{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if name and path.exists() else {}
