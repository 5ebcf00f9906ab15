"""Own buckets that a stack has left, and that the next one takes back: they go on telling what they told before.

CloudFormation's import writes nothing to a bucket (so the User Guide wants drift looked for after it), and from then on
it sees no difference: what the template says of notifications has to be put there besides. That is done before the
stack has the bucket, while it can be seen that it is still to be done. The queues need not be there yet.

Source: CloudFormation User Guide, "Import AWS resources into a CloudFormation stack automatically".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherry.aws import feeding, found, telling
from wherry.aws.changes import Template
from wherry.aws.client import Aws
from wherry.aws.names import Names
from wherry.errors import UserError
from wherry.model import Bucket, Environment, JobFile

_QUEUES = "QueueConfigurations"
_EVENTS = "EventBridgeConfiguration"


@dataclass(frozen=True, kw_only=True)
class Left:
    """A bucket whose notifications are not what the job file says."""

    bucket: str
    #: What it has to tell queues, as the API spells it.
    wanted: Sequence[Mapping[str, Any]]
    #: EventBridge has to hear of its uploads.
    is_watched: bool


def look(
    aws: Aws, jobfile: JobFile, environment: Environment, names: Names, *, tags: Mapping[str, str], deployed: Template
) -> list[Left]:
    """What has to be put right of the buckets that the stack is about to take up; `tags` are what marks them.

    Raises UserError for a bucket that is there, and that no stack of this environment has left. CloudFormation would
    take it up by its name: what it tells others would be lost, and `destroy --with-data` empty it.
    """
    properties = [each.get("Properties", {}) for each in deployed.get("Resources", {}).values()]
    known = {str(each.get("BucketName")) for each in properties}
    own = {names.bucket(each, environment): each for each in jobfile.buckets.values() if not each.existing}
    watched = feeding.watched(jobfile)

    def one(name: str) -> Left | None:
        if not found.is_there(aws, name):
            return None
        if not found.bears(aws, name, tags):
            raise _theirs(own[name], name, names)
        wanted = feeding.entries(jobfile, names, own[name].name)
        left = Left(bucket=name, wanted=wanted, is_watched=own[name].name in watched)
        return None if _is_right(found.notifications(aws, name), left, names) else left

    return [left for left in found.at_once(one, sorted(own.keys() - known)) if left]


def put_right(aws: Aws, names: Names, left: Left) -> None:
    """Let a bucket tell what the job file says; what it tells others stays as it is."""
    known = found.notifications(aws, left.bucket)
    ours = _ours(known, names)
    others = [each for each in known.get(_QUEUES, ()) if each not in ours]
    aws.call(
        "s3",
        "put_bucket_notification_configuration",
        Bucket=left.bucket,
        NotificationConfiguration={
            **known,
            _QUEUES: [*others, *left.wanted],
            **({_EVENTS: {}} if left.is_watched else {}),
        },
        SkipDestinationValidation=True,
    )


def _is_right(known: Mapping[str, Any], left: Left, names: Names) -> bool:
    """Raises UserError where S3 would refuse what is to be told."""
    ours = _ours(known, names)
    telling.refuse_overlap(left.bucket, left.wanted, telling.others(known, ours))
    said = {telling.says(each) for each in ours} == {telling.says(each) for each in left.wanted}
    return said and (_EVENTS in known or not left.is_watched)


def _ours(known: Mapping[str, Any], names: Names) -> list[Mapping[str, Any]]:
    """What is told to queues of this environment, by their names: CloudFormation has given the entries' own."""
    begin = names.queue_arn("")
    return [each for each in known.get(_QUEUES, ()) if str(each["QueueArn"]).startswith(begin)]


def _theirs(bucket: Bucket, name: str, names: Names) -> UserError:
    return UserError(
        f"bucket `{bucket.name}`: `{name}` is there already, and was not made for {names.app} in {names.environment}",
        hint=f"`{bucket.name}: {{existing: {name}}}` uses it, and leaves it what it is; or give it another name",
    )
