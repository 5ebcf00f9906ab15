"""From the job file to CloudFormation: pure and deterministic, one template for an app in an environment.

The stack of what runs comes after a small base stack (`base_template`), because images must be in their repositories
before anything refers to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from wherry.aws import (
    alerting,
    buses,
    capacity,
    dashboard,
    feeding,
    hosts,
    jobroles,
    jobs,
    queues,
    starting,
    storage,
    tasks,
    triggers,
    waking,
)
from wherry.aws.given import Given
from wherry.aws.names import Names
from wherry.aws.network import network
from wherry.aws.policy import sub
from wherry.aws.refusals import refuse_unsupported
from wherry.aws.storage import Resource, resource
from wherry.aws.template import refuse_too_large
from wherry.model import Environment, Job, JobFile

Template = dict[str, Any]

#: So many images of a job are kept in its repository.
_IMAGES = 10


def base_template(jobfile: JobFile, environment: Environment) -> Template:
    """What must be there before the rest: the work bucket, and a repository for each image that is built."""
    refuse_unsupported(jobfile, environment)
    names = Names(app=jobfile.app, environment=environment.name)
    resources = {"WorkBucket": storage.work_bucket(names)}
    ids = logical_ids(jobfile)
    for job in jobfile.jobs.values():
        if tasks.builds_image(job) and environment.registry is None:
            resources[f"{ids[job.name]}Images"] = _repository(names, job)
    return _template(jobfile, environment, "what must be there before", resources)


def compile_template(jobfile: JobFile, environment: Environment, given: Given) -> Template:
    """Everything that runs. Raises Unsupported naming every part of the job file that AWS cannot express."""
    refuse_unsupported(jobfile, environment, given.instance)
    names = Names(app=jobfile.app, environment=environment.name)
    ids = logical_ids(jobfile)
    resources: dict[str, Resource] = {}
    parts, where = network(names.stem, given.network)
    resources |= parts
    resources |= _cluster(names, environment)
    resources |= _buckets(jobfile, environment, names)
    resources |= storage.dead_letters(names, names.bus(environment.bus))
    resources |= buses.buses(jobfile, environment, names)
    resources |= queues.queues(jobfile, environment, names)
    resources |= waking.waking(jobfile, names, {name: queues.queue_id(name) for name in jobfile.queues})
    for job in jobfile.jobs.values():
        resources |= jobs.job_resources(jobfile, environment, given, job, ids[job.name], where)
    if capacity.on_instances(environment):
        resources |= hosts.hosts(names, environment, where, _repositories(jobfile, environment, resources))
    resources |= starting.starting(jobfile, environment, names, ids)
    resources |= alerting.alerting(jobfile, environment, names, ids)
    if jobfile.jobs:
        resources["Failures"] = triggers.failures(names, told="Watch" in resources)
    if environment.dashboard:
        resources["Dashboard"] = dashboard.dashboard(jobfile, environment, names, ids)
    return _template(jobfile, environment, "jobs", resources)


def logical_ids(jobfile: JobFile) -> dict[str, str]:
    """Job -> what its logical ids begin with: letters and digits alone, different for different jobs."""
    plain = {name: "Job" + "".join(part.capitalize() for part in name.split("-")) for name in jobfile.jobs}
    shared = [each for each in plain.values() if list(plain.values()).count(each) > 1]
    return {
        name: each if each not in shared else each + hashlib.sha256(name.encode()).hexdigest()[:6]
        for name, each in plain.items()
    }


def _template(jobfile: JobFile, environment: Environment, about: str, resources: dict[str, Resource]) -> Template:
    template: Template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{jobfile.app} in {environment.name}: {about} (made by wherry)",
        "Metadata": {"Wherry": {"app": jobfile.app, "environment": environment.name}},
        "Resources": resources,
    }
    refuse_too_large(template)
    return template


def _cluster(names: Names, environment: Environment) -> dict[str, Resource]:
    """The cluster, and what it runs tasks on.

    The latter is a resource of its own: it needs the provider, which needs the instances, which need the cluster.
    Fargate is always among it, for runs that began before the environment had instances.
    """
    providers: list[Any] = ["FARGATE", "FARGATE_SPOT"]
    providers += [{"Ref": hosts.PROVIDER}] if capacity.on_instances(environment) else []
    return {
        "Cluster": resource("where the tasks run", "AWS::ECS::Cluster", {"ClusterName": names.cluster}),
        jobs.READY: resource(
            "what the tasks run on",
            "AWS::ECS::ClusterCapacityProviderAssociations",
            {
                "Cluster": {"Ref": "Cluster"},
                "CapacityProviders": providers,
                "DefaultCapacityProviderStrategy": [],
            },
        ),
    }


def _repositories(jobfile: JobFile, environment: Environment, resources: Mapping[str, Resource]) -> set[str]:
    """The ECR repositories that images of the stack's tasks come from; those that wherry pushes to are one pattern."""
    names = Names(app=jobfile.app, environment=environment.name)
    found: set[str] = set()
    for job_id, job in zip(logical_ids(jobfile).values(), jobfile.jobs.values(), strict=True):
        containers = resources[f"{job_id}Task"]["Properties"]["ContainerDefinitions"]
        pulled = jobroles.repositories(containers)
        if tasks.builds_image(job) and environment.registry is None:
            pulled -= jobroles.repositories(containers[:1])
            pulled.add(jobroles.own_repository(names.repository("*")))
        found |= pulled
    return found


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
    found = {}
    ids = {name: queues.queue_id(name) for name in jobfile.queues}
    watched = feeding.watched(jobfile)
    for each in jobfile.buckets.values():
        if each.existing is None:
            told = feeding.notifications(jobfile, each.name, ids)
            name = sub(names.bucket_sub(each, environment))
            made = storage.bucket(f"bucket {each.name}", name, events=each.name in watched, told=told)
            if told:  # S3 sends a test message at once, and takes no queue that refuses it
                made["DependsOn"] = [queues.policy_id(queue) for queue in feeding.told_by(jobfile, each.name)]
            found[_bucket_id(each.name)] = made
    return found


def _bucket_id(name: str) -> str:
    plain = "".join(part.capitalize() for part in name.replace(".", "-").split("-"))
    return f"Bucket{plain}{hashlib.sha256(name.encode()).hexdigest()[:4]}"
