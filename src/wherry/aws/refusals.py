"""What the job file can say and AWS (or this version of wherry on AWS) cannot do: refused by name, never ignored."""

from __future__ import annotations

import linecache
from collections.abc import Iterator

from wherry import schedule
from wherry.aws import dashboard, owntask, placing, waiting
from wherry.aws.instances import Instance
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
#: Found: dotted path, what is said of it, what to do.
Found = tuple[str, str, str]


def refuse_sizes(jobfile: JobFile) -> None:
    """Raise Unsupported naming the jobs that an environment of the file on AWS has no size for."""
    on_aws = [each for each in jobfile.environments.values() if each.name != "local"]
    found = [each for job in jobfile.jobs.values() for one in on_aws for each in placing.of_size(jobfile, one, job)]
    if found:
        raise Unsupported([_problem(jobfile, *each) for each in dict.fromkeys(found)])


def refuse_unsupported(jobfile: JobFile, environment: Environment, instance: Instance | None = None) -> None:
    """Raise Unsupported naming everything that this environment would ignore or get wrong.

    `instance` is what EC2 says of the instances' type, where it was asked.
    """
    found = [*_of_environment(environment), *_of_dashboard(jobfile, environment)]
    found += placing.of_instances(environment, instance)
    found += waiting.of_queues(jobfile, environment)
    for job in jobfile.jobs.values():
        found += _of_job(jobfile, environment, job, instance)
    if found:
        raise Unsupported([_problem(jobfile, *each) for each in found])


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
    if job.task_definition is not None:
        yield from _of_own_definition(jobfile, job)
    yield from placing.of_network(jobfile, environment, job)
    yield from placing.of_size(jobfile, environment, job, instance)


def _of_schedule(job: Job, trigger: ScheduleTrigger, path: str) -> Iterator[Found]:
    parsed = schedule.parse(trigger.expression)
    try:
        parsed.to_eventbridge()
    except ScheduleError as error:
        yield f"{path}.schedule", f"job `{job.name}`: {error.message}", error.hint or "write two triggers"


def _of_own_definition(jobfile: JobFile, job: Job) -> Iterator[Found]:
    base = f"jobs.{job.name}"
    definition = owntask.load(jobfile, job)
    if not owntask.main_of(definition):
        yield f"{base}.task_definition", f"`{job.task_definition}` has no container", "it needs `containerDefinitions`"
    for key, what in (("reads", job.reads), ("writes", job.writes), ("sends", job.sends), ("emits", job.emits)):
        if what and definition.get("taskRoleArn"):
            said = f"job `{job.name}`: its task definition names its own `taskRoleArn`, so `{key}` would grant nothing"
            yield f"{base}.{key}", said, f"take `taskRoleArn` out of `{job.task_definition}`, or `{key}` out of the job"
    if job.helpers:
        said = f"job `{job.name}`: the helpers of a task definition stand in its file"
        yield f"{base}.helpers", said, f"add them to `{job.task_definition}`"
    for key in ("cpu", "memory"):
        if f"{base}.{key}" in jobfile.places:
            said = f"job `{job.name}`: the size of a task definition stands in its file"
            yield f"{base}.{key}", said, f"change `{key}` in `{job.task_definition}`"
