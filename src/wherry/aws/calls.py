"""What IAM is asked for each call that wherry makes: operation -> actions. Pure.

Source: Service Authorization Reference, which names where an action is not called like its operation. Every operation
that `Aws` is given anywhere stands here (tests/aws/test_deployer.py names the missing ones).
"""

from __future__ import annotations

from collections.abc import Mapping

#: `plan`, `deploy`, `verify`, `destroy`, `build`.
DEPLOYING: Mapping[str, str] = {
    "cloudformation:continue_update_rollback": "cloudformation:ContinueUpdateRollback",
    # with tags
    "cloudformation:create_change_set": "cloudformation:CreateChangeSet cloudformation:TagResource",
    "cloudformation:delete_change_set": "cloudformation:DeleteChangeSet",
    "cloudformation:delete_stack": "cloudformation:DeleteStack",
    "cloudformation:describe_change_set": "cloudformation:DescribeChangeSet",
    "cloudformation:describe_events": "cloudformation:DescribeEvents",
    "cloudformation:describe_stack_events": "cloudformation:DescribeStackEvents",
    "cloudformation:describe_stacks": "cloudformation:DescribeStacks",
    "cloudformation:execute_change_set": "cloudformation:ExecuteChangeSet",
    "cloudformation:get_template": "cloudformation:GetTemplate",
    "cloudformation:list_change_sets": "cloudformation:ListChangeSets",
    "ec2:describe_nat_gateways": "ec2:DescribeNatGateways",
    "ec2:describe_network_acls": "ec2:DescribeNetworkAcls",
    "ec2:describe_route_tables": "ec2:DescribeRouteTables",
    "ec2:describe_security_groups": "ec2:DescribeSecurityGroups",
    "ec2:describe_subnets": "ec2:DescribeSubnets",
    "ec2:describe_vpc_attribute": "ec2:DescribeVpcAttribute",
    "ec2:describe_vpc_endpoints": "ec2:DescribeVpcEndpoints",
    "ec2:describe_vpcs": "ec2:DescribeVpcs",
    "ecr:describe_images": "ecr:DescribeImages",
    "ecr:describe_repositories": "ecr:DescribeRepositories",
    # and with that token the registry's own protocol: is an image there, and push it
    "ecr:get_authorization_token": (
        "ecr:GetAuthorizationToken ecr:BatchGetImage ecr:GetDownloadUrlForLayer ecr:BatchCheckLayerAvailability "
        "ecr:InitiateLayerUpload ecr:UploadLayerPart ecr:CompleteLayerUpload ecr:PutImage"
    ),
    "ecs:deregister_task_definition": "ecs:DeregisterTaskDefinition",
    "ecs:describe_task_definition": "ecs:DescribeTaskDefinition",
    "ecs:describe_tasks": "ecs:DescribeTasks",
    "ecs:list_task_definition_families": "ecs:ListTaskDefinitionFamilies",
    "ecs:list_task_definitions": "ecs:ListTaskDefinitions",
    "ecs:list_tasks": "ecs:ListTasks",
    "ecs:stop_task": "ecs:StopTask",
    "ecs:update_service": "ecs:UpdateService",
    "events:describe_event_bus": "events:DescribeEventBus",
    "iam:create_service_linked_role": "iam:CreateServiceLinkedRole",
    "iam:get_role": "iam:GetRole",
    # not granted: it answers about anybody; `verify` does without
    "iam:simulate_principal_policy": "",
    "logs:describe_log_groups": "logs:DescribeLogGroups",
    "resourcegroupstaggingapi:get_resources": "tag:GetResources",
    "s3:abort_multipart_upload": "s3:AbortMultipartUpload",
    "s3:delete_bucket": "s3:DeleteBucket",
    "s3:delete_objects": "s3:DeleteObject s3:DeleteObjectVersion",
    "s3:get_bucket_notification_configuration": "s3:GetBucketNotification",
    "s3:get_bucket_tagging": "s3:GetBucketTagging",
    "s3:head_bucket": "s3:ListBucket",
    "s3:list_multipart_uploads": "s3:ListBucketMultipartUploads",
    "s3:list_object_versions": "s3:ListBucketVersions",
    "s3:put_bucket_notification_configuration": "s3:PutBucketNotification",
    # a large template, which CloudFormation then reads in the caller's name
    "s3:put_object": "s3:PutObject s3:GetObject",
    "secretsmanager:describe_secret": "secretsmanager:DescribeSecret",
    "service-quotas:get_aws_default_service_quota": "servicequotas:GetAWSDefaultServiceQuota",
    "service-quotas:get_service_quota": "servicequotas:GetServiceQuota",
    "sqs:get_queue_attributes": "sqs:GetQueueAttributes",
    "sqs:get_queue_url": "sqs:GetQueueUrl",
    "stepfunctions:list_executions": "states:ListExecutions",
    "stepfunctions:stop_execution": "states:StopExecution",
    "sts:get_caller_identity": "",  # IAM lets everybody ask
}

#: What deploying does besides where there are instances: it asks for their type, and lets them go before their group.
ON_INSTANCES: Mapping[str, str] = {
    "autoscaling:describe_auto_scaling_groups": "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:set_desired_capacity": "autoscaling:SetDesiredCapacity",
    "autoscaling:set_instance_protection": "autoscaling:SetInstanceProtection",
    "autoscaling:update_auto_scaling_group": "autoscaling:UpdateAutoScalingGroup",
    "cloudformation:describe_stack_resource": "cloudformation:DescribeStackResource",
    "ec2:describe_instance_types": "ec2:DescribeInstanceTypes",
    "ecs:deregister_container_instance": "ecs:DeregisterContainerInstance",
    "ecs:list_container_instances": "ecs:ListContainerInstances",
}

#: What `destroy` does besides where there are workers: whatever waits for them, none comes again.
WITH_WORKERS: Mapping[str, str] = {
    "application-autoscaling:describe_scalable_targets": "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:register_scalable_target": "application-autoscaling:RegisterScalableTarget",
    "events:disable_rule": "events:DisableRule",
}

#: All that takes `--env` and is no deploying: `run`, `runs`, `logs`, `cp`, `secrets` and the rest.
USING: Mapping[str, str] = {
    "cloudformation:describe_stack_resource": "cloudformation:DescribeStackResource",
    "cloudformation:describe_stacks": "cloudformation:DescribeStacks",
    "cloudwatch:get_metric_data": "cloudwatch:GetMetricData",
    "ecs:describe_services": "ecs:DescribeServices",
    "ecs:describe_task_definition": "ecs:DescribeTaskDefinition",
    "ecs:describe_tasks": "ecs:DescribeTasks",
    "ecs:list_tasks": "ecs:ListTasks",
    "events:put_events": "events:PutEvents",
    "logs:get_log_events": "logs:GetLogEvents",
    "s3:delete_object": "s3:DeleteObject",
    "s3:get_object": "s3:GetObject",
    # without s3:ListBucket S3 does not tell what is not there from what is forbidden
    "s3:head_object": "s3:GetObject s3:ListBucket",
    "s3:list_objects_v2": "s3:ListBucket",
    "s3:put_object": "s3:PutObject s3:AbortMultipartUpload",
    "scheduler:list_schedules": "scheduler:ListSchedules",
    # with tags
    "secretsmanager:create_secret": "secretsmanager:CreateSecret secretsmanager:TagResource",
    "secretsmanager:delete_secret": "secretsmanager:DeleteSecret",
    "secretsmanager:describe_secret": "secretsmanager:DescribeSecret",
    # not granted: `replay --here` asks first, and who may read production's secrets is an administrator's to say
    "secretsmanager:get_secret_value": "",
    "secretsmanager:list_secrets": "secretsmanager:ListSecrets",
    "secretsmanager:put_secret_value": "secretsmanager:PutSecretValue",
    "secretsmanager:restore_secret": "secretsmanager:RestoreSecret",
    "sqs:change_message_visibility_batch": "sqs:ChangeMessageVisibility",
    "sqs:delete_message_batch": "sqs:DeleteMessage",
    "sqs:get_queue_attributes": "sqs:GetQueueAttributes",
    "sqs:get_queue_url": "sqs:GetQueueUrl",
    # moving is receiving, sending and deleting; how far it is, is told to whoever may do that
    "sqs:list_message_move_tasks": "sqs:ListMessageMoveTasks sqs:ReceiveMessage sqs:DeleteMessage",
    "sqs:purge_queue": "sqs:PurgeQueue",
    "sqs:receive_message": "sqs:ReceiveMessage",
    "sqs:send_message": "sqs:SendMessage",
    "sqs:send_message_batch": "sqs:SendMessage",
    "sqs:start_message_move_task": "sqs:StartMessageMoveTask sqs:ReceiveMessage sqs:DeleteMessage sqs:SendMessage",
    "stepfunctions:describe_execution": "states:DescribeExecution",
    "stepfunctions:describe_state_machine": "states:DescribeStateMachine",
    "stepfunctions:get_execution_history": "states:GetExecutionHistory",
    "stepfunctions:list_executions": "states:ListExecutions",
    "stepfunctions:start_execution": "states:StartExecution",
    "stepfunctions:stop_execution": "states:StopExecution",
    "sts:get_caller_identity": "",
}


def actions_of(rows: Mapping[str, str]) -> frozenset[str]:
    """The actions of all calls of a table."""
    return frozenset(action for row in rows.values() for action in row.split())
