"""From the job file to CloudFormation: pure and deterministic, one template for an app in an environment.

The stack of what runs comes after a small base stack (`base_template`), because images must be in their repositories
before anything refers to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from wherry import lifecycle
from wherry.aws import jsonata, overrides, owntask, policy, storage, tasks, triggers
from wherry.aws.dispatcher import dispatcher
from wherry.aws.given import Given
from wherry.aws.machine import Surroundings, run_machine
from wherry.aws.names import Names
from wherry.aws.network import network
from wherry.aws.policy import arn, sub
from wherry.aws.refusals import refuse_unsupported
from wherry.aws.storage import Resource, resource
from wherry.model import Environment, Job, JobFile, ScheduleTrigger, UploadTrigger

Template = dict[str, Any]

#: What CloudWatch Logs accepts as retention, in days (PutRetentionPolicy).
_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
#: The ARN of a repository, for `Fn::Sub`.
_ECR = "arn:${{AWS::Partition}}:ecr:{region}:{account}:repository/{name}"
#: So many images of a job are kept in its repository.
_IMAGES = 10


def base_template(jobfile: JobFile, environment: Environment) -> Template:
    """What must be there before the rest: the work bucket, and a repository for each image that is built."""
    refuse_unsupported(jobfile, environment)
    names = Names(app=jobfile.app, environment=environment.name)
    resources = {"WorkBucket": storage.work_bucket(names)}
    ids = logical_ids(jobfile)
    for job in jobfile.jobs.values():
        if builds_image(job) and environment.registry is None:
            resources[f"{ids[job.name]}Images"] = _repository(names, job)
    return _template(jobfile, environment, "what must be there before", resources)


def compile_template(jobfile: JobFile, environment: Environment, given: Given) -> Template:
    """Everything that runs. Raises Unsupported naming every part of the job file that AWS cannot express."""
    refuse_unsupported(jobfile, environment)
    names = Names(app=jobfile.app, environment=environment.name)
    ids = logical_ids(jobfile)
    resources: dict[str, Resource] = {}
    parts, where = network(names.stem, given.network)
    resources |= parts
    resources["Cluster"] = resource(
        "where the tasks run",
        "AWS::ECS::Cluster",
        {"ClusterName": names.cluster, "CapacityProviders": ["FARGATE", "FARGATE_SPOT"]},
    )
    resources |= _buckets(jobfile, environment, names)
    resources |= storage.dead_letters(names, environment.bus)
    for job in jobfile.jobs.values():
        resources |= _job(jobfile, environment, given, job, ids[job.name], where)
    resources |= _starting(jobfile, environment, names, ids)
    addresses = [str(address) for address in environment.alerts]
    resources |= storage.alerts(names, addresses)
    topics: list[Any] = [{"Ref": "Alerts"}] if "Alerts" in resources else []
    topics += [address for address in addresses if address.startswith("arn:")]
    if jobfile.jobs:
        resources["Failures"] = triggers.failures(topics, _machines(jobfile, names, ids))
    return _template(jobfile, environment, "jobs", resources)


def _machines(jobfile: JobFile, names: Names, ids: Mapping[str, str]) -> list[Any]:
    """What the ARNs of this stack's machines are, for a pattern: one prefix, unless a name had to be shortened."""
    stem = f"{names.stem}_"
    if all(names.machine(job).startswith(stem) for job in (*jobfile.jobs, "_dispatcher")):
        return [{"prefix": arn("states", f"stateMachine:{stem}")}]
    found = [{"Ref": f"{ids[job]}Machine"} for job in jobfile.jobs]
    return [*found, arn("states", f"stateMachine:{names.dispatcher}")]


def builds_image(job: Job) -> bool:
    """True for a job whose image is made from its sources: everything that does not bring one."""
    return job.image is None and job.task_definition is None


def logical_ids(jobfile: JobFile) -> dict[str, str]:
    """Job -> what its logical ids begin with: letters and digits alone, different for different jobs."""
    plain = {name: "Job" + "".join(part.capitalize() for part in name.split("-")) for name in jobfile.jobs}
    shared = [each for each in plain.values() if list(plain.values()).count(each) > 1]
    return {
        name: each if each not in shared else each + hashlib.sha256(name.encode()).hexdigest()[:6]
        for name, each in plain.items()
    }


def _template(jobfile: JobFile, environment: Environment, about: str, resources: dict[str, Resource]) -> Template:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{jobfile.app} in {environment.name}: {about} (made by wherry)",
        "Metadata": {"Wherry": {"app": jobfile.app, "environment": environment.name}},
        "Resources": resources,
    }


def _repository(names: Names, job: Job) -> Resource:
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": _IMAGES},
        "action": {"type": "expire"},
    }
    return resource(
        f"job {job.name}: its images",
        "AWS::ECR::Repository",
        {
            "RepositoryName": names.repository(job.name),
            "EmptyOnDelete": True,
            "LifecyclePolicy": {"LifecyclePolicyText": _compact({"rules": [rule]})},
        },
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Delete",
    )


def _compact(value: Any) -> str:
    import json

    return json.dumps(value, separators=(",", ":"))


def _buckets(jobfile: JobFile, environment: Environment, names: Names) -> dict[str, Resource]:
    watched = {
        trigger.bucket
        for job in jobfile.jobs.values()
        for trigger in job.triggers
        if isinstance(trigger, UploadTrigger)
    }
    return {
        _bucket_id(each.name): storage.bucket(
            f"bucket {each.name}", sub(names.bucket_sub(each, environment)), events=each.name in watched
        )
        for each in jobfile.buckets.values()
        if each.existing is None
    }


def _bucket_id(name: str) -> str:
    plain = "".join(part.capitalize() for part in name.replace(".", "-").split("-"))
    return f"Bucket{plain}{hashlib.sha256(name.encode()).hexdigest()[:4]}"


# -------------------------------------------------------------------------------------------------------------- a job


def _job(
    jobfile: JobFile, environment: Environment, given: Given, job: Job, job_id: str, where: dict[str, Any]
) -> dict[str, Resource]:
    names = Names(app=jobfile.app, environment=environment.name)
    buckets = {each.name: names.bucket_sub(each, environment) for each in jobfile.buckets.values()}
    own = owntask.load(jobfile, job) if job.task_definition else None
    make = owntask.task_definition if own else tasks.task_definition
    definition = make(jobfile, environment, given, job, buckets)
    resources = _logs(environment, given, job, job_id, names, own)
    roles: list[Any] = []
    for key, suffix, statements in (
        ("ExecutionRoleArn", "ExecutionRole", _execution(definition, environment, given, job, names)),
        ("TaskRoleArn", "TaskRole", _task_role(jobfile, environment, given, job, names)),
    ):
        if key not in definition:
            what = "what starting it needs" if suffix == "ExecutionRole" else "what it may do"
            resources[f"{job_id}{suffix}"] = policy.role(
                f"job {job.name}: {what}", "ecs-tasks.amazonaws.com", arn("ecs", "*"), statements
            )
            definition[key] = {"Fn::GetAtt": [f"{job_id}{suffix}", "Arn"]}
        roles.append(definition[key])
    resources[f"{job_id}Task"] = resource(f"job {job.name}: its task", "AWS::ECS::TaskDefinition", definition)
    statements = policy.run_tasks(definition["Family"], names.cluster, roles)
    statements.append(_may_store(job, names))
    if lifecycle.limit_of(job) is not None:
        statements.append(
            policy.allow(["states:ListExecutions"], arn("states", f"stateMachine:{names.machine(job.name)}"))
        )
    resources[f"{job_id}MachineRole"] = policy.role(
        f"job {job.name}: what its machine may do",
        "states.amazonaws.com",
        arn("states", f"stateMachine:{names.machine(job.name)}"),
        statements,
    )
    main = owntask.main_of(own) if own else overrides.MAIN
    expressions = {name: jsonata.physical(text) for name, text in buckets.items()}
    around = Surroundings(
        cluster={"Fn::GetAtt": ["Cluster", "Arn"]},
        task_definition={"Ref": f"{job_id}Task"},
        network=where,
        work_bucket=sub(names.work_bucket_sub),
        work_bucket_expression=jsonata.physical(names.work_bucket_sub),
        capacity=environment.capacity or "fargate",
        main=main,
        containers=1 + len(job.helpers),
    )
    resources[f"{job_id}Machine"] = resource(
        f"job {job.name}: how its runs go",
        "AWS::StepFunctions::StateMachine",
        {
            "StateMachineName": names.machine(job.name),
            "StateMachineType": "STANDARD",
            "RoleArn": {"Fn::GetAtt": [f"{job_id}MachineRole", "Arn"]},
            "Definition": run_machine(job, around, overrides.plan_of(job, expressions, main=main)),
        },
    )
    return resources


def _logs(
    environment: Environment, given: Given, job: Job, job_id: str, names: Names, own: Mapping[str, Any] | None
) -> dict[str, Resource]:
    wanted = environment.keep.age.total_seconds() / 86_400
    days = next((each for each in _RETENTIONS if each >= wanted), _RETENTIONS[-1])
    groups = [names.log_group(job.name)] if own is None else owntask.log_groups(own)
    return {
        f"{job_id}Logs{number or ''}": resource(
            f"job {job.name}: its logs",
            "AWS::Logs::LogGroup",
            {"LogGroupName": group, "RetentionInDays": days},
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        )
        for number, group in enumerate(groups)
        if group not in given.log_groups
    }


def _execution(
    definition: Mapping[str, Any], environment: Environment, given: Given, job: Job, names: Names
) -> list[policy.Statement]:
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
    own = builds_image(job) and environment.registry is None
    wanted = {found for image in images if (found := _repository_arn(image))}
    wanted |= (
        {_ECR.format(region="${AWS::Region}", account="${AWS::AccountId}", name=names.repository(job.name))}
        if own
        else set()
    )
    repositories = sorted(wanted)
    if repositories:
        statements += policy.pull([sub(each) for each in repositories])
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


def _task_role(
    jobfile: JobFile, environment: Environment, given: Given, job: Job, names: Names
) -> list[policy.Statement]:
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


def _may_store(job: Job, names: Names) -> policy.Statement:
    return policy.allow(
        ["s3:PutObject"], sub(f"arn:${{AWS::Partition}}:s3:::{names.work_bucket_sub}/events/{job.name}/*")
    )


# ------------------------------------------------------------------------------------------------------ what starts it


def _starting(jobfile: JobFile, environment: Environment, names: Names, ids: Mapping[str, str]) -> dict[str, Resource]:
    """The dispatcher and the triggers; nothing when every job is started by hand."""
    triggered = [job for job in jobfile.jobs.values() if job.triggers]
    if not triggered:
        return {}
    machines = [arn("states", f"stateMachine:{names.machine(job.name)}") for job in triggered]
    found = {
        "DispatcherRole": policy.role(
            "what the dispatcher may do",
            "states.amazonaws.com",
            arn("states", f"stateMachine:{names.dispatcher}"),
            [policy.allow(["states:StartExecution"], machines)],
        ),
        "Dispatcher": resource(
            "starts runs, at most one for each cause",
            "AWS::StepFunctions::StateMachine",
            {
                "StateMachineName": names.dispatcher,
                "StateMachineType": "STANDARD",
                "RoleArn": {"Fn::GetAtt": ["DispatcherRole", "Arn"]},
                "Definition": dispatcher(),
            },
        ),
    }
    start = policy.allow(["states:StartExecution"], {"Ref": "Dispatcher"})
    kinds = [trigger for job in triggered for trigger in job.triggers]
    if any(not isinstance(trigger, ScheduleTrigger) for trigger in kinds):
        found["RulesRole"] = policy.role(
            "what the rules of this stack may do", "events.amazonaws.com", arn("events", "rule/*"), [start]
        )
    if any(isinstance(trigger, ScheduleTrigger) for trigger in kinds):
        found["SchedulesRole"] = policy.role(
            "what the schedules of this stack may do",
            "scheduler.amazonaws.com",
            triggers.schedule_group_arn(names.schedules),
            [start, policy.allow(["sqs:SendMessage"], {"Fn::GetAtt": ["DeadLetters", "Arn"]})],
        )
        found["Schedules"] = resource("the schedules", "AWS::Scheduler::ScheduleGroup", {"Name": names.schedules})
    buckets = {each.name: sub(names.bucket_sub(each, environment)) for each in jobfile.buckets.values()}
    for job in triggered:
        for trigger in job.triggers:
            found |= triggers.trigger_resource(job, trigger, environment, buckets, ids)
    return found
