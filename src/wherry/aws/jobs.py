"""One job as resources: its logs, its roles, its task definition, its run machine and its function. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from wherry import lifecycle
from wherry.aws import (
    capacity,
    invoking,
    jobroles,
    jsonata,
    overrides,
    owntask,
    policy,
    queues,
    services,
    tasks,
)
from wherry.aws.given import Given
from wherry.aws.machine import Surroundings, run_machine
from wherry.aws.names import Names
from wherry.aws.network import ways_out
from wherry.aws.policy import arn, sub
from wherry.aws.storage import Resource, resource
from wherry.model import Environment, InvokeTrigger, Job, JobFile

#: What machines wait for, by its logical id: tasks can be placed once the cluster knows what on.
READY = "CapacityOfCluster"
#: What CloudWatch Logs accepts as retention, in days (PutRetentionPolicy).
_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


def job_resources(
    jobfile: JobFile, environment: Environment, given: Given, job: Job, job_id: str, where: dict[str, Any]
) -> dict[str, Resource]:
    """What a job consists of; `job_id` begins its logical ids, `where` is the NetworkConfiguration of its tasks."""
    names = Names(app=jobfile.app, environment=environment.name)
    known = queues.known(jobfile, environment, names)
    own = owntask.load(jobfile, job) if job.task_definition else None
    make = owntask.task_definition if own else tasks.task_definition
    definition = make(jobfile, environment, given, job, known)
    logs = _logs(jobfile, environment, given, job, job_id, names, own)
    resources = dict(logs)
    pushed = tasks.builds_image(job) and environment.registry is None
    repository = names.repository(job.name) if pushed else None
    roles: list[Any] = []
    for key, suffix, statements in (
        ("ExecutionRoleArn", "ExecutionRole", jobroles.execution(definition, environment, given, job, repository)),
        ("TaskRoleArn", "TaskRole", jobroles.task(jobfile, environment, given, job, names)),
    ):
        if key not in definition:
            what = "what starting it needs" if suffix == "ExecutionRole" else "what it may do"
            resources[f"{job_id}{suffix}"] = policy.role(
                f"job {job.name}: {what}", "ecs-tasks.amazonaws.com", arn("ecs", "*"), statements
            )
            definition[key] = {"Fn::GetAtt": [f"{job_id}{suffix}", "Arn"]}
        definition[key] = policy.role_arn(definition[key])
        roles.append(definition[key])
    # A run that waits, or makes another attempt, does so with the definition that it began with: ECS starts nothing of
    # one that was deregistered (DeregisterTaskDefinition). What is left so is cleared away when the environment goes.
    resources[f"{job_id}Task"] = resource(
        f"job {job.name}: its task",
        "AWS::ECS::TaskDefinition",
        definition,
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Retain",
    )
    statements = policy.run_tasks(definition["Family"], names.cluster, roles)
    statements.append(jobroles.may_store(job, names))
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
    on_instances = capacity.on_instances(environment)
    expressions = {name: _expression(name, text) for name, text in known.items()}
    around = Surroundings(
        cluster={"Fn::GetAtt": ["Cluster", "Arn"]},
        task_definition={"Ref": f"{job_id}Task"},
        network=capacity.network_of(environment, definition["NetworkMode"], where),
        work_bucket=sub(names.work_bucket_sub),
        work_bucket_expression=jsonata.physical(names.work_bucket_sub),
        capacity=names.capacity_provider if on_instances else environment.capacity or "fargate",
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
        DependsOn=READY,
    )
    for trigger in job.triggers:
        if isinstance(trigger, InvokeTrigger):
            resources |= invoking.function(job, trigger, names, job_id, _days(environment))
    after = [READY, *ways_out(given.network), *logs]
    return resources | services.workers(jobfile, environment, job, job_id, definition, where, after)


def _expression(name: str, text: str) -> str:
    """The same value within a machine: a bucket's name is made there, a queue's URL put in by CloudFormation."""
    return f'"{text}"' if name.startswith(jsonata.queue_key("")) else jsonata.physical(text)


def _days(environment: Environment) -> int:
    """How long logs are kept: the next length that CloudWatch has."""
    wanted = environment.keep.age.total_seconds() / 86_400
    return next((each for each in _RETENTIONS if each >= wanted), _RETENTIONS[-1])


def _logs(
    jobfile: JobFile,
    environment: Environment,
    given: Given,
    job: Job,
    job_id: str,
    names: Names,
    own: Mapping[str, Any] | None,
) -> dict[str, Resource]:
    """The log groups of a job, by their logical ids.

    Several jobs may write to one group of a user's own: it goes by its name, so that a template has it once, and keeps
    it whichever of them comes first or goes.
    """
    if own is None:
        return {f"{job_id}Logs": _log_group(f"job {job.name}: its logs", names.log_group(job.name), environment)}
    theirs = {names.log_group(each.name) for each in jobfile.jobs.values() if each.task_definition is None}
    return {
        f"Logs{hashlib.sha256(group.encode()).hexdigest()[:8]}": _log_group(f"the logs in {group}", group, environment)
        for group in owntask.log_groups(own)
        if group not in given.log_groups | theirs
    }


def _log_group(about: str, name: str, environment: Environment) -> Resource:
    return resource(
        about,
        "AWS::Logs::LogGroup",
        {"LogGroupName": name, "RetentionInDays": _days(environment)},
        DeletionPolicy="Delete",
        UpdateReplacePolicy="Delete",
    )
