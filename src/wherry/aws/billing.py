"""What a template has that is billed. Pure: what is deployed and what would be are read in the same way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from wherry.aws import waking, works
from wherry.aws.changes import Template
from wherry.aws.works import Resource, works_of
from wherry.cost.deployment import Deployment, Task
from wherry.cost.parts import MONTH_HOURS
from wherry.model import JobFile

#: So much is assumed of each image repository, in GB: how large an image is only its builder knows.
IMAGE_GB = 1
#: Type -> the price of each, and how many of what that counts in a month.
_EACH = {
    "AWS::EC2::NatGateway": ("nat-hour", MONTH_HOURS),
    "AWS::EC2::EIP": ("ipv4-hour", MONTH_HOURS),
    "AWS::CloudWatch::CompositeAlarm": ("alarm-month", 5),
    "AWS::CloudWatch::Dashboard": ("dashboard-month", 1),
    "AWS::Logs::MetricFilter": ("metric-month", 1),
    "AWS::KMS::Key": ("key-month", 1),
    "AWS::ECR::Repository": ("images-gb-month", IMAGE_GB),
}
#: In a month, of each queue that workers sleep at.
_LOOKS = MONTH_HOURS * 60
_WORDS = {"images-gb-month": f"{IMAGE_GB} GB a job, assumed"}
#: What costs money while nothing runs, and is not worked out here.
_UNPRICED = {
    "AWS::ECS::Service": "services",
    "AWS::EC2::Instance": "EC2 instances",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "load balancers",
}


def deployment_of(jobfile: JobFile, *templates: Template) -> Deployment:
    """What the main and the base template of an environment come to; of the job file only attempts are asked."""
    resources: dict[str, Resource] = {}
    for template in templates:
        resources |= template.get("Resources", {})
    standing, things, unpriced = _standing(resources)
    groups = (each for each in resources.values() if each["Type"] == "AWS::AutoScaling::AutoScalingGroup")
    secrets = {each for one in resources.values() for each in _secrets(one)}
    if secrets:
        standing["secret-month"] = len(secrets)
    return Deployment(
        works=works_of(jobfile, resources),
        standing={key: Decimal(quantity) for key, quantity in standing.items()},
        things=things,
        always=_always(resources),
        instances=tuple(dict.fromkeys(_instance(each.get("Properties", {}), resources) for each in groups)),
        unpriced=unpriced,
    )


def _standing(resources: Mapping[str, Resource]) -> tuple[Counter[str], dict[str, str], tuple[str, ...]]:
    found: Counter[str] = Counter()
    things: dict[str, str] = dict(_WORDS)
    unpriced = []
    for resource in resources.values():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind == "AWS::CloudWatch::Alarm":
            # one of an expression is billed for each metric in it
            found["alarm-month"] += sum("MetricStat" in each for each in properties.get("Metrics", ())) or 1
        elif kind == "AWS::Events::Rule" and properties.get("ScheduleExpression") == waking.LOOK:
            found["express-1000000"] += _LOOKS
            found["sqs-1000000"] += _LOOKS
            things["express-1000000"] = things["sqs-1000000"] = "one a minute for each"
        elif kind in _EACH:
            key, quantity = _EACH[kind]
            found[key] += quantity
        elif kind == "AWS::EC2::VPCEndpoint" and properties.get("VpcEndpointType") == "Interface":
            found["endpoint-hour"] += len(properties.get("SubnetIds", ())) * MONTH_HOURS
            things["endpoint-hour"] = "one in each subnet"
        elif kind == "AWS::AutoScaling::AutoScalingGroup":
            instance = _instance(properties, resources)
            least = int(properties.get("MinSize", 0))
            if least:
                found[f"ec2-{instance}-hour"] += least * MONTH_HOURS
                things[f"ec2-{instance}-hour"] = f"{least} x {instance} at least"
        elif kind in _UNPRICED and not (kind == "AWS::ECS::Service" and works.owner_of(resource)):
            unpriced.append(f"{_UNPRICED[kind]}: not in these sums")
    return found, things, tuple(dict.fromkeys(unpriced))


def _always(resources: Mapping[str, Resource]) -> tuple[tuple[str, int, Task], ...]:
    """The workers of queues that are there whether messages come or not."""
    found = []
    for resource in resources.values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::ApplicationAutoScaling::ScalableTarget" and properties["MinCapacity"]:
            named = re.search(r"\$\{(\w+)\.Name\}", str(properties["ResourceId"].get("Fn::Sub")))
            service = resources.get(named[1], {}) if named else {}
            task = works.task_of(service.get("Properties", {}), resources)
            found.append((works.owner_of(resource), int(properties["MinCapacity"]), task))
    return tuple(found)


def _instance(group: Mapping[str, Any], resources: Mapping[str, Resource]) -> str:
    """The instance type of an Auto Scaling group's launch template."""
    mixed = group.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("LaunchTemplateSpecification", {})
    named = (group.get("LaunchTemplate") or mixed).get("LaunchTemplateId", {})
    template = resources.get(named.get("Ref", "") if isinstance(named, Mapping) else "", {})
    return str(template.get("Properties", {}).get("LaunchTemplateData", {}).get("InstanceType", "of unknown type"))


def _secrets(resource: Resource) -> Iterator[str]:
    """The secrets that a task definition reads; parameters of Systems Manager are free."""
    for container in resource.get("Properties", {}).get("ContainerDefinitions", ()):
        for secret in container.get("Secrets", ()):
            value = secret["ValueFrom"]
            text = str(value.get("Fn::Sub", value) if isinstance(value, Mapping) else value)
            if ":secretsmanager:" in text:
                # behind the name may stand a key of the secret's JSON, a stage and a version
                yield text.partition(":secret:")[2].partition(":")[0]
