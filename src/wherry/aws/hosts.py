"""The EC2 instances of an environment with `capacity: ec2`, from none to as many as its tasks need, and back. Pure.

ECS manages an Auto Scaling group by a capacity provider: a task that finds no room waits in PROVISIONING until an
instance is there, and an instance without tasks goes after about a quarter of an hour. Neither takes an instance whose
tasks run: each is protected from scale-in until ECS takes the protection away.

Sources: ECS Developer Guide, "Automatically manage Amazon ECS capacity with cluster auto scaling", "Control the
instances Amazon ECS terminates", "Amazon ECS container agent configuration", "Amazon ECS container instance IAM role";
the statements of the instance's role are those that aws-cdk's `Cluster.addAutoScalingGroup` grants.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wherry.aws import policy
from wherry.aws.instances import RESERVED, type_of
from wherry.aws.names import Names
from wherry.aws.policy import allow, arn, sub
from wherry.aws.storage import Resource, resource
from wherry.model import Environment

#: The group's logical id, by which a deploy and a destroy find it.
GROUP = "Instances"
#: The provider's.
PROVIDER = "Capacity"
#: Resolved each time that an instance is launched, so that none begins with an old image.
_IMAGES = "resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023{variant}/recommended/image_id"
_VARIANTS = {"linux/amd64": "", "linux/arm64": "/arm64"}
_USER_DATA = f"""#!/bin/bash
cat >> /etc/ecs/ecs.config <<'END'
ECS_CLUSTER=${{Cluster}}
ECS_RESERVED_MEMORY={RESERVED}
ECS_AWSVPC_BLOCK_IMDS=true
ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE=true
ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=15m
END"""
#: Seconds until a new instance counts (ECS's own default); before it has booted and joined, ECS would ask for more.
_WARMUP = 300


def hosts(
    names: Names, environment: Environment, where: dict[str, Any], repositories: Iterable[str]
) -> dict[str, Resource]:
    """The resources; `where` is the NetworkConfiguration of tasks, `repositories` ARNs for `Fn::Sub`.

    What is deleted goes in the reverse of the order of references: the provider, which has left the cluster before, the
    group with its instances, and then the cluster, which must have none.
    """
    network = where["AwsvpcConfiguration"]
    return {
        "InstanceRole": policy.role(
            "what the instances may do: join the cluster, pull images",
            "ec2.amazonaws.com",
            None,  # EC2 gives no source to hold against a condition
            _may(names, repositories),
        ),
        "InstanceProfile": resource(
            "the instances' role, as EC2 takes it", "AWS::IAM::InstanceProfile", {"Roles": [{"Ref": "InstanceRole"}]}
        ),
        "InstanceTemplate": resource(
            "what the instances are made of",
            "AWS::EC2::LaunchTemplate",
            {"LaunchTemplateData": _template(environment, network)},
        ),
        GROUP: resource(
            f"the instances: from none to {environment.instances.max} {type_of(environment)}",
            "AWS::AutoScaling::AutoScalingGroup",
            {
                # how many there are is left to ECS
                "MinSize": "0",
                "MaxSize": str(environment.instances.max),
                "VPCZoneIdentifier": network["Subnets"],
                "LaunchTemplate": {
                    "LaunchTemplateId": {"Ref": "InstanceTemplate"},
                    "Version": {"Fn::GetAtt": ["InstanceTemplate", "LatestVersionNumber"]},
                },
                "NewInstancesProtectedFromScaleIn": True,
                "Tags": [
                    {"Key": "Name", "Value": names.stem, "PropagateAtLaunch": True},
                    # ECS adds it, and needs it: an update of the stack must not take it away
                    {"Key": "AmazonECSManaged", "Value": "true", "PropagateAtLaunch": True},
                ],
            },
        ),
        PROVIDER: resource(
            "as many instances as the tasks need",
            "AWS::ECS::CapacityProvider",
            {
                "Name": names.capacity_provider,
                "AutoScalingGroupProvider": {
                    "AutoScalingGroupArn": {"Ref": GROUP},
                    "ManagedScaling": {
                        "Status": "ENABLED",
                        "TargetCapacity": 100,
                        "MinimumScalingStepSize": 1,
                        "MaximumScalingStepSize": environment.instances.max,
                        "InstanceWarmupPeriod": _WARMUP,
                    },
                    "ManagedTerminationProtection": "ENABLED",
                    "ManagedDraining": "ENABLED",
                },
            },
        ),
    }


def _template(environment: Environment, network: dict[str, Any]) -> dict[str, Any]:
    public = network["AssignPublicIp"] == "ENABLED"
    return {
        "ImageId": _IMAGES.format(variant=_VARIANTS[environment.platform]),
        "InstanceType": type_of(environment),
        "IamInstanceProfile": {"Arn": {"Fn::GetAtt": ["InstanceProfile", "Arn"]}},
        "UserData": {"Fn::Base64": {"Fn::Sub": _USER_DATA}},
        # what an instance may do is not for the tasks on it: the answer's one hop ends before their bridge
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1},
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "AssociatePublicIpAddress": public,
                "DeleteOnTermination": True,
                "Groups": network["SecurityGroups"],
            }
        ],
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {"Encrypted": True, "VolumeType": "gp3", "DeleteOnTermination": True},
            }
        ],
    }


def _may(names: Names, repositories: Iterable[str]) -> list[policy.Statement]:
    """On EC2 it is the instance that pulls from ECR (ECR User Guide, "Using Amazon ECR images with Amazon ECS")."""
    cluster = arn("ecs", f"cluster/{names.cluster}")
    found = [
        allow(["ecs:DiscoverPollEndpoint"], "*"),
        allow(
            [
                "ecs:RegisterContainerInstance",
                "ecs:SubmitAttachmentStateChanges",
                "ecs:SubmitContainerStateChange",
                "ecs:SubmitTaskStateChange",
            ],
            cluster,
        ),
        allow(
            ["ecs:Poll", "ecs:StartTelemetrySession"],
            arn("ecs", f"container-instance/{names.cluster}/*"),
            {"ArnEquals": {"ecs:cluster": cluster}},
        ),
    ]
    pulled = sorted(set(repositories))
    return found + (policy.pull([sub(each) for each in pulled]) if pulled else [])
