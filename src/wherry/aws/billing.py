"""What a template has that is billed. Pure: what is deployed and what would be are read in the same way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from wherry.aws import paths
from wherry.aws.changes import Template
from wherry.cost.deployment import Deployment, Task, Work
from wherry.cost.parts import MONTH_HOURS
from wherry.model import JobFile

Resource = Mapping[str, Any]

_JOB = "job "
#: So much is assumed of each image repository, in GB: how large an image is only its builder knows.
IMAGE_GB = 1
_KEPT = 30
#: Type -> the price of each, and how many of what that counts in a month.
_EACH = {
    "AWS::EC2::NatGateway": ("nat-hour", MONTH_HOURS),
    "AWS::EC2::EIP": ("ipv4-hour", MONTH_HOURS),
    "AWS::CloudWatch::Alarm": ("alarm-month", 1),
    "AWS::CloudWatch::CompositeAlarm": ("alarm-month", 5),
    "AWS::CloudWatch::Dashboard": ("dashboard-month", 1),
    "AWS::Logs::MetricFilter": ("metric-month", 1),
    "AWS::KMS::Key": ("key-month", 1),
    "AWS::ECR::Repository": ("images-gb-month", IMAGE_GB),
}
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
    secrets = {each for one in resources.values() for each in _secrets(one)}
    if secrets:
        standing["secret-month"] = len(secrets)
    return Deployment(
        works=_works(jobfile, resources),
        standing={key: Decimal(quantity) for key, quantity in standing.items()},
        things=things,
        unpriced=unpriced,
    )


def _standing(resources: Mapping[str, Resource]) -> tuple[Counter[str], dict[str, str], tuple[str, ...]]:
    found: Counter[str] = Counter()
    things: dict[str, str] = dict(_WORDS)
    unpriced = []
    for resource in resources.values():
        kind, properties = resource["Type"], resource.get("Properties", {})
        if kind in _EACH:
            key, quantity = _EACH[kind]
            found[key] += quantity
        elif kind == "AWS::EC2::VPCEndpoint" and properties.get("VpcEndpointType") == "Interface":
            found["endpoint-hour"] += len(properties.get("SubnetIds", ())) * MONTH_HOURS
            things["endpoint-hour"] = "one in each subnet"
        elif kind == "AWS::AutoScaling::AutoScalingGroup":
            instance = _instance(properties, resources)
            least = int(properties.get("MinSize", 0))
            unpriced.append(f"EC2 instances ({instance}) are billed by EC2 while they run: not in these sums")
            if least:
                found[f"ec2-{instance}-hour"] += least * MONTH_HOURS
                things[f"ec2-{instance}-hour"] = f"{least} x {instance} at least"
        elif kind in _UNPRICED:
            unpriced.append(f"{_UNPRICED[kind]}: not in these sums")
    return found, things, tuple(dict.fromkeys(unpriced))


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


def _works(jobfile: JobFile, resources: Mapping[str, Resource]) -> dict[str, Work]:
    found = {}
    dispatcher = next((each for name, each in resources.items() if name == "Dispatcher"), {})
    dispatching = dispatcher.get("Properties", {}).get("Definition", {})
    owners = {name: owner for name, each in resources.items() if (owner := _owner(each))}
    for machine_id, machine in resources.items():
        definition = machine.get("Properties", {}).get("Definition", {}) or {}
        run = next((state for state in definition.get("States", {}).values() if paths.runs_task(state)), None)
        if run is None or machine_id not in owners:
            continue
        name = owners[machine_id]
        own = [each for each_id, each in resources.items() if owners.get(each_id) == name]
        once, again = paths.of_run(definition)
        schedules, after, others = _triggers(own, owners)
        job = jobfile.jobs.get(name)
        found[name] = Work(
            name=name,
            task=_task(run, resources),
            timeout=timedelta(seconds=run["TimeoutSeconds"]) if "TimeoutSeconds" in run else None,
            attempts=job.retry.attempts if job else 1,
            transitions=once,
            again=again,
            dispatched={kind: paths.of_start(dispatching, kind) for kind in ("schedule", "upload", "event", "after")},
            schedules=tuple(schedules),
            after=tuple(after),
            others=tuple(others),
            kept=timedelta(days=_kept(own)),
        )
    return found


def _owner(resource: Resource) -> str:
    """The job that a resource belongs to; empty for what is everybody's."""
    about = str(resource.get("Metadata", {}).get("Wherry", {}).get("about", ""))
    return about.removeprefix(_JOB).partition(": ")[0] if about.startswith(_JOB) else ""


def _task(run: Mapping[str, Any], resources: Mapping[str, Resource]) -> Task:
    arguments = run.get("Arguments", {})
    named = arguments.get("TaskDefinition", {})
    definition = resources.get(named.get("Ref", ""), {}).get("Properties", {}) if isinstance(named, Mapping) else {}
    strategy = json.dumps(arguments.get("CapacityProviderStrategy", ""))
    capacity = "fargate-spot" if "FARGATE_SPOT" in strategy else "fargate"
    if "EC2" in definition.get("RequiresCompatibilities", ()) or arguments.get("LaunchType") == "EC2":
        capacity = "ec2"
    network = arguments.get("NetworkConfiguration", {}).get("AwsvpcConfiguration", {})
    secrets = sum(len(each.get("Secrets", ())) for each in definition.get("ContainerDefinitions", ()))
    return Task(
        cpu=Decimal(str(definition.get("Cpu", 256))) / 1024,
        memory=Decimal(str(definition.get("Memory", 512))) / 1024,
        ephemeral=int(definition.get("EphemeralStorage", {}).get("SizeInGiB", 20)),
        arm=definition.get("RuntimePlatform", {}).get("CpuArchitecture") == "ARM64",
        capacity=capacity,
        public_ip=network.get("AssignPublicIp") == "ENABLED",
        secrets=secrets,
    )


def _triggers(own: list[Resource], owners: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """A job's schedules, the jobs that it follows, and the kinds of its other triggers."""
    schedules, after, others = [], [], []
    for resource in own:
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Scheduler::Schedule" and properties.get("State", "ENABLED") == "ENABLED":
            schedules.append((properties["ScheduleExpression"], properties.get("ScheduleExpressionTimezone", "UTC")))
        elif resource["Type"] == "AWS::Events::Rule":
            pattern = properties.get("EventPattern", {})
            pattern = json.loads(pattern) if isinstance(pattern, str) else pattern
            machines = pattern.get("detail", {}).get("stateMachineArn", ()) if isinstance(pattern, Mapping) else ()
            before = [owners.get(each["Ref"], "") for each in machines if isinstance(each, Mapping) and "Ref" in each]
            after += before
            if not before:
                others.append("upload" if pattern.get("source") == ["aws.s3"] else "event")
    return schedules, after, list(dict.fromkeys(others))


def _kept(own: list[Resource]) -> int:
    """Days."""
    groups = (each["Properties"] for each in own if each["Type"] == "AWS::Logs::LogGroup")
    return max((int(group.get("RetentionInDays", _KEPT)) for group in groups), default=_KEPT)
