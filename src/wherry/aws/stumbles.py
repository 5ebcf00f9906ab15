"""Why nobody takes what waits in a queue: how the last of its workers ended, in ECS's words and in ours.

ECS starts another worker again and again, later each time (ECS Developer Guide, "Service throttle logic"), and knows a
task for an hour after its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from wherry import lifecycle, reasons
from wherry.aws import owntask
from wherry.aws.outcomes import MAIN, container_of, not_started, outcome_of, pascal
from wherry.aws.runs import Runs
from wherry.aws.site import Site
from wherry.model import Ending, Job, Outcome
from wherry.target import Stumble

#: ListTasks gives so many, and DescribeTasks takes them.
_TASKS = 100
#: A worker that was told to go has not stumbled: scale-in and deploys, and a person.
_TOLD = ("ServiceSchedulerInitiated", "UserInitiated")
_REMEMBERED = timedelta(hours=1)


def stumble_of(site: Site, job: Job, service: Mapping[str, Any]) -> Stumble | None:
    """How the last worker of a service ended (this as ECS describes it); None when it was told to, or nobody knows."""
    task = _last(site, str(service["serviceName"]))
    if not task:
        return _unplaced(site, job, service)
    if task.get("StopCode") in _TOLD:
        return None
    definition = Runs(site).definition(str(task.get("TaskDefinitionArn") or ""))
    main = owntask.main_of(definition) or MAIN
    return _stumble(job, outcome_of(task, main), task["StoppedAt"].astimezone(UTC), _log(site, definition, task, main))


def _last(site: Site, service: str) -> Mapping[str, Any]:
    """The worker that stopped last, as far as ECS knows."""
    where = {"cluster": site.names.cluster}
    listed = site.aws.call(
        "ecs", "list_tasks", **where, serviceName=service, desiredStatus="STOPPED", maxResults=_TASKS
    )["taskArns"]
    if not listed:
        return {}
    tasks = pascal(site.aws.call("ecs", "describe_tasks", **where, tasks=listed)["tasks"])
    return max((each for each in tasks if each.get("StoppedAt")), key=lambda each: each["StoppedAt"], default={})


def _unplaced(site: Site, job: Job, service: Mapping[str, Any]) -> Stumble | None:
    """What keeps ECS from making a task at all: it says so in the service's events, the newest first."""
    event: Mapping[str, Any] = next(iter(service.get("events") or ()), {"message": ""})
    said = str(event["message"])
    if "unable to" not in said or site.clock() - event["createdAt"] > _REMEMBERED:
        return None
    at = event["createdAt"].astimezone(UTC)
    return _stumble(job, not_started(said.partition(") ")[2] or said), at, "")


def _stumble(job: Job, outcome: Outcome, at: datetime, log: str) -> Stumble:
    meaning = reasons.meaning(outcome.reason, job.name) if outcome.ending is Ending.COULD_NOT_START else None
    reason = lifecycle.describe(outcome)
    return Stumble(
        at=at,
        what=f"could not start: {meaning.what}" if meaning else reason,
        remedy=meaning.remedy if meaning else _remedy(job, outcome),
        reason=reason,
        log=log,
    )


def _remedy(job: Job, outcome: Outcome) -> str:
    if outcome.ending is Ending.OUT_OF_MEMORY:
        return f"raise `memory` of job `{job.name}`"
    if outcome.ending is Ending.EXITED and outcome.exit_code == 0:
        return "a command that polls by itself goes on until it gets SIGTERM"
    return reasons.CODES.get(outcome.exit_code or 0, "").format(job=job.name)


def _log(site: Site, definition: Mapping[str, Any], task: Mapping[str, Any], main: str) -> str:
    """What shows the container's log; empty for one that has not begun, and for a log that is elsewhere."""
    described = definition.get("containerDefinitions") or ()
    found: Mapping[str, Any] = next((each for each in described if each["name"] == main), {})
    options = (found.get("logConfiguration") or {}).get("options") or {}
    if container_of(task, main).get("ExitCode") is None or "awslogs-stream-prefix" not in options:
        return ""
    stream = f"{options['awslogs-stream-prefix']}/{main}/{task['TaskArn'].rpartition('/')[2]}"
    group = options["awslogs-group"]
    return f"aws logs tail {group} --log-stream-names {stream} --since 2h --region {site.names.region}"
