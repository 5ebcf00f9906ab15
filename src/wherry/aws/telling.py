"""Buckets of somebody else that send notifications to queues: told so once these are there, and not to before they go.

A bucket has one list of notifications for all who want some, and it is written as a whole (S3 API Reference,
PutBucketNotificationConfiguration): so it is read, ours are put in their places by their names, and the rest goes back
as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherry.aws import feeding, found
from wherry.aws.changes import Template
from wherry.aws.client import Aws, AwsError
from wherry.aws.names import Names
from wherry.errors import UserError
from wherry.model import JobFile

_LISTS = ("QueueConfigurations", "TopicConfigurations", "LambdaFunctionConfigurations")
_CREATED = "s3:ObjectCreated:"


@dataclass(frozen=True, kw_only=True)
class Notices:
    """What a bucket should tell our queues, and what it tells them."""

    bucket: str
    wanted: Sequence[Mapping[str, Any]]
    there: Sequence[Mapping[str, Any]]

    @property
    def are_new(self) -> bool:
        """Something has to be told, or told otherwise."""
        return bool({_key(each) for each in self.wanted} - {_key(each) for each in self.there})

    @property
    def are_old(self) -> bool:
        """Something is told that nobody wants any more."""
        return bool({each["Id"] for each in self.there} - {each["Id"] for each in self.wanted})


def look(aws: Aws, jobfile: JobFile, names: Names) -> list[Notices]:
    """How the `existing` buckets of a file stand; raises UserError where S3 would refuse what is to be told."""
    wanted = feeding.notices(jobfile, names)
    buckets = sorted({str(each.existing) for each in jobfile.buckets.values() if each.existing})

    def one(bucket: str) -> Notices:
        known = found.notifications(aws, bucket)
        refuse_overlap(bucket, wanted.get(bucket, ()), others(known, _ours(known, names)))
        return Notices(bucket=bucket, wanted=wanted.get(bucket, ()), there=_ours(known, names))

    return found.at_once(one, buckets)


def buckets_of(template: Template) -> set[str]:
    """The buckets of somebody else that tell the queues of a deployed template of uploads."""
    resources = template.get("Resources", {}).values()
    told = (each.get("Metadata", {}).get("Wherry", {}).get(feeding.BUCKET) for each in resources)
    return {str(bucket) for bucket in told if bucket}


def forget(aws: Aws, names: Names, bucket: str, kept: Iterable[str] = ()) -> None:
    """Let a bucket tell our queues nothing more, but what has one of these names; one that is gone tells nothing."""
    try:
        _write(aws, names, bucket, lambda ours: [each for each in ours if each["Id"] in set(kept)])
    except AwsError as error:
        if error.code != "NoSuchBucket":
            raise


def tell(aws: Aws, names: Names, notices: Notices) -> None:
    """Let a bucket tell our queues what it should. S3 sends each new one a test message."""
    _write(aws, names, notices.bucket, lambda _: notices.wanted)


def says(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What an entry says, however S3 spells it, but for what it is called."""
    told = _filter(entry)
    return (str(entry["QueueArn"]), *sorted(entry["Events"]), told["prefix"], told["suffix"])


def others(known: Mapping[str, Any], ours: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What a bucket tells besides ours."""
    return [each for kind in _LISTS for each in known.get(kind, ()) if each not in ours]


def refuse_overlap(bucket: str, wanted: Iterable[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> None:
    """S3 sends an upload to one alone (S3 User Guide, "Examples of notification configurations that are not valid")."""
    for one in wanted:
        for other in others:
            told = any(str(event).startswith(_CREATED) for event in other.get("Events", ()))
            if told and feeding.overlap(_filter(one), _filter(other)):
                whose = other.get("QueueArn") or other.get("TopicArn") or other.get("LambdaFunctionArn")
                raise UserError(
                    f"bucket `{bucket}` sends the same uploads to {whose} (`{other.get('Id')}`), and S3 tells only one",
                    hint="write `format: event` for the queue: EventBridge tells any number",
                )


def _write(
    aws: Aws,
    names: Names,
    bucket: str,
    change: Callable[[Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]],
) -> None:
    known = found.notifications(aws, bucket)
    ours = _ours(known, names)
    wanted = change(ours)
    if {_key(each) for each in wanted} == {_key(each) for each in ours}:
        return
    others = [each for each in known.get(_LISTS[0], ()) if each not in ours]
    aws.call(
        "s3",
        "put_bucket_notification_configuration",
        Bucket=bucket,
        NotificationConfiguration={**known, _LISTS[0]: [*others, *wanted]},
        # whether the others' queues still exist is none of our business
        SkipDestinationValidation=True,
    )


def _ours(known: Mapping[str, Any], names: Names) -> list[dict[str, Any]]:
    begin = names.notice("")
    return [each for each in known.get(_LISTS[0], ()) if str(each.get("Id", "")).startswith(begin)]


def _key(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(entry["Id"]), *says(entry))


def _filter(entry: Mapping[str, Any]) -> dict[str, str]:
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    told = {str(rule["Name"]).lower(): str(rule["Value"]) for rule in rules}
    return {"prefix": told.get("prefix", ""), "suffix": told.get("suffix", "")}
