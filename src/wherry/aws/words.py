"""Resources of a template in the words of the job file. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wherry.aws.names import Names

#: A resource's type, where the template says nothing better.
_KINDS = {
    "AWS::S3::Bucket": "bucket",
    "AWS::SQS::Queue": "queue",
    "AWS::SQS::QueuePolicy": "queue's policy",
    "AWS::ECS::Service": "service",
    "AWS::ApplicationAutoScaling::ScalableTarget": "bounds of a service",
    "AWS::ApplicationAutoScaling::ScalingPolicy": "scaling policy",
    "AWS::Logs::LogGroup": "log group",
    "AWS::IAM::Role": "role",
    "AWS::IAM::Policy": "permissions",
    "AWS::ECS::Cluster": "cluster",
    "AWS::ECS::TaskDefinition": "task definition",
    "AWS::StepFunctions::StateMachine": "state machine",
    "AWS::Scheduler::Schedule": "schedule",
    "AWS::Lambda::Function": "function",
    "AWS::Lambda::Url": "function's URL",
    "AWS::Scheduler::ScheduleGroup": "schedule group",
    "AWS::Events::Rule": "event rule",
    "AWS::SNS::Topic": "topic",
    "AWS::SNS::Subscription": "subscription",
    "AWS::ECR::Repository": "image repository",
    "AWS::Events::EventBus": "event bus",
    "AWS::Events::EventBusPolicy": "event bus's policy",
    "AWS::AutoScaling::AutoScalingGroup": "group of instances",
    "AWS::EC2::LaunchTemplate": "launch template",
    "AWS::ECS::CapacityProvider": "capacity provider",
    "AWS::ECS::ClusterCapacityProviderAssociations": "capacity of the cluster",
    "AWS::IAM::InstanceProfile": "instance profile",
    "AWS::EC2::VPC": "network",
    "AWS::EC2::SecurityGroup": "security group",
}


def about(logical_id: str, *templates: Mapping[str, Any]) -> str:
    """What a resource is: as the first template that knows it says (`Metadata.Wherry.about`), else after its type."""
    for template in templates:
        resource = template.get("Resources", {}).get(logical_id)
        if resource is not None:
            said = resource.get("Metadata", {}).get("Wherry", {}).get("about")
            return str(said) if said else f"{kind_of(resource['Type'])} {logical_id}"
    return logical_id


def kind_of(resource_type: str) -> str:
    """A type in words: `AWS::EC2::InternetGateway` is an `internet gateway`."""
    known = _KINDS.get(resource_type)
    return known or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource_type.rpartition("::")[2]).lower()


def spelled(names: Names, *templates: Mapping[str, Any]) -> dict[str, str]:
    """What may stand in `${...}`, and what a person reads there."""
    known = {
        "AWS::AccountId": names.account,
        "AWS::Region": names.region,
        "AWS::Partition": names.partition,
        "AWS::StackName": names.stack,
    }
    for template in templates:
        for logical_id in template.get("Resources", {}):
            words = f"[{about(logical_id, template)}]"
            known |= {logical_id: words, f"{logical_id}.Arn": words}
    return known
