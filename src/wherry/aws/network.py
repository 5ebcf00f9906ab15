"""Where tasks stand: a given network, or a small VPC with public subnets, no NAT gateway and no way in. Pure."""

from __future__ import annotations

from typing import Any

from wherry.aws.given import GivenNetwork
from wherry.aws.storage import Resource, resource

_RANGE = "10.42.0.0/24"
_SUBNETS = ("10.42.0.0/25", "10.42.0.128/25")


def network(stem: str, given: GivenNetwork | None) -> tuple[dict[str, Resource], dict[str, Any]]:
    """The resources, and the NetworkConfiguration of tasks.

    A task in a public subnet needs a public address to reach the registry and the logs; its security group has no
    inbound rule, so nothing reaches it.
    """
    resources = {} if given else _vpc(stem)
    vpc = given.vpc if given else {"Ref": "Vpc"}
    groups: list[Any] = list(given.security_groups) if given else []
    if not groups:
        resources["SecurityGroup"] = resource(
            "the tasks' security group: everything out, nothing in",
            "AWS::EC2::SecurityGroup",
            {
                "GroupDescription": f"Tasks of {stem}: everything out, nothing in",
                "VpcId": vpc,
                "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0", "Description": "everything out"}],
            },
        )
        groups = [{"Fn::GetAtt": ["SecurityGroup", "GroupId"]}]
    subnets = list(given.subnets) if given else [{"Ref": f"Subnet{number}"} for number in (1, 2)]
    public = given.public_ip if given else True
    return resources, {
        "AwsvpcConfiguration": {
            "Subnets": subnets,
            "SecurityGroups": groups,
            "AssignPublicIp": "ENABLED" if public else "DISABLED",
        }
    }


def ways_out(given: GivenNetwork | None) -> list[str]:
    """The logical ids of what tasks reach the registry and the logs by; none of a given network."""
    return [] if given else ["RouteOut", *(f"Subnet{number}Routes" for number in (1, 2))]


def _vpc(stem: str) -> dict[str, Resource]:
    about = "the app's own network"
    tags = [{"Key": "Name", "Value": stem}]
    found = {
        "Vpc": resource(
            about,
            "AWS::EC2::VPC",
            {"CidrBlock": _RANGE, "EnableDnsSupport": True, "EnableDnsHostnames": True, "Tags": tags},
        ),
        "Gateway": resource(about, "AWS::EC2::InternetGateway", {"Tags": tags}),
        "GatewayAttachment": resource(
            about,
            "AWS::EC2::VPCGatewayAttachment",
            {"VpcId": {"Ref": "Vpc"}, "InternetGatewayId": {"Ref": "Gateway"}},
        ),
        "Routes": resource(about, "AWS::EC2::RouteTable", {"VpcId": {"Ref": "Vpc"}, "Tags": tags}),
        "RouteOut": resource(
            about,
            "AWS::EC2::Route",
            {
                "RouteTableId": {"Ref": "Routes"},
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": {"Ref": "Gateway"},
            },
            DependsOn="GatewayAttachment",
        ),
    }
    for number, block in enumerate(_SUBNETS, start=1):
        found[f"Subnet{number}"] = resource(
            about,
            "AWS::EC2::Subnet",
            {
                "VpcId": {"Ref": "Vpc"},
                "CidrBlock": block,
                "AvailabilityZone": {"Fn::Select": [number - 1, {"Fn::GetAZs": ""}]},
                "Tags": tags,
            },
        )
        found[f"Subnet{number}Routes"] = resource(
            about,
            "AWS::EC2::SubnetRouteTableAssociation",
            {"SubnetId": {"Ref": f"Subnet{number}"}, "RouteTableId": {"Ref": "Routes"}},
        )
    return found
