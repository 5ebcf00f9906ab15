"""Bringing an environment to a standstill before what it stands on goes, and what has to be cleared away by hand.

Deleting a machine does not end its executions at once: Step Functions waits for their next step, which after a long
pause between two attempts may be hours away (API Reference, DeleteStateMachine). A cluster with tasks that are still
ending cannot be deleted (ECS API Reference, DeleteCluster).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from wherry.aws import dismissal
from wherry.aws.changes import Template
from wherry.aws.client import AwsError
from wherry.aws.survey import Site

_REASON = "the environment is destroyed"
#: The longest grace that Fargate gives a container, and a minute for its network.
_PATIENCE = 180.0
#: DescribeTasks takes so many at once.
_BATCH = 100


def halt(site: Site, template: Template, tell: Callable[[str], object]) -> None:
    """Stop all runs, workers and tasks, and wait until the tasks are gone."""
    dismissal.dismiss(site, template, tell)
    for run in _runs(site, template):
        tell(f"run {run.rpartition(':')[2]} is stopped")
        with contextlib.suppress(AwsError):  # it has just ended
            site.aws.call("stepfunctions", "stop_execution", executionArn=run, error="Stopped", cause=_REASON)
    for task in tasks(site):
        tell(f"task {task.rpartition('/')[2]} is stopped")
        with contextlib.suppress(AwsError):  # it has just ended
            site.aws.call("ecs", "stop_task", cluster=site.names.cluster, task=task, reason=_REASON)
    patient_until = time.monotonic() + _PATIENCE
    pause = 0.5
    while (ending := _ending(site)) and time.monotonic() < patient_until:
        tell(f"{ending} {'task is' if ending == 1 else 'tasks are'} still ending")
        time.sleep(pause)
        pause = min(6.0, pause * 1.5)


def tasks(site: Site, status: str = "RUNNING") -> Iterator[str]:
    """The tasks in the environment's cluster that are to be in a status; none where the cluster is gone."""
    try:
        yield from site.aws.pages("ecs", "list_tasks", "taskArns", cluster=site.names.cluster, desiredStatus=status)
    except AwsError as error:
        if error.code != "ClusterNotFoundException":
            raise


def clear_definitions(site: Site, template: Template) -> None:
    """Deregister the task definitions that earlier deployments have left for runs that were under way.

    In families that users have named themselves only those with the stack's tags: others may be anybody's.
    """
    prefix = f"{site.names.stem}_"  # no name of an app or a job has an underscore
    ours = list(
        site.aws.pages("ecs", "list_task_definition_families", "families", familyPrefix=prefix, status="ACTIVE")
    )
    resources = template.get("Resources", {}).values()
    named = {str(each["Properties"]["Family"]) for each in resources if each["Type"] == "AWS::ECS::TaskDefinition"}
    for family in [*ours, *sorted(named.difference(ours))]:
        for definition in site.aws.pages(
            "ecs", "list_task_definitions", "taskDefinitionArns", familyPrefix=family, status="ACTIVE"
        ):
            if family.startswith(prefix) or _is_tagged(site, definition):
                site.aws.call("ecs", "deregister_task_definition", taskDefinition=definition)


def _is_tagged(site: Site, definition: str) -> bool:
    described = site.aws.call("ecs", "describe_task_definition", taskDefinition=definition, include=["TAGS"])
    return site.tags.items() <= {tag["key"]: tag["value"] for tag in described.get("tags", ())}.items()


def _runs(site: Site, template: Template) -> Iterator[str]:
    """The runs under way. Step Functions lists none of an Express machine: those end by themselves, within minutes."""
    where = f"arn:{site.names.partition}:states:{site.names.region}:{site.names.account}:stateMachine"
    for resource in template.get("Resources", {}).values():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::StepFunctions::StateMachine" and properties.get("StateMachineType") != "EXPRESS":
            arn = f"{where}:{properties['StateMachineName']}"
            try:
                for run in site.aws.pages(
                    "stepfunctions", "list_executions", "executions", stateMachineArn=arn, statusFilter="RUNNING"
                ):
                    yield run["executionArn"]
            except AwsError as error:
                if error.code != "StateMachineDoesNotExist":
                    raise


def _ending(site: Site) -> int:
    """How many tasks have been told to stop and have not yet: a listing names them among those that have."""
    told = [*tasks(site, "STOPPED"), *tasks(site)]
    count = 0
    for first in range(0, len(told), _BATCH):
        answer = site.aws.call("ecs", "describe_tasks", cluster=site.names.cluster, tasks=told[first : first + _BATCH])
        count += sum(task.get("lastStatus") != "STOPPED" for task in answer["tasks"])
    return count
