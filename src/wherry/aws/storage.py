"""Buckets, and the dead-letter queue. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherry.aws.names import Names
from wherry.aws.policy import arn, sub

Resource = dict[str, Any]

#: Events that travelled through the work bucket are of no use once their runs are history.
_EVENT_DAYS = 30
TWO_WEEKS = 1_209_600


def resource(about: str, kind: str, properties: dict[str, Any], **more: Any) -> Resource:
    """A resource with what it is for, in our words."""
    return {"Type": kind, "Metadata": {"Wherry": {"about": about}}, **more, "Properties": properties}


def bucket(about: str, name: Any, *, events: bool, told: Sequence[dict[str, Any]] = ()) -> Resource:
    """A bucket of people's data: encrypted, private, and kept when the stack goes.

    With `events` EventBridge hears of what happens in it; `told` are the queues that it tells itself.
    """
    notifications = {
        **({"EventBridgeConfiguration": {"EventBridgeEnabled": True}} if events else {}),
        **({"QueueConfigurations": list(told)} if told else {}),
    }
    return resource(
        about,
        "AWS::S3::Bucket",
        {
            "BucketName": name,
            **_private(),
            **({"NotificationConfiguration": notifications} if notifications else {}),
        },
        DeletionPolicy="Retain",
        UpdateReplacePolicy="Retain",
    )


def work_bucket(names: Names) -> Resource:
    """The bucket for what travels; nothing in it is meant to stay."""
    lifecycle = {
        "Rules": [
            {
                "Id": "nothing-stays",
                "Status": "Enabled",
                "ExpirationInDays": _EVENT_DAYS,
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
            }
        ]
    }
    properties = {"BucketName": sub(names.work_bucket_sub), **_private(), "LifecycleConfiguration": lifecycle}
    return resource("the bucket for what travels: large events, large templates", "AWS::S3::Bucket", properties) | {
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
    }


def _private() -> dict[str, Any]:
    return {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    }


def dead_letters(names: Names, bus: str) -> dict[str, Resource]:
    """The queue of failed runs and of events that could not be delivered."""
    rules = [f"rule/{names.prefix}*"] + ([f"rule/{bus}/{names.prefix}*"] if bus != "default" else [])
    return {
        "DeadLetters": resource(
            "the dead letters: failed runs, and events that could not be delivered",
            "AWS::SQS::Queue",
            {"QueueName": names.dead_letters, "MessageRetentionPeriod": TWO_WEEKS, "SqsManagedSseEnabled": True},
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        ),
        "DeadLettersPolicy": resource(
            "who may add dead letters: the rules of this stack",
            "AWS::SQS::QueuePolicy",
            {
                "Queues": [{"Ref": "DeadLetters"}],
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "events.amazonaws.com"},
                            "Action": "sqs:SendMessage",
                            "Resource": {"Fn::GetAtt": ["DeadLetters", "Arn"]},
                            # a rule's ARN names the account; no more is documented of what EventBridge tells
                            "Condition": {"ArnLike": {"aws:SourceArn": [arn("events", rule) for rule in rules]}},
                        }
                    ],
                },
            },
        ),
    }
