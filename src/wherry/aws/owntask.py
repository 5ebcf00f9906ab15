"""The user's own `task-definition.json`, taken as it is: from the API's spelling to CloudFormation's, and completed."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

from wherry.aws import capacity, overrides, tasks
from wherry.aws.given import Given
from wherry.aws.names import Names
from wherry.aws.sizes import Size
from wherry.model import Environment, Job, JobFile

#: What `describe-task-definition` adds and nobody may send.
_OUTPUT_ONLY = frozenset(
    ("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt",
     "registeredBy", "deregisteredAt")
)  # fmt: skip
#: Keys below which the user's own names stand.
_FREE = frozenset(("options", "dockerLabels", "driverOpts", "labels"))
#: Spellings that are not merely capitalised.
_SPELLING = {
    "efsVolumeConfiguration": "EFSVolumeConfiguration",
    "fileSystemId": "FilesystemId",
    "iam": "IAM",
    "fsxWindowsFileServerVolumeConfiguration": "FSxWindowsFileServerVolumeConfiguration",
}


def load(jobfile: JobFile, job: Job) -> dict[str, Any]:
    """The file's JSON, which `wherry check` has read before."""
    path = os.path.join(os.path.dirname(jobfile.path), str(job.task_definition))
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    definition: dict[str, Any] = found.get("taskDefinition", found)
    return definition


def main_of(definition: Mapping[str, Any]) -> str:
    """The container that decides: the first essential one."""
    containers = definition.get("containerDefinitions") or [{}]
    chosen = next((each for each in containers if each.get("essential", True)), containers[0])
    return str(chosen.get("name", ""))


def task_definition(
    jobfile: JobFile, environment: Environment, given: Given, job: Job, named: Mapping[str, str]
) -> dict[str, Any]:
    """The properties for CloudFormation: the file's own, and of the job file what it says beyond them."""
    definition = load(jobfile, job)
    found: dict[str, Any] = _spelled({key: value for key, value in definition.items() if key not in _OUTPUT_ONLY})
    found.setdefault("Family", Names(app=jobfile.app, environment=environment.name).family(job.name))
    found.setdefault("NetworkMode", network_mode(environment, definition))
    found.setdefault("RequiresCompatibilities", [capacity.compatibility(environment)])
    for name in ("Cpu", "Memory"):
        if name in found:
            found[name] = str(found[name])
    main = next(each for each in found["ContainerDefinitions"] if each["Name"] == main_of(definition))
    _complete(main, job, given, named)
    return found


def network_mode(environment: Environment, definition: Mapping[str, Any]) -> str:
    """The file's network mode, else the one that ECS takes: `bridge` on EC2; on Fargate there is but one."""
    default = "bridge" if capacity.on_instances(environment) else "awsvpc"
    return str(definition.get("networkMode") or default)


def size_of(definition: Mapping[str, Any]) -> Size:
    """What an instance must have room for: the task's own size, else its containers' together.

    A container that names a `memoryReservation` needs no more to be placed (ECS API Reference, ContainerDefinition).
    """
    containers = definition.get("containerDefinitions", ())
    cpu = _units(definition.get("cpu"), 1024) or sum(int(each.get("cpu") or 0) for each in containers)
    parts = [int(each.get("memoryReservation") or each.get("memory") or 0) for each in containers]
    return Size(cpu, _units(definition.get("memory"), 1024) or sum(parts))


def _units(written: Any, scale: int) -> int:
    """`"1024"`, `"1 vCPU"`, `"2GB"` as ECS units or MiB; 0 for nothing, or for what ECS will refuse itself."""
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(vcpu|gb)?\s*", str(written or ""), re.IGNORECASE)
    return math.ceil(float(found[1]) * (scale if found[2] else 1)) if found else 0


def log_groups(definition: Mapping[str, Any]) -> list[str]:
    """The CloudWatch log groups that the file's containers write to."""
    groups = [
        (each.get("logConfiguration") or {}).get("options", {}).get("awslogs-group")
        for each in definition.get("containerDefinitions", ())
        if (each.get("logConfiguration") or {}).get("logDriver") == "awslogs"
    ]
    return sorted({str(group) for group in groups if group})


def log_regions(definition: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The CloudWatch log groups that the file names, each with the region that it names for it."""
    options = [
        (each.get("logConfiguration") or {}).get("options", {})
        for each in definition.get("containerDefinitions", ())
        if (each.get("logConfiguration") or {}).get("logDriver") == "awslogs"
    ]
    written = [each for each in options if "awslogs-region" in each]
    return sorted({(str(each.get("awslogs-group", "")), str(each["awslogs-region"])) for each in written})


def _complete(main: dict[str, Any], job: Job, given: Given, named: Mapping[str, str]) -> None:
    """The main container with the job's variables and secrets; the job file's own word wins."""
    own = {each["Name"]: each["Value"] for each in main.get("Environment", ())}
    merged = tasks.variables(job, {}, named) | own
    merged |= {name: tasks.text(template, named) for name, template in overrides.static_env(job.env).items()}
    hidden = {each["Name"] for each in main.get("Secrets", ())} | set(job.secrets)
    main["Environment"] = [{"Name": name, "Value": merged[name]} for name in sorted(merged) if name not in hidden]
    kept = [each for each in main.get("Secrets", ()) if each["Name"] not in job.secrets]
    if job.secrets:
        main["Secrets"] = kept + tasks.secrets(job, given)["Secrets"]
    main |= tasks.command_of(job.command, named)


def _spelled(node: Any) -> Any:
    """The API's camelCase as CloudFormation's PascalCase, the user's own names as they are; nulls are left out."""
    match node:
        case dict():
            return {
                _SPELLING.get(key, key[:1].upper() + key[1:]): value if key in _FREE else _spelled(value)
                for key, value in node.items()
                if value is not None
            }
        case list():
            return [_spelled(item) for item in node]
        case _:
            return node
