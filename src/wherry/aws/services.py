"""The workers of a queue: a service of ECS, and the task that it runs 0 to `max` of. Pure.

A service's number of tasks is not in the template: left out it is one at first, which shows at the first deploy whether
a worker's task comes up at all (its image, secrets, the way out), and afterwards a deploy leaves it as it is (ECS API
Reference, CreateService, UpdateService). A command that starts and then exits is no failure to the circuit breaker: it
counts tasks that do not come to run (Deployment, `failedTasks`).

Sources: ECS Developer Guide, "Service definition parameters", "Protect your tasks from being terminated by scale-in";
CloudFormation Template Reference, "AWS::ECS::Service ForceNewDeployment".
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from wherry.agent import settings
from wherry.aws import agents, capacity, overrides, owntask, policy, queues, scaling
from wherry.aws.names import Names
from wherry.aws.policy import arn, sub
from wherry.aws.storage import Resource, resource
from wherry.messages import QUEUE_URL
from wherry.model import Environment, Job, JobFile, Queue, QueueTrigger

_STRATEGY = {"fargate": "FARGATE", "fargate-spot": "FARGATE_SPOT"}
Definition = dict[str, Any]


def workers(
    jobfile: JobFile,
    environment: Environment,
    job: Job,
    job_id: str,
    definition: Mapping[str, Any],
    where: dict[str, Any],
    after: list[str],
) -> dict[str, Resource]:
    """What a job's queue triggers need besides its machine.

    `definition` is that of the job's runs, roles included; `where` the NetworkConfiguration of its tasks; `after` the
    logical ids of what has to be there before a task can start, and as long as one ends: a service starts one at once.
    """
    names = Names(app=jobfile.app, environment=environment.name)
    found: dict[str, Resource] = {}
    for trigger in job.triggers:
        if isinstance(trigger, QueueTrigger):
            queue = jobfile.queues[trigger.queue]
            about = f"job {job.name}: its workers at queue {queue.name}"
            worker_id = worker_id_of(job_id, queue.name)
            task = _task(jobfile, environment, names, job, trigger, definition)
            found[f"{worker_id}Task"] = resource(f"{about}: their task", "AWS::ECS::TaskDefinition", task)
            found[worker_id] = resource(
                about,
                "AWS::ECS::Service",
                _service(
                    environment,
                    names,
                    job,
                    queue,
                    worker_id,
                    capacity.network_of(environment, task["NetworkMode"], where),
                ),
                DependsOn=after,
            )
            found |= scaling.scaling(environment, names, job, queue, trigger, worker_id)
    return found


def worker_id_of(job_id: str, queue: str) -> str:
    """The logical id of the service of the workers that a job has at a queue."""
    return f"{job_id}At{queues.queue_id(queue)}"


def may(jobfile: JobFile, environment: Environment, job: Job, names: Names) -> list[policy.Statement]:
    """What a job may do for its queue triggers' sake, and what `sends` grants."""
    found: list[policy.Statement] = []
    sends = [arn("sqs", names.queue(name)) for name in sorted(set(job.sends))]
    asks = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    if sends:
        found.append(policy.allow([*asks, "sqs:SendMessage"], sends))
    for trigger in job.triggers:
        if isinstance(trigger, QueueTrigger):
            queue = jobfile.queues[trigger.queue]
            take = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", *asks, "sqs:ReceiveMessage"]
            found.append(policy.allow(take, arn("sqs", names.queue(queue.name))))
            found += _may_read(jobfile, environment, queue, names)
    at_queues = [trigger for trigger in job.triggers if isinstance(trigger, QueueTrigger)]
    if at_queues:
        found.append(_may_stay(names))
    if any(trigger.is_managed for trigger in at_queues):
        found += _may_work(job, names)
    return found


def _may_read(jobfile: JobFile, environment: Environment, queue: Queue, names: Names) -> list[policy.Statement]:
    """The objects that a queue's messages tell of, and whether they are still there.

    Who may not list a bucket is told of a missing object that it is forbidden. What S3 asks about then is not a list,
    so a condition on its prefix would never hold.
    """
    if queue.feed is None or queue.feed.bucket is None:
        return []
    bucket = names.bucket_sub(jobfile.buckets[queue.feed.bucket], environment)
    # what stands for other characters in an ARN, and `$`, which begins IAM's variables, are any one character there
    prefix, suffix = (
        "".join("?" if each in "*?$" else each for each in text) for text in (queue.feed.prefix, queue.feed.suffix)
    )
    return policy.reads([bucket], f"{prefix}*{suffix}")


def _may_work(job: Job, names: Names) -> list[policy.Statement]:
    """What wherry's worker needs: records of runs, and who is to be stopped."""
    work = f"arn:${{AWS::Partition}}:s3:::{names.work_bucket_sub}"
    return [
        policy.allow(
            ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"], sub(f"{work}/{settings.RECORDS}/{job.name}/*")
        ),
        policy.allow(["s3:GetObject"], sub(f"{work}/{settings.STOPS}/{job.name}/*")),
    ]


def _may_stay(names: Names) -> policy.Statement:
    """Not to be stopped while it works: wherry's worker asks for that, and a command that polls by itself may."""
    return policy.allow(["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"], arn("ecs", f"task/{names.cluster}/*"))


def _service(
    environment: Environment, names: Names, job: Job, queue: Queue, worker_id: str, network: dict[str, Any] | None
) -> dict[str, Any]:
    provider = _STRATEGY.get(environment.capacity or "fargate", names.capacity_provider)
    return {
        "ServiceName": names.service(job.name, queue.name),
        "Cluster": {"Ref": "Cluster"},
        "TaskDefinition": {"Ref": f"{worker_id}Task"},
        "CapacityProviderStrategy": [{"CapacityProvider": provider, "Weight": 1}],
        # ECS changes it together with a forced deployment alone. One is forced when the nonce changes; what forcing
        # does at other changes is not documented, and each of those that there are begins a deployment anyway.
        "ForceNewDeployment": {"EnableForceNewDeployment": True, "ForceNewDeploymentNonce": provider},
        **({} if network is None else {"NetworkConfiguration": network}),
        "DeploymentConfiguration": {
            # Never more than `max` at once, also while they are changed: those that are not protected go, then others
            # come. A protected worker goes when it has finished.
            "MinimumHealthyPercent": 0,
            "MaximumPercent": 100,
            "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
        },
        # it would stop workers for the sake of an even spread
        "AvailabilityZoneRebalancing": "DISABLED",
    }


def _task(
    jobfile: JobFile,
    environment: Environment,
    names: Names,
    job: Job,
    trigger: QueueTrigger,
    definition: Mapping[str, Any],
) -> Definition:
    """The job's task, with the worker in it or with the queue's URL."""
    made: Definition = copy.deepcopy(dict(definition))
    made["Family"] = names.worker_family(job.name, trigger.queue)
    own = owntask.load(jobfile, job) if job.task_definition else None
    name = owntask.main_of(own) if own else overrides.MAIN
    main = next(each for each in made["ContainerDefinitions"] if each["Name"] == name)
    if own is None:
        # A helper that ends takes its worker along, and ECS starts both anew: what lives for days beside one that is
        # gone would fail every message that waits.
        for each in made["ContainerDefinitions"]:
            each["Essential"] = True
    if trigger.is_managed:
        region = {"Ref": "AWS::Region"}
        text = agents.settings_text(
            job,
            trigger,
            jobfile.queues[trigger.queue],
            buckets={each.name: names.bucket_sub(each, environment) for each in jobfile.buckets.values()},
            queues=queues.urls(jobfile),
            bus=environment.bus.name,
            work_bucket=names.work_bucket_sub,
        )
        main.pop("Command", None)
        main["EntryPoint"] = list(settings.ENTRY_POINT)
        given = {"AWS_DEFAULT_REGION": region, "AWS_REGION": region, settings.VARIABLE: text}
    else:
        given = {each["Name"]: each["Value"] for each in main.get("Environment", ())}
        given[QUEUE_URL] = {"Ref": queues.queue_id(trigger.queue)}
    main["Environment"] = [{"Name": each, "Value": given[each]} for each in sorted(given)]
    main.setdefault("StopTimeout", settings.STOP_TIMEOUT)
    return made
