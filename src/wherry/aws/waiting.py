"""What queues can be here and cannot be on AWS: refused by name. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from wherry import announcements, causes, mapping, pattern
from wherry.aws import feeding, jsonata
from wherry.aws.names import Names
from wherry.model import Environment, Job, JobFile, Queue, QueueTrigger

#: Found: dotted path, what is said of it, what to do.
Found = tuple[str, str, str]


def of_queues(jobfile: JobFile, environment: Environment) -> Iterator[Found]:
    """The queues of a file."""
    names = Names(app=jobfile.app, environment=environment.name)
    for queue in jobfile.queues.values():
        path = f"queues.{queue.name}"
        if names.queue(queue.name) == names.dead_letters:
            said = f"`{names.dead_letters}` is the queue of environment `{environment.name}` for runs that failed"
            yield path, said, "call the queue otherwise"
        if queue.feed is not None and queue.feed.pattern is not None and watches_runs(queue.feed.pattern):
            said = f"queue `{queue.name}`: what happens to runs is not on the event bus by environment"
            yield f"{path}.from.event", f"{said} `{environment.name}`", "take it out: `- after: JOB` starts jobs"
    for name, another in itertools.combinations(jobfile.queues, 2):
        takers = [taker[0].name for each in (name, another) if (taker := jobfile.taker(each)) is not None]
        if len(takers) == 2 and names.service(takers[0], name) == names.service(takers[1], another):
            who = f"the workers of job `{takers[1]}`"
            said = f"queues `{name}` and `{another}`: {who} at both would have one name in ECS"
            yield f"queues.{another}", said, "call one of them otherwise"
    told = [queue for queue in jobfile.queues.values() if queue.feed is not None and queue.feed.format == "s3"]
    for one, other in itertools.combinations(told, 2):
        if _overlap(jobfile, environment, names, one, other):
            said = (
                f"queues `{one.name}` and `{other.name}`: S3 sends no upload to two queues, and these filters overlap"
            )
            hint = "write `format: event` for one of them, or give them prefixes or suffixes that differ"
            yield f"queues.{other.name}.from", said, hint


def _overlap(jobfile: JobFile, environment: Environment, names: Names, one: Queue, other: Queue) -> bool:
    if one.feed is None or other.feed is None or one.feed.bucket is None or other.feed.bucket is None:
        return False
    buckets = [names.bucket_sub(jobfile.buckets[each], environment) for each in (one.feed.bucket, other.feed.bucket)]
    return buckets[0] == buckets[1] and feeding.overlap(feeding.as_filter(one.feed), feeding.as_filter(other.feed))


def of_trigger(job: Job, trigger: QueueTrigger, path: str) -> Iterator[Found]:
    """What a job is that takes messages."""
    if trigger.is_managed and job.task_definition is not None:
        said = f"job `{job.name}`: wherry's worker does not get into the image of a task definition"
        yield f"{path}.queue", said, "write `mode: self-polling`, or `image` or `build` instead of `task_definition`"
    if not trigger.is_managed:
        texts = {f"env.{name}": [value] for name, value in job.env.items()}
        texts["command"] = [job.command] if isinstance(job.command, str) else list(job.command)
        for key, found in texts.items():
            if any(jsonata.is_dynamic(mapping.parse(text)) for text in found):
                said = f"job `{job.name}`: a command that polls by itself runs without an event"
                yield f"jobs.{job.name}.{key}", said, "its queue's URL is in `QUEUE_URL`; the messages tell the rest"
    for helper in job.helpers:
        own = (helper.command,) if isinstance(helper.command, str) else helper.command
        if any(jsonata.is_dynamic(mapping.parse(text)) for text in (*own, *helper.env.values())):
            said = f"job `{job.name}`: helper `{helper.name}` stands beside a worker of many messages, without an event"
            yield f"jobs.{job.name}.helpers.{helper.name}", said, "take `${event...}` out of its `command` and `env`"


def of_other_trigger(job: Job, path: str) -> Iterator[Found]:
    """What else starts a job that takes messages: here any event becomes a file, there only the worker makes one."""
    if causes.wants_file(job):
        said = f"job `{job.name}`: `${{event.file}}` is made of a message, and a run by this trigger has none"
        yield path, said, "give this trigger to another job; uploads and events can feed the queue, by its `from`"


def watches_runs(document: object) -> bool:
    """True when a pattern speaks of what wherry says of its runs."""
    sources = document.get("source") if isinstance(document, dict) else None
    return sources is not None and pattern.parse({"source": sources}).matches({"source": announcements.SOURCE})
