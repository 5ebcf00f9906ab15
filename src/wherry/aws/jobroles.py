"""What a job's roles may do: the one that starts its tasks, and the one that its code has. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.aws import policy
from wherry.aws.given import Given
from wherry.aws.names import Names
from wherry.aws.policy import arn, sub
from wherry.model import Environment, Job, JobFile

#: The ARN of a repository, for `Fn::Sub`.
_ECR = "arn:${{AWS::Partition}}:ecr:{region}:{account}:repository/{name}"


def execution(definition: Mapping[str, Any], given: Given, job: Job, own: str | None) -> list[policy.Statement]:
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
    images = [container.get("Image") for container in definition["ContainerDefinitions"]]
    repositories = {found for image in images if (found := _repository_arn(image))}
    if own is not None:
        repositories.add(_ECR.format(region="${AWS::Region}", account="${AWS::AccountId}", name=own))
    if repositories:
        statements += policy.pull([sub(each) for each in sorted(repositories)])
    if job.secrets:
        secrets = [policy.secret_arn(name, given.secrets.get(name)) for name in sorted(set(job.secrets.values()))]
        statements.append(policy.allow(["secretsmanager:GetSecretValue"], secrets))
    return statements


def _repository_arn(image: Any) -> str | None:
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
    statements = []
    for bucket in job.reads:
        statements += policy.reads(names.bucket_sub(jobfile.buckets[bucket], environment))
    for bucket in job.writes:
        statements += policy.writes(names.bucket_sub(jobfile.buckets[bucket], environment))
    if job.secrets:
        secrets = [policy.secret_arn(name, given.secrets.get(name)) for name in sorted(set(job.secrets.values()))]
        statements.append(policy.allow(["secretsmanager:GetSecretValue"], secrets))
    large = sub(f"arn:${{AWS::Partition}}:s3:::{names.work_bucket_sub}/events/{job.name}/*")
    statements.append(policy.allow(["s3:GetObject"], large))
    return statements


def may_store(job: Job, names: Names) -> policy.Statement:
    """What the machine may do for events that are too large for a task's overrides."""
    return policy.allow(
        ["s3:PutObject"], sub(f"arn:${{AWS::Partition}}:s3:::{names.work_bucket_sub}/events/{job.name}/*")
    )
