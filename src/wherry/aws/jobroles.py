"""What a job's roles may do: the one that starts its tasks, and the one that its code has. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wherry.aws import policy, services
from wherry.aws.given import Given
from wherry.aws.names import Names
from wherry.aws.policy import arn, sub
from wherry.model import Environment, Job, JobFile

#: The ARN of a repository, for `Fn::Sub`.
_ECR = "arn:${{AWS::Partition}}:ecr:{region}:{account}:repository/{name}"


def execution(
    definition: Mapping[str, Any], environment: Environment, given: Given, job: Job, own: str | None
) -> list[policy.Statement]:
    """What ECS needs to start a task: to write its logs, to pull its images, to read its secrets.

    `own` is the name of the repository that the job's image is pushed to, None when it is not in ECR.
    """
    groups = sorted(
        {
            options["awslogs-group"]
            for container in definition["ContainerDefinitions"]
            if (options := container.get("LogConfiguration", {}).get("Options", {})) and "awslogs-group" in options
        }
    )
    statements = []
    if groups:
        resources = [arn("logs", f"log-group:{group}:*") for group in groups]
        statements.append(policy.allow(["logs:CreateLogStream", "logs:PutLogEvents"], resources))
    pulled = repositories(definition["ContainerDefinitions"]) | ({own_repository(own)} if own is not None else set())
    if pulled:
        statements += policy.pull([sub(each) for each in sorted(pulled)])
    ours = _secrets(definition, environment, job)
    if ours:
        secrets = [policy.secret_arn(name, given.secrets.get(name)) for name in sorted(ours)]
        statements.append(policy.allow(["secretsmanager:GetSecretValue"], secrets))
    known = frozenset(given.secrets.get(name) for name in ours)
    statements += [policy.allow([action], found) for action, found in _brought(definition, known) if found]
    return statements


def _secrets(definition: Mapping[str, Any], environment: Environment, job: Job) -> set[str]:
    """The secrets that wherry itself has put into a task definition."""
    found = set(job.secrets.values())
    if environment.registry_secret and job.task_definition is None:
        pulls = any("RepositoryCredentials" in each for each in definition["ContainerDefinitions"])
        found |= {environment.registry_secret} if pulls else set()
    return found


def repositories(containers: Sequence[Mapping[str, Any]]) -> set[str]:
    """The ARNs of the ECR repositories that containers' images come from, for `Fn::Sub`."""
    return {found for container in containers if (found := repository_arn(container.get("Image")))}


def own_repository(name: str) -> str:
    """The ARN of a repository of this account and region, for `Fn::Sub`."""
    return _ECR.format(region="${AWS::Region}", account="${AWS::AccountId}", name=name)


def _brought(definition: Mapping[str, Any], known: frozenset[str | None]) -> Iterator[tuple[str, list[Any]]]:
    """What a user's own task definition names: secrets, parameters, credentials of registries, files of variables.

    `known` are ARNs of secrets that wherry has put into it.
    """
    containers = definition["ContainerDefinitions"]
    named = [str(each["ValueFrom"]) for one in containers for each in one.get("Secrets", ()) if _is_text(each)]
    named += [str(one["RepositoryCredentials"]["CredentialsParameter"]) for one in containers if _has_credentials(one)]
    wanted = sorted({name for name in named if name not in known})
    yield "secretsmanager:GetSecretValue", [_secret(name) for name in wanted if ":secretsmanager:" in name]
    parameters = [name for name in wanted if ":secretsmanager:" not in name]
    found = [each if each.startswith("arn:") else arn("ssm", f"parameter/{each.lstrip('/')}") for each in parameters]
    yield "ssm:GetParameters", found
    files = sorted({str(each["Value"]) for one in containers for each in one.get("EnvironmentFiles", ())})
    yield "s3:GetObject", files
    yield "s3:GetBucketLocation", sorted({each.partition("/")[0] for each in files})


def _is_text(secret: Mapping[str, Any]) -> bool:
    return isinstance(secret.get("ValueFrom"), str)


def _has_credentials(container: Mapping[str, Any]) -> bool:
    return isinstance(container.get("RepositoryCredentials", {}).get("CredentialsParameter"), str)


def _secret(written: str) -> str:
    """A secret's ARN for IAM: without key, stage and version, and with the six characters that belong to it."""
    found = ":".join(written.split(":")[:7])
    return found if re.search(r"-[A-Za-z0-9]{6}$", found) else f"{found}-??????"


def repository_arn(image: Any) -> str | None:
    """The ARN of an image's ECR repository, for `Fn::Sub`; None for images of other registries."""
    text = image["Fn::Sub"] if isinstance(image, dict) else str(image)
    host, _, rest = text.partition("/")
    if ".dkr.ecr." not in host:
        return None
    account, _, more = host.partition(".dkr.ecr.")
    region = "${AWS::Region}" if more.startswith("${") else more.split(".")[0]
    repository = rest.split("@")[0].rsplit(":", 1)[0] if "@" not in rest else rest.split("@")[0].split(":")[0]
    return _ECR.format(region=region, account=account, name=repository)


def task(jobfile: JobFile, environment: Environment, given: Given, job: Job, names: Names) -> list[policy.Statement]:
    """What the code may do: what the job file says, and to read the events that came through the work bucket."""
    read, written = (
        [names.bucket_sub(jobfile.buckets[bucket], environment) for bucket in dict.fromkeys(named)]
        for named in (job.reads, job.writes)
    )
    statements = policy.joined(policy.reads(read) + policy.writes(written))
    if job.secrets:
        statements += policy.asks_for({name: given.secrets.get(name) for name in job.secrets.values()})
    if job.emits:
        statements += policy.emits(environment.bus.name)
    statements += services.may(jobfile, environment, job, names)
    large = sub(f"arn:${{AWS::Partition}}:s3:::{names.work_bucket_sub}/events/{job.name}/*")
    statements.append(policy.allow(["s3:GetObject"], large))
    return statements


def may_store(job: Job, names: Names) -> policy.Statement:
    """What the machine may do for events that are too large for a task's overrides."""
    return policy.allow(
        ["s3:PutObject"], sub(f"arn:${{AWS::Partition}}:s3:::{names.work_bucket_sub}/events/{job.name}/*")
    )
