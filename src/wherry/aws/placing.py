"""Jobs that what an environment runs tasks on has no place for: found before anything is launched. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wherry.aws import capacity, instances, owntask, sizes, tasks
from wherry.aws.instances import Instance
from wherry.aws.sizes import Size
from wherry.model import Environment, Job, JobFile

#: Found: dotted path, what is said of it, what to do.
Found = tuple[str, str, str]
#: The least CPU of a task on EC2 (ECS API Reference, RegisterTaskDefinition, `cpu`).
_LEAST_CPU = 128
#: The least memory of a container (ECS API Reference, ContainerDefinition, `memory`).
_LEAST_MEMORY = 6


def of_instances(environment: Environment, instance: Instance | None) -> Iterator[Found]:
    """Instances that cannot run the images."""
    found = _instance(environment, instance)
    if found is not None and not found.runs(environment.platform):
        said = f"{found.type} instances have {found.architecture} processors, and images are for {environment.platform}"
        other = "linux/arm64" if environment.platform == "linux/amd64" else "linux/amd64"
        yield f"environments.{environment.name}.instances.type", said, f"write `platform: {other}`, or use another type"


def of_size(jobfile: JobFile, environment: Environment, job: Job, instance: Instance | None = None) -> Iterator[Found]:
    """A size that there is no task of, or that no instance has room for."""
    if not capacity.on_instances(environment):
        yield from _on_fargate(jobfile, job)
        return
    own = job.task_definition is not None
    size = owntask.size_of(owntask.load(jobfile, job)) if own else sizes.on_instances(job)
    place = f"jobs.{job.name}.task_definition" if own else f"jobs.{job.name}.{_key(job)}"
    if not own and (size.cpu < _LEAST_CPU or size.memory < _LEAST_MEMORY):
        least = Size(max(size.cpu, _LEAST_CPU), max(size.memory, _LEAST_MEMORY))
        yield place, f"job `{job.name}`: ECS has no task as small as this", f"the nearest size is `{least}`"
    found = _instance(environment, instance)
    if found is not None and (size.cpu > found.room.cpu or size.memory > found.room.memory):
        said = f"job `{job.name}`: its task (`{size}`) does not fit on an instance of type {found.type}"
        yield place, said, f"there is room for `{found.room}`; a larger type goes under `instances: {{type: ...}}`"


def _on_fargate(jobfile: JobFile, job: Job) -> Iterator[Found]:
    if job.task_definition is None:
        if sizes.size_of(job) is None:
            said = f"job `{job.name}`: Fargate has no task of this size"
            yield f"jobs.{job.name}.{_key(job)}", said, f"the nearest size is `{sizes.nearest(job)}`"
        return
    definition = owntask.load(jobfile, job)
    path, cpu, memory = f"jobs.{job.name}.task_definition", definition.get("cpu"), definition.get("memory")
    if not (cpu and memory):
        said = f"job `{job.name}`: a task on Fargate needs a size, and its task definition has none of its own"
        yield path, said, f'write `"cpu": "256", "memory": "512"` into `{job.task_definition}`, beside the containers'
        return
    size = owntask.size_of(definition)
    if size.memory not in sizes.FARGATE.get(size.cpu, ()):
        near = sizes.at_least(size)
        said = f"job `{job.name}`: Fargate has no task of the size in its task definition (`{size}`)"
        yield path, said, f'the nearest is `"cpu": "{near.cpu}", "memory": "{near.memory}"`'


def of_network(jobfile: JobFile, environment: Environment, job: Job) -> Iterator[Found]:
    """A task that what it runs on cannot start, or from which there would be no way out."""
    if job.helpers and capacity.network_mode(environment) != "awsvpc":
        said = f"job `{job.name}`: on EC2 in public subnets a job and its helpers have no `localhost` in common"
        yield f"jobs.{job.name}.helpers", said, _PRIVATE
    if job.task_definition is not None:
        yield from _of_own_definition(environment, job, owntask.load(jobfile, job))


def _of_own_definition(environment: Environment, job: Job, definition: Mapping[str, Any]) -> Iterator[Found]:
    on_instances = capacity.on_instances(environment)
    path = f"jobs.{job.name}.task_definition"
    mode, wanted = owntask.network_mode(environment, definition), definition.get("requiresCompatibilities") or ()
    needed = capacity.compatibility(environment)
    if wanted and needed not in wanted:
        said = f"job `{job.name}`: its task definition is for {' and '.join(wanted)}, not for {needed}"
        yield path, said, f'write `"requiresCompatibilities": ["{needed}"]` into `{job.task_definition}`'
    elif not on_instances and mode != "awsvpc":
        said = f"job `{job.name}`: Fargate has no network mode `{mode}`"
        yield path, said, f'write `"networkMode": "awsvpc"` into `{job.task_definition}`'
    elif on_instances and mode == "awsvpc" and capacity.is_public(environment):
        said = f"job `{job.name}`: on EC2 a task in `awsvpc` mode gets no public address, so it would reach nothing"
        yield path, said, f'write `"networkMode": "bridge"` into `{job.task_definition}`, or {_PRIVATE}'
    platform = definition.get("runtimePlatform") or {}
    system, processor = platform.get("operatingSystemFamily", "LINUX"), platform.get("cpuArchitecture")
    ours = tasks.ARCHITECTURES[environment.platform]
    if on_instances and (system != "LINUX" or processor not in (None, ours)):
        theirs = f"{system} on {processor}" if processor else system
        said = f"job `{job.name}`: its task definition is for {theirs}, and the instances are LINUX on {ours}"
        yield path, said, f"change `runtimePlatform` in `{job.task_definition}`, or the environment's `platform`"


_PRIVATE = "give subnets with a NAT gateway: `network: {subnets: [...], public_ip: false}`"


def _instance(environment: Environment, asked: Instance | None) -> Instance | None:
    if not capacity.on_instances(environment):
        return None
    return asked or instances.known(instances.type_of(environment))


def _key(job: Job) -> str:
    return "memory" if job.memory is not None else "cpu"
