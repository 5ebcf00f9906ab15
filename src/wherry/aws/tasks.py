"""Task definitions: of a job, or the user's own file, completed. Pure.

Source: AWS::ECS::TaskDefinition in the CloudFormation guide, "Task definition parameters" in the ECS Developer Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry import mapping
from wherry.aws import capacity, overrides, sizes
from wherry.aws.given import Given
from wherry.aws.jsonata import is_dynamic, key, queue_key
from wherry.aws.names import Names
from wherry.aws.policy import sub
from wherry.executors.references import registry_of
from wherry.messages import QUEUE_URL
from wherry.model import Environment, Helper, Job, JobFile, QueueTrigger

_PREFIX = "run"
#: The platform of images -> what ECS calls its processors.
ARCHITECTURES = {"linux/amd64": "X86_64", "linux/arm64": "ARM64"}


def builds_image(job: Job) -> bool:
    """True for a job whose image is wherry's to make: from its sources, or by putting the worker into another one."""
    return job.task_definition is None and (job.image is None or has_worker(job))


def has_worker(job: Job) -> bool:
    """True for a job whose messages wherry's own worker takes, which is in its image then."""
    return job.task_definition is None and any(
        isinstance(trigger, QueueTrigger) and trigger.is_managed for trigger in job.triggers
    )


def image_of(jobfile: JobFile, environment: Environment, given: Given, job: Job, helper: Helper | None = None) -> Any:
    """The image of a job or helper: by digest where that is known, else what is known without AWS."""
    if helper is not None and helper.image is not None:
        return given.images.get(f"{job.name}/{helper.name}", helper.image)
    if job.name in given.images:
        return given.images[job.name]
    if job.image is not None and not builds_image(job):
        return job.image
    names = Names(app=jobfile.app, environment=environment.name)
    if environment.registry:
        return f"{names.repository_in(environment.registry, job.name)}:latest"
    host = "${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}"
    return sub(f"{host}/{names.repository(job.name)}:latest")


def task_definition(
    jobfile: JobFile, environment: Environment, given: Given, job: Job, named: Mapping[str, str]
) -> dict[str, Any]:
    """The properties of a job's task definition, without its roles; `named` are values for `Fn::Sub`."""
    size = sizes.on_instances(job) if capacity.on_instances(environment) else sizes.size_of(job)
    names = Names(app=jobfile.app, environment=environment.name)
    main = {
        "Name": overrides.MAIN,
        **_image(jobfile, environment, given, job),
        "Essential": True,
        **command_of(job.command, named),
        **_environment(job, job.env, named),
        **secrets(job, given),
        "LinuxParameters": {"InitProcessEnabled": True},
        "LogConfiguration": _logs(names, job),
    }
    helpers = [
        {
            "Name": helper.name,
            **_image(jobfile, environment, given, job, helper),
            "Essential": False,
            **command_of(helper.command, named),
            **_environment(job, helper.env, named),
            **secrets(job, given),
            "LinuxParameters": {"InitProcessEnabled": True},
            "LogConfiguration": _logs(names, job),
        }
        for helper in job.helpers
    ]
    if helpers:
        main["DependsOn"] = [{"ContainerName": helper.name, "Condition": "START"} for helper in job.helpers]
    return {
        "Family": names.family(job.name),
        "Cpu": str(size.cpu) if size else "256",
        "Memory": str(size.memory) if size else "512",
        "NetworkMode": capacity.network_mode(environment),
        "RequiresCompatibilities": [capacity.compatibility(environment)],
        "RuntimePlatform": {
            "CpuArchitecture": ARCHITECTURES[environment.platform],
            "OperatingSystemFamily": "LINUX",
        },
        "ContainerDefinitions": [main, *helpers],
    }


def _image(
    jobfile: JobFile, environment: Environment, given: Given, job: Job, helper: Helper | None = None
) -> dict[str, Any]:
    """An image, and where it is in the environment's own registry what ECS logs in there with."""
    image = image_of(jobfile, environment, given, job, helper)
    if environment.registry_secret is None or not is_in(environment.registry, image):
        return {"Image": image}
    parameter = _secret(environment.registry_secret, given)
    return {"Image": image, "RepositoryCredentials": {"CredentialsParameter": parameter}}


def is_in(registry: str | None, image: Any) -> bool:
    """True for an image of the registry's host."""
    return registry is not None and isinstance(image, str) and registry_of(image) == registry_of(f"{registry}/x")


def _secret(name: str, given: Given) -> Any:
    """A secret's ARN; one without its last six characters finds the newest secret of that name."""
    partial = f"arn:${{AWS::Partition}}:secretsmanager:${{AWS::Region}}:${{AWS::AccountId}}:secret:{name}"
    return given.secrets.get(name) or sub(partial)


def secrets(job: Job, given: Given) -> dict[str, Any]:
    """The secrets that ECS puts into the environment."""
    if not job.secrets:
        return {}
    found = sorted(job.secrets.items())
    return {"Secrets": [{"Name": variable, "ValueFrom": _secret(name, given)} for variable, name in found]}


def variables(job: Job, env: Mapping[str, str], named: Mapping[str, str]) -> dict[str, Any]:
    """The variables that do not wait for an event, and the facts that every run of the job shares."""
    static = {name: text(template, named) for name, template in overrides.static_env(env).items()}
    facts = {
        "WHERRY_JOB": job.name,
        "AWS_REGION": {"Ref": "AWS::Region"},
        "AWS_DEFAULT_REGION": {"Ref": "AWS::Region"},
        "PYTHONUNBUFFERED": "1",
    }
    polled = [trigger.queue for trigger in job.triggers if isinstance(trigger, QueueTrigger) and not trigger.is_managed]
    if polled:
        facts[QUEUE_URL] = sub(named[queue_key(polled[0])])
    return facts | static


def text(template: mapping.Template, named: Mapping[str, str]) -> Any:
    """A text that names buckets, queues and the bus at most, for CloudFormation."""
    parts = [part if isinstance(part, str) else sub(named[key(part)]) for part in template.parts]
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    if any("${" in part for part in parts if isinstance(part, str)):
        # how `Fn::Sub` takes a literal `${!` that holds another one is not documented
        return {"Fn::Join": ["", parts]}
    return {"Fn::Sub": "".join(part if isinstance(part, str) else part["Fn::Sub"] for part in parts)}


def _environment(job: Job, env: Mapping[str, str], named: Mapping[str, str]) -> dict[str, Any]:
    found = variables(job, env, named)
    return {"Environment": [{"Name": name, "Value": found[name]} for name in sorted(found)]}


def command_of(command: tuple[str, ...] | str, named: Mapping[str, str]) -> dict[str, Any]:
    """The command as far as it is known before a run; what is not known comes as an override.

    Text for the shell takes the place of the image's entry point, a list is given to it, as in `docker run IMAGE ARGS`.
    """
    shell = {"EntryPoint": ["/bin/sh", "-c"]} if isinstance(command, str) else {}
    templates = [mapping.parse(each) for each in ((command,) if isinstance(command, str) else command)]
    if not templates or any(is_dynamic(template) for template in templates):
        return shell
    return shell | {"Command": [text(template, named) for template in templates]}


def _logs(names: Names, job: Job) -> dict[str, Any]:
    """Blocking: a job's last lines are worth more than a moment of its time (since 2025 ECS prefers the other)."""
    return {
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": names.log_group(job.name),
            "awslogs-region": {"Ref": "AWS::Region"},
            "awslogs-stream-prefix": _PREFIX,
            "mode": "blocking",
        },
    }
