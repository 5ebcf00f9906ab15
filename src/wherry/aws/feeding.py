"""What becomes a message by itself: rules of EventBridge, and the notifications of buckets. Pure.

A queue with `format: event` is fed by a rule, which may have any pattern and may feed FIFO queues. With `format: s3`
the bucket itself sends its notifications; its filters know one prefix and one suffix, which must not overlap.

Sources: S3 User Guide, "Configuring event notifications using object key name filtering"; EventBridge User Guide,
"Amazon SQS queues as targets": a FIFO queue needs a message group and deduplication by content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from wherry import causes
from wherry.aws import buses, triggers, waking
from wherry.aws.names import Names
from wherry.aws.policy import sub
from wherry.aws.storage import Resource, resource
from wherry.model import Environment, Feed, JobFile, Queue, UploadTrigger

#: The metadata of a queue's policy that names the bucket of somebody else which tells the queue of uploads.
BUCKET = "bucket"
_CREATED = "s3:ObjectCreated:*"


def watched(jobfile: JobFile) -> set[str]:
    """The buckets, by their names in the job file, whose uploads EventBridge has to hear of."""
    triggers_of_jobs = (trigger for job in jobfile.jobs.values() for trigger in job.triggers)
    found = {trigger.bucket for trigger in triggers_of_jobs if isinstance(trigger, UploadTrigger)}
    for queue in jobfile.queues.values():
        feed = queue.feed
        if feed is not None and feed.bucket is not None and (feed.format == "event" or waking.wakes(jobfile, queue)):
            found.add(feed.bucket)
    return found


def rule_path(environment: Environment, names: Names, queue: Queue, queue_id: str) -> str:
    """The last part of the ARN of the rule that feeds a queue."""
    name, bus = names.rule(_rule_id(queue_id)), names.bus(environment.bus)
    listens = queue.feed is not None and queue.feed.pattern is not None and bus != "default"
    return f"rule/{bus}/{name}" if listens else f"rule/{name}"


def rules(jobfile: JobFile, environment: Environment, names: Names, queue: Queue, queue_id: str) -> dict[str, Resource]:
    """The rule that feeds a queue, or that hears of what a bucket sends to it and wakes a worker."""
    feed = queue.feed
    if feed is None:
        return {}
    targets = [_target(queue, queue_id)] if feed.format == "event" else []
    targets += waking.targets(jobfile, names, queue, queue_id)
    if not targets:
        return {}
    found = _rule_id(queue_id)
    bus: Any = "default"
    if feed.bucket is not None:
        pattern = causes.upload_pattern("", feed.prefix, feed.suffix)
        pattern["detail"]["bucket"]["name"] = [sub(names.bucket_sub(jobfile.buckets[feed.bucket], environment))]
        what = f"uploads to {feed.bucket}"
    else:
        pattern, what, bus = dict(feed.pattern or {}), "events that match its pattern", buses.reference(environment.bus)
    said = f"queue {queue.name}: {what} {'become messages' if feed.format == 'event' else 'wake a worker'}"
    properties = {
        **({"EventBusName": bus} if bus != "default" else {}),
        "Name": names.rule(found),
        "EventPattern": triggers.without_nulls(pattern),
        "State": "ENABLED",
        "Targets": targets,
    }
    made = {found: resource(said, "AWS::Events::Rule", properties)}
    if bus != "default" and environment.bus.is_elsewhere:
        where = f"queue {queue.name}: its events on the bus of account {buses.account_of(environment.bus)}"
        relayed = triggers.without_nulls(pattern)
        made[f"{found}Relay"] = buses.relay(names.relay_sub(found), where, environment.bus, relayed)
    return made


def notifications(jobfile: JobFile, bucket: str, ids: Mapping[str, str]) -> list[dict[str, Any]]:
    """What an own bucket tells queues, as its `QueueConfigurations`; `ids` are the logical ids of queues."""
    found = []
    for name in told_by(jobfile, bucket):
        feed = jobfile.queues[name].feed
        entry: dict[str, Any] = {"Event": _CREATED, "Queue": {"Fn::GetAtt": [ids[name], "Arn"]}}
        parts = _filter(feed) if feed is not None else []
        found.append(entry | ({"Filter": {"S3Key": {"Rules": parts}}} if parts else {}))
    return found


def told_by(jobfile: JobFile, bucket: str) -> list[str]:
    """The queues that a bucket itself sends notifications to."""
    feeds = ((queue.name, queue.feed) for queue in jobfile.queues.values())
    return [name for name, feed in feeds if feed is not None and feed.bucket == bucket and feed.format == "s3"]


def notices(jobfile: JobFile, names: Names) -> dict[str, list[dict[str, Any]]]:
    """What each bucket of somebody else has to tell queues, as the API spells it; needs account and region."""
    others = {each.name: each.existing for each in jobfile.buckets.values() if each.existing}
    found: dict[str, list[dict[str, Any]]] = {}
    for name, physical in others.items():
        if told := entries(jobfile, names, name):
            found.setdefault(physical, []).extend(told)
    return found


def entries(jobfile: JobFile, names: Names, bucket: str) -> list[dict[str, Any]]:
    """What a bucket of the job file has to tell queues, as the API spells it; needs account and region."""
    found = []
    for name in told_by(jobfile, bucket):
        feed = jobfile.queues[name].feed
        rules = _filter(feed) if feed is not None else []
        entry = {"Id": names.notice(name), "QueueArn": names.queue_arn(name), "Events": [_CREATED]}
        found.append(entry | ({"Filter": {"Key": {"FilterRules": rules}}} if rules else {}))
    return found


def others_bucket(jobfile: JobFile, queue: Queue) -> str | None:
    """The bucket of somebody else that has to send its notifications to a queue; None where there is none."""
    if queue.feed is None or queue.feed.bucket is None or queue.feed.format != "s3":
        return None
    return jobfile.buckets[queue.feed.bucket].existing


def overlap(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether a key may pass two filters (`prefix`, `suffix`, as S3 has them): S3 takes only one of such a pair."""
    return _extends(one["prefix"], other["prefix"], str.startswith) and _extends(
        one["suffix"], other["suffix"], str.endswith
    )


def as_filter(feed: Feed) -> dict[str, str]:
    """A feed's prefix and suffix as S3 has them."""
    return {"prefix": _encoded(feed.prefix), "suffix": _encoded(feed.suffix)}


def _extends(one: str, other: str, has: Any) -> bool:
    return bool(has(one, other) or has(other, one))


def _filter(feed: Feed) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in as_filter(feed).items() if value]


def _encoded(text: str) -> str:
    """A space is a plus there, and what is special has its code."""
    return quote_plus(text, safe="/!*'()~")


def _rule_id(queue_id: str) -> str:
    return f"{queue_id}Feed"


def _target(queue: Queue, queue_id: str) -> dict[str, Any]:
    """The queue as a rule's target: the message's body is the whole event."""
    group = queue.name.removesuffix(".fifo")
    return {
        "Id": "queue",
        "Arn": {"Fn::GetAtt": [queue_id, "Arn"]},
        **({"SqsParameters": {"MessageGroupId": group}} if queue.is_fifo else {}),
        "RetryPolicy": {"MaximumEventAgeInSeconds": triggers.DAY, "MaximumRetryAttempts": triggers.TRIES},
        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}},
    }
