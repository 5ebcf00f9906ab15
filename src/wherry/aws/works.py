"""The jobs that a template makes, as far as they are billed: tasks, ways through machines, triggers. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from wherry.aws import paths
from wherry.cost.deployment import Task, Work
from wherry.model import JobFile

Resource = Mapping[str, Any]

#: What belongs to a job says so (`Metadata.Wherry.about`).
_JOB = "job "
_KINDS = ("schedule", "upload", "event", "after")
#: Days.
_KEPT = 30
#: ECS takes `1024` as well as `1 vCPU` (API Reference, RegisterTaskDefinition, `cpu` and `memory`).
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(vcpu|gb)?", re.IGNORECASE)


def works_of(jobfile: JobFile, resources: Mapping[str, Resource]) -> dict[str, Work]:
    """The jobs that the resources of an environment make; of the job file only attempts are asked."""
    found = {}
    dispatching = resources.get("Dispatcher", {}).get("Properties", {}).get("Definition", {})
    owners = {name: owner for name, each in resources.items() if (owner := owner_of(each))}
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
            task=task_of(run.get("Arguments", {}), resources),
            timeout=timedelta(seconds=run["TimeoutSeconds"]) if "TimeoutSeconds" in run else None,
            attempts=job.retry.attempts if job else 1,
            transitions=once,
            again=again,
            dispatched={kind: paths.of_start(dispatching, kind) for kind in _KINDS},
            schedules=tuple(schedules),
            after=tuple(after),
            others=tuple(others),
            kept=timedelta(days=_kept(resources.values())),
        )
    return found


def owner_of(resource: Resource) -> str:
    """The job that a resource belongs to; empty for what is everybody's."""
    about = str(resource.get("Metadata", {}).get("Wherry", {}).get("about", ""))
    return about.removeprefix(_JOB).partition(": ")[0] if about.startswith(_JOB) else ""


def task_of(arguments: Mapping[str, Any], resources: Mapping[str, Resource]) -> Task:
    """The task that a call of RunTask, or a service, starts."""
    named = arguments.get("TaskDefinition", {})
    definition = resources.get(named.get("Ref", ""), {}).get("Properties", {}) if isinstance(named, Mapping) else {}
    strategy = json.dumps(arguments.get("CapacityProviderStrategy", ""))
    capacity = "fargate-spot" if "FARGATE_SPOT" in strategy else "fargate"
    if "EC2" in definition.get("RequiresCompatibilities", ()) or arguments.get("LaunchType") == "EC2":
        capacity = "ec2"
    network = arguments.get("NetworkConfiguration", {}).get("AwsvpcConfiguration", {})
    containers = definition.get("ContainerDefinitions", ())
    return Task(
        cpu=_size(definition, "Cpu", 256),
        memory=_size(definition, "Memory", 512),
        ephemeral=int(definition.get("EphemeralStorage", {}).get("SizeInGiB", 20)),
        arm=definition.get("RuntimePlatform", {}).get("CpuArchitecture") == "ARM64",
        capacity=capacity,
        public_ip=network.get("AssignPublicIp") == "ENABLED",
        secrets=sum(len(each.get("Secrets", ())) for each in containers),
    )


def _size(definition: Mapping[str, Any], name: str, least: int) -> Decimal:
    """The task's vCPUs or GB; where it says nothing, as on EC2, those of its containers together."""
    written = _SIZE.fullmatch(str(definition.get(name, "")).strip())
    if written:
        return Decimal(written[1]) / (1 if written[2] else 1024)
    containers = sum(int(each.get(name, 0)) for each in definition.get("ContainerDefinitions", ()))
    return Decimal(containers or least) / 1024


def _triggers(own: list[Resource], owners: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """A job's schedules, the jobs that it follows, and the kinds of its other triggers."""
    schedules, after, others = [], [], []
    for resource in own:
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Scheduler::Schedule":
            if properties.get("State", "ENABLED") != "ENABLED" or properties["Target"]["Arn"] == {"Ref": "Watch"}:
                continue  # it starts nothing, or looks whether another one has
            schedules.append((properties["ScheduleExpression"], properties.get("ScheduleExpressionTimezone", "UTC")))
        elif resource["Type"] == "AWS::Events::Rule":
            pattern = properties.get("EventPattern", {})
            pattern = json.loads(pattern) if isinstance(pattern, str) else pattern
            machines = pattern.get("detail", {}).get("stateMachineArn", ()) if isinstance(pattern, Mapping) else ()
            before = [owners.get(each["Ref"], "") for each in machines if isinstance(each, Mapping) and "Ref" in each]
            after += before
            if not before:
                others.append("upload" if pattern.get("source") == ["aws.s3"] else "event")
        elif resource["Type"] == "AWS::Lambda::Function":
            others.append("invoke")
        elif resource["Type"] == "AWS::ECS::Service":
            others.append("queue")
    return schedules, after, list(dict.fromkeys(others))


def _kept(resources: Iterable[Resource]) -> int:
    """Days, the same for all logs of an environment."""
    groups = (each["Properties"] for each in resources if each["Type"] == "AWS::Logs::LogGroup")
    return max((int(group.get("RetentionInDays", _KEPT)) for group in groups), default=_KEPT)
