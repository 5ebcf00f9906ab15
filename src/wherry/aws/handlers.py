"""What CloudFormation does for each type of resource in the caller's name: what whoever deploys needs. Pure.

Without a service role of its own CloudFormation acts with the permissions of whoever asks it (User Guide, "Controlling
access with IAM"). Source of the rows: `handlers.*.permissions` in AWS's resource provider schemas, for create, update,
delete and read, without what only properties need that no template here sets (tests/standin/handlers.py names those).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: Resource type -> actions by service: `service: Action Action; service: ...`.
ACTIONS: Mapping[str, str] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": """
        application-autoscaling: DeregisterScalableTarget DescribeScalableTargets DescribeScheduledActions
        ListTagsForResource RegisterScalableTarget TagResource UntagResource; iam: CreateServiceLinkedRole
    """,
    "AWS::ApplicationAutoScaling::ScalingPolicy": """
        application-autoscaling: DeleteScalingPolicy DescribeScalingPolicies PutScalingPolicy
    """,
    "AWS::AutoScaling::AutoScalingGroup": """
        autoscaling: CreateAutoScalingGroup CreateOrUpdateTags DeleteAutoScalingGroup DeleteTags Describe*
        UpdateAutoScalingGroup; ec2: Describe* Get* RunInstances; iam: CreateServiceLinkedRole PassRole;
        ssm: Get*
    """,
    "AWS::AutoScaling::LifecycleHook": """
        autoscaling: DeleteLifecycleHook DescribeLifecycleHooks PutLifecycleHook; iam: PassRole
    """,
    "AWS::CloudWatch::Alarm": """
        cloudwatch: DeleteAlarms DescribeAlarms ListTagsForResource PutMetricAlarm TagResource UntagResource
    """,
    "AWS::CloudWatch::Dashboard": """
        cloudwatch: DeleteDashboards GetDashboard ListTagsForResource PutDashboard TagResource UntagResource
    """,
    "AWS::EC2::InternetGateway": """
        ec2: CreateInternetGateway CreateTags DeleteInternetGateway DeleteTags DescribeInternetGateways
    """,
    "AWS::EC2::LaunchTemplate": """
        ec2: CreateLaunchTemplate CreateLaunchTemplateVersion CreateTags DeleteLaunchTemplate DeleteTags
        DescribeLaunchTemplates
    """,
    "AWS::EC2::Route": """
        ec2: CreateRoute DeleteRoute DescribeNetworkInterfaces DescribeRouteTables ReplaceRoute
    """,
    "AWS::EC2::RouteTable": """
        ec2: CreateRouteTable CreateTags DeleteRouteTable DeleteTags DescribeRouteTables
    """,
    "AWS::EC2::SecurityGroup": """
        ec2: AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress CreateSecurityGroup CreateTags
        DeleteSecurityGroup DeleteTags DescribeInstances DescribeSecurityGroups RevokeSecurityGroupEgress
        RevokeSecurityGroupIngress UpdateSecurityGroupRuleDescriptionsEgress
        UpdateSecurityGroupRuleDescriptionsIngress
    """,
    "AWS::EC2::Subnet": """
        ec2: CreateSubnet CreateTags DeleteSubnet DeleteTags DescribeNetworkAcls DescribeSubnets
        ModifySubnetAttribute
    """,
    "AWS::EC2::SubnetRouteTableAssociation": """
        ec2: AssociateRouteTable DescribeRouteTables DescribeSubnets DisassociateRouteTable
        ReplaceRouteTableAssociation
    """,
    "AWS::EC2::VPC": """
        ec2: CreateTags CreateVpc DeleteTags DeleteVpc DescribeNetworkAcls DescribeSecurityGroups
        DescribeVpcAttribute DescribeVpcEncryptionControls DescribeVpcs ModifyVpcAttribute
    """,
    "AWS::EC2::VPCGatewayAttachment": """
        ec2: AttachInternetGateway DescribeInternetGateways DescribeVpnGateways DetachInternetGateway
    """,
    "AWS::ECR::Repository": """
        ecr: CreateRepository DeleteLifecyclePolicy DeleteRepository DescribeRepositories GetLifecyclePolicy
        ListTagsForResource PutLifecyclePolicy TagResource UntagResource
    """,
    "AWS::ECS::CapacityProvider": """
        autoscaling: CreateOrUpdateTags; ecs: CreateCapacityProvider DeleteCapacityProvider
        DescribeCapacityProviders ListTagsForResource PutClusterCapacityProviders TagResource UntagResource
        UpdateCapacityProvider; iam: CreateServiceLinkedRole PassRole
    """,
    "AWS::ECS::Cluster": """
        ecs: CreateCluster DeleteCluster DescribeClusters ListTagsForResource PutClusterCapacityProviders
        TagResource UntagResource UpdateCluster; iam: CreateServiceLinkedRole
    """,
    "AWS::ECS::ClusterCapacityProviderAssociations": """
        ecs: DescribeCapacityProviders DescribeClusters PutClusterCapacityProviders
    """,
    "AWS::ECS::Service": """
        ecs: CreateService DeleteService DescribeServiceDeployments DescribeServices ListServiceDeployments
        ListTagsForResource StopServiceDeployment TagResource UntagResource UpdateService; iam: PassRole
    """,
    "AWS::ECS::TaskDefinition": """
        ecs: DeregisterTaskDefinition DescribeTaskDefinition ListTagsForResource RegisterTaskDefinition
        TagResource UntagResource; iam: GetRole PassRole
    """,
    "AWS::Events::EventBus": """
        events: CreateEventBus DeleteEventBus DescribeEventBus ListTagsForResource TagResource UntagResource
        UpdateEventBus
    """,
    "AWS::Events::EventBusPolicy": """
        events: DescribeEventBus PutPermission RemovePermission
    """,
    "AWS::Events::Rule": """
        events: DeleteRule DescribeRule ListTagsForResource ListTargetsByRule PutRule PutTargets
        RemoveTargets TagResource UntagResource; iam: PassRole
    """,
    "AWS::IAM::InstanceProfile": """
        iam: AddRoleToInstanceProfile CreateInstanceProfile DeleteInstanceProfile GetInstanceProfile
        PassRole RemoveRoleFromInstanceProfile
    """,
    "AWS::IAM::Policy": """
        iam: DeleteRolePolicy GetRolePolicy PutRolePolicy
    """,
    "AWS::IAM::Role": """
        iam: AttachRolePolicy CreateRole DeleteRole DeleteRolePolicy DetachRolePolicy GetRole GetRolePolicy
        ListAttachedRolePolicies ListRolePolicies PutRolePolicy TagRole UntagRole UpdateAssumeRolePolicy
    """,
    "AWS::IAM::RolePolicy": """
        iam: DeleteRolePolicy GetRolePolicy PutRolePolicy
    """,
    "AWS::Lambda::EventInvokeConfig": """
        lambda: DeleteFunctionEventInvokeConfig GetFunctionEventInvokeConfig PutFunctionEventInvokeConfig
        UpdateFunctionEventInvokeConfig
    """,
    "AWS::Lambda::Function": """
        ec2: DescribeNetworkInterfaces; iam: PassRole; lambda: CreateFunction DeleteFunction GetFunction
        GetFunctionCodeSigningConfig GetFunctionRecursionConfig GetFunctionScalingConfig
        GetRuntimeManagementConfig TagResource UntagResource UpdateFunctionCode UpdateFunctionConfiguration
    """,
    "AWS::Lambda::Permission": """
        lambda: AddPermission GetPolicy RemovePermission
    """,
    "AWS::Lambda::Url": """
        lambda: CreateFunctionUrlConfig DeleteFunctionUrlConfig GetFunctionUrlConfig UpdateFunctionUrlConfig
    """,
    "AWS::Logs::LogGroup": """
        logs: CreateLogGroup DeleteDataProtectionPolicy DeleteLogGroup DeleteRetentionPolicy
        DescribeIndexPolicies DescribeLogGroups DescribeResourcePolicies GetDataProtectionPolicy
        ListTagsForResource PutRetentionPolicy TagResource UntagResource
    """,
    "AWS::Logs::MetricFilter": """
        logs: DeleteMetricFilter DescribeMetricFilters PutMetricFilter
    """,
    "AWS::S3::Bucket": """
        s3: CreateBucket DeleteBucket GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac
        GetBucketAcl GetBucketCORS GetBucketLogging GetBucketMetadataTableConfiguration
        GetBucketNotification GetBucketObjectLockConfiguration GetBucketOwnershipControls
        GetBucketPublicAccessBlock GetBucketTagging GetBucketVersioning GetBucketWebsite
        GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration
        GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration ListBucket
        ListTagsForResource PutBucketNotification PutBucketPublicAccessBlock PutBucketTagging
        PutEncryptionConfiguration PutLifecycleConfiguration TagResource UntagResource
    """,
    "AWS::S3::BucketPolicy": """
        s3: DeleteBucketPolicy GetBucketPolicy PutBucketPolicy
    """,
    "AWS::SNS::Subscription": """
        sns: GetSubscriptionAttributes SetSubscriptionAttributes Subscribe Unsubscribe
    """,
    "AWS::SNS::Topic": """
        sns: CreateTopic DeleteTopic GetDataProtectionPolicy GetTopicAttributes ListSubscriptionsByTopic
        ListTagsForResource SetTopicAttributes TagResource UntagResource
    """,
    "AWS::SNS::TopicPolicy": """
        sns: SetTopicAttributes
    """,
    "AWS::SQS::Queue": """
        sqs: CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl ListQueueTags SetQueueAttributes
        TagQueue UntagQueue
    """,
    "AWS::SQS::QueuePolicy": """
        sqs: SetQueueAttributes
    """,
    "AWS::Scheduler::Schedule": """
        iam: PassRole; scheduler: CreateSchedule DeleteSchedule GetSchedule UpdateSchedule
    """,
    "AWS::Scheduler::ScheduleGroup": """
        scheduler: CreateScheduleGroup DeleteSchedule DeleteScheduleGroup GetScheduleGroup
        ListTagsForResource TagResource UntagResource
    """,
    "AWS::SecretsManager::Secret": """
        secretsmanager: CreateSecret DeleteSecret DescribeSecret TagResource UntagResource UpdateSecret
    """,
    "AWS::StepFunctions::StateMachine": """
        iam: PassRole; states: CreateStateMachine DeleteStateMachine DescribeStateMachine
        ListTagsForResource TagResource UntagResource UpdateStateMachine
    """,
}

#: Types that a job file comes to need as it grows: a policy that was handed over once goes on to do.
USUAL = frozenset(
    (
        "AWS::EC2::SecurityGroup", "AWS::ECR::Repository", "AWS::ECS::Cluster",
        "AWS::ECS::ClusterCapacityProviderAssociations", "AWS::ECS::TaskDefinition",
        "AWS::Events::Rule", "AWS::IAM::Role", "AWS::Logs::LogGroup", "AWS::S3::Bucket", "AWS::SNS::Subscription",
        "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy",
        "AWS::Scheduler::Schedule", "AWS::Scheduler::ScheduleGroup", "AWS::StepFunctions::StateMachine",
    )
)  # fmt: skip


def actions_of(kinds: Iterable[str]) -> frozenset[str]:
    """The actions for resources of these types, as `service:Action`; raises KeyError for a type without a row."""
    return frozenset(action for kind in kinds for action in _spelled(ACTIONS[kind]))


def _spelled(row: str) -> Iterable[str]:
    for part in row.split(";"):
        service, _, names = part.partition(":")
        yield from (f"{service.strip()}:{name}" for name in names.split())
