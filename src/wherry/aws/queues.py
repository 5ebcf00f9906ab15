"""Queues: each with its dead letters, and with who may send to it. Pure.

Source: SQS Developer Guide, "Using dead-letter queues", "Amazon SQS policies"; EventBridge User Guide, "Amazon SQS
permissions"; S3 User Guide, "Granting permissions to publish event notification messages".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from wherry.aws import feeding, jsonata
from wherry.aws.names import Names
from wherry.aws.policy import arn, sub
from wherry.aws.storage import TWO_WEEKS, Resource, resource
from wherry.model import Environment, JobFile, Queue

_GOES = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}


def queues(jobfile: JobFile, environment: Environment, names: Names) -> dict[str, Resource]:
    """All queues of a job file, and what feeds them."""
    found: dict[str, Resource] = {}
    for queue in jobfile.queues.values():
        found |= _queue(queue, names)
        statements = list(_senders(jobfile, environment, names, queue))
        if statements:
            found[policy_id(queue.name)] = _policy(jobfile, queue, statements)
        found |= feeding.rules(jobfile, environment, names, queue, queue_id(queue.name))
    return found


def queue_id(name: str) -> str:
    """The logical id of a queue: letters and digits alone, different for different queues."""
    plain = "".join(part.capitalize() for part in name.replace(".", "-").replace("_", "-").split("-"))
    return f"Queue{plain}{hashlib.sha256(name.encode()).hexdigest()[:4]}"


def letters_id(name: str) -> str:
    """The logical id of a queue's dead letters."""
    return f"{queue_id(name)}Letters"


def policy_id(name: str) -> str:
    """The logical id of what allows others to send to a queue."""
    return f"{queue_id(name)}Policy"


def urls(jobfile: JobFile) -> dict[str, str]:
    """Queue -> its URL for `Fn::Sub`: CloudFormation knows it, whatever the partition."""
    return {name: f"${{{queue_id(name)}}}" for name in jobfile.queues}


def known(jobfile: JobFile, environment: Environment, names: Names) -> dict[str, str]:
    """What `${bucket.x}`, `${queue.x.url}` and `${bus}` stand for, by `jsonata.key`, for `Fn::Sub`."""
    buckets = {each.name: names.bucket_sub(each, environment) for each in jobfile.buckets.values()}
    found = buckets | {jsonata.queue_key(name): url for name, url in urls(jobfile).items()}
    return found | {jsonata.BUS: environment.bus.name}


def _queue(queue: Queue, names: Names) -> dict[str, Resource]:
    fifo: dict[str, Any] = {"FifoQueue": True} if queue.is_fifo else {}
    letters = {
        "QueueName": names.queue(queue.dead_letters),
        **fifo,
        "MessageRetentionPeriod": TWO_WEEKS,
        "SqsManagedSseEnabled": True,
        # by its name: the two queues cannot each wait for the other
        "RedriveAllowPolicy": {
            "redrivePermission": "byQueue",
            "sourceQueueArns": [arn("sqs", names.queue(queue.name))],
        },
    }
    properties = {
        "QueueName": names.queue(queue.name),
        **fifo,
        # EventBridge names no deduplication id
        **({"ContentBasedDeduplication": queue.content_deduplication or queue.feed is not None} if fifo else {}),
        "VisibilityTimeout": int(queue.visibility.total_seconds()),
        "DelaySeconds": int(queue.delay.total_seconds()),
        "MessageRetentionPeriod": int(queue.retention.total_seconds()),
        "SqsManagedSseEnabled": True,
        "RedrivePolicy": {
            "deadLetterTargetArn": {"Fn::GetAtt": [letters_id(queue.name), "Arn"]},
            "maxReceiveCount": queue.max_receives,
        },
    }
    about = f"queue {queue.name}"
    return {
        letters_id(queue.name): resource(f"{about}: its dead letters", "AWS::SQS::Queue", letters, **_GOES),
        queue_id(queue.name): resource(about, "AWS::SQS::Queue", properties, **_GOES),
    }


def _senders(
    jobfile: JobFile, environment: Environment, names: Names, queue: Queue
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The services that send to a queue, and on what condition. Roles of this account need no leave of the queue."""
    here = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    if queue.feed is None:
        return
    if queue.feed.format == "s3" and queue.feed.bucket is not None:
        bucket = names.bucket_sub(jobfile.buckets[queue.feed.bucket], environment)
        # a bucket's ARN has no account: the condition on the account is what protects
        yield (
            "s3.amazonaws.com",
            {**here, "ArnEquals": {"aws:SourceArn": sub(f"arn:${{AWS::Partition}}:s3:::{bucket}")}},
        )
    else:
        rule = feeding.rule_path(environment, names, queue, queue_id(queue.name))
        # the rule's ARN names the account; no more is documented of what EventBridge tells
        yield "events.amazonaws.com", {"ArnEquals": {"aws:SourceArn": arn("events", rule)}}


def _policy(jobfile: JobFile, queue: Queue, senders: list[tuple[str, Mapping[str, Any]]]) -> Resource:
    statements = [
        {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": {"Fn::GetAtt": [queue_id(queue.name), "Arn"]},
            "Condition": condition,
        }
        for service, condition in senders
    ]
    found = resource(
        f"queue {queue.name}: who may send to it besides the jobs",
        "AWS::SQS::QueuePolicy",
        {
            "Queues": [{"Ref": queue_id(queue.name)}],
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
        },
    )
    bucket = feeding.others_bucket(jobfile, queue)
    if bucket is not None:
        # a later deploy, or the end, has to take back what that bucket was told
        found["Metadata"]["Wherry"][feeding.BUCKET] = bucket
    return found
