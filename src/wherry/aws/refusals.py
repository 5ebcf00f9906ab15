"""What the job file can say and AWS (or this version of wherry on AWS) cannot do: refused by name, never ignored."""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from wherry import schedule
from wherry.aws import dashboard, jobroles, owntask, placing, policy, waiting
from wherry.aws.given import Given
from wherry.aws.instances import Instance
from wherry.aws.names import Names
from wherry.errors import Problem, ScheduleError, Unsupported
from wherry.model import (
    Environment,
    EventTrigger,
    Job,
    JobFile,
    QueueTrigger,
    ScheduleTrigger,
)

_MOST_TOPICS = 5
#: Stands for the region where the job file names none.
_REGION = "eu-central-1"
#: Found: dotted path, what is said of it, what to do.
Found = tuple[str, str, str]


def refuse_unsupported(jobfile: JobFile, environment: Environment, instance: Instance | None = None) -> None:
    """Raise Unsupported naming everything that this environment would ignore or get wrong.

    `instance` is what EC2 says of the instances' type, where it was asked.
    """
    _raise(jobfile, _of_all(jobfile, environment, instance))


def refuse_anywhere(jobfile: JobFile) -> None:
    """As `refuse_unsupported`, of all environments of the file on AWS together."""
    there = [each for each in jobfile.environments.values() if each.name != "local"]
    _raise(jobfile, [found for environment in there for found in _of_all(jobfile, environment, None)])


def _raise(jobfile: JobFile, found: list[Found]) -> None:
    if found:
        raise Unsupported([_problem(jobfile, *each) for each in dict.fromkeys(found)])


def _of_all(jobfile: JobFile, environment: Environment, instance: Instance | None) -> list[Found]:
    found = [*_of_environment(environment), *_of_dashboard(jobfile, environment)]
    found += placing.of_instances(environment, instance)
    found += waiting.of_queues(jobfile, environment)
    for job in jobfile.jobs.values():
        found += _of_job(jobfile, environment, job, instance)
    return found


def _problem(jobfile: JobFile, path: str, message: str, hint: str) -> Problem:
    place = jobfile.place(path)
    return Problem(place, message, source=linecache.getline(place.file, place.line).rstrip("\n"), hint=hint)


def _of_environment(environment: Environment) -> Iterator[Found]:
    base = f"environments.{environment.name}"
    for address in environment.alerts:
        if isinstance(address, str) and address.startswith("http://"):
            yield f"{base}.alerts", f"AWS cannot report to `{address}`, which is this machine", "use an `https://` URL"
    yield from _of_topics(environment, f"{base}.alerts")


def _of_dashboard(jobfile: JobFile, environment: Environment) -> Iterator[Found]:
    if environment.dashboard and dashboard.size(jobfile) > dashboard.MOST:
        said = f"a dashboard of CloudWatch has {dashboard.MOST:,} graphs at most; this one would have more"
        yield (
            f"environments.{environment.name}.dashboard",
            said,
            "take `dashboard` out, or put some jobs into another app",
        )


def _of_topics(environment: Environment, path: str) -> Iterator[Found]:
    """Topics that the watch (in the region of the environment) or the alarms (five actions each) cannot reach."""
    addresses = [str(address) for address in environment.alerts]
    topics = [address for address in addresses if address.startswith("arn:")]
    if len(topics) + any(not address.startswith("arn:") for address in addresses) > _MOST_TOPICS:
        said = f"an alarm of CloudWatch reports to {_MOST_TOPICS} topics at most; addresses and URLs have one together"
        yield path, said, "name fewer topics: one of them can have many subscribers"
    for topic in topics:
        if environment.region and topic.split(":")[3] != environment.region:
            yield path, f"`{topic}` is in another region than the environment", f"use a topic in {environment.region}"
        if topic.endswith(".fifo"):
            yield path, f"CloudWatch cannot report to `{topic}`, a FIFO topic", "use a standard topic"


def _of_job(jobfile: JobFile, environment: Environment, job: Job, instance: Instance | None) -> Iterator[Found]:
    base = f"jobs.{job.name}"
    where = f"by environment `{environment.name}`"
    for number, trigger in enumerate(job.triggers):
        path = f"{base}.on.{number}"
        if not isinstance(trigger, QueueTrigger):
            yield from waiting.of_other_trigger(job, path)
        match trigger:
            case QueueTrigger():
                yield from waiting.of_trigger(job, trigger, path)
            case ScheduleTrigger():
                yield from _of_schedule(job, trigger, path)
            case EventTrigger() if waiting.watches_runs(dict(trigger.pattern)):
                said = f"job `{job.name}`: what happens to runs is not on the event bus {where}"
                yield f"{path}.event", said, "`- after: JOB` starts a job when a run of another one has ended"
    yield from _of_own_definition(jobfile, environment, job)
    yield from _of_role(jobfile, environment, job)
    yield from placing.of_network(jobfile, environment, job)
    yield from placing.of_size(jobfile, environment, job, instance)


def _of_schedule(job: Job, trigger: ScheduleTrigger, path: str) -> Iterator[Found]:
    parsed = schedule.parse(trigger.expression)
    try:
        parsed.to_eventbridge()
    except ScheduleError as error:
        yield f"{path}.schedule", f"job `{job.name}`: {error.message}", error.hint or "write two triggers"
    if trigger.window % timedelta(minutes=1):
        yield f"{path}.window", f"job `{job.name}`: EventBridge Scheduler counts windows in minutes", "write `15m`"
    elif isinstance(parsed, schedule.Rate) and trigger.window >= parsed.interval:
        said = f"job `{job.name}`: with this window a firing could come after the next one"
        yield f"{path}.window", said, "make it shorter than the schedule's own interval"


def _of_role(jobfile: JobFile, environment: Environment, job: Job) -> Iterator[Found]:
    """More permissions than a role of IAM takes."""
    statements = jobroles.task(jobfile, environment, Given(), job, Names(app=jobfile.app, environment=environment.name))
    size = policy.length(statements, environment.region or _REGION)
    if size > policy.MOST_CHARACTERS:
        key = max(("reads", "writes", "sends"), key=lambda each: len(getattr(job, each)))
        most = f"{policy.MOST_CHARACTERS:,} characters"
        said = f"job `{job.name}`: a role of IAM has at most {most} of permissions; its own would have {size:,}"
        yield f"jobs.{job.name}.{key}", said, "divide the work between two jobs, or give what it names shorter names"


def _of_own_definition(jobfile: JobFile, environment: Environment, job: Job) -> Iterator[Found]:
    if job.task_definition is None:
        return
    base = f"jobs.{job.name}"
    definition = owntask.load(jobfile, job)
    if not owntask.main_of(definition):
        yield f"{base}.task_definition", f"`{job.task_definition}` has no container", "it needs `containerDefinitions`"
    yield from _of_own_roles(job, definition)
    for group, region in owntask.log_regions(definition):
        if environment.region and region != environment.region:
            said = f"job `{job.name}`: its task definition logs to {region}, and the environment is in another region"
            hint = f'write `"awslogs-region": "{environment.region}"` for `{group}` into `{job.task_definition}`'
            yield f"{base}.task_definition", said, hint
    if job.helpers:
        said = f"job `{job.name}`: the helpers of a task definition stand in its file"
        yield f"{base}.helpers", said, f"add them to `{job.task_definition}`"
    for key in ("cpu", "memory"):
        if f"{base}.{key}" in jobfile.places:
            said = f"job `{job.name}`: the size of a task definition stands in its file"
            yield f"{base}.{key}", said, f"change `{key}` in `{job.task_definition}`"


def _of_own_roles(job: Job, definition: Mapping[str, Any]) -> Iterator[Found]:
    """What the job file would grant to roles that are not wherry's."""
    base = f"jobs.{job.name}"
    for key, what in (("reads", job.reads), ("writes", job.writes), ("sends", job.sends), ("emits", job.emits)):
        if what and definition.get("taskRoleArn"):
            said = f"job `{job.name}`: its task definition names its own `taskRoleArn`, so `{key}` would grant nothing"
            yield f"{base}.{key}", said, f"take `taskRoleArn` out of `{job.task_definition}`, or `{key}` out of the job"
    if job.secrets and definition.get("executionRoleArn"):
        said = f"job `{job.name}`: its task definition names its own `executionRoleArn`, which ECS reads `secrets` with"
        hint = f"take `executionRoleArn` out of `{job.task_definition}`, or write the secrets into that file"
        yield f"{base}.secrets", said, hint
