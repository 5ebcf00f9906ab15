"""Taking an environment away, in steps that find by looking what is still to be done.

What holds people's data stays unless they say otherwise twice: buckets that the job file owns (the template retains
them), and secrets, which people have set. Buckets of somebody else are not touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherry.aws import found, release, standstill, telling
from wherry.aws.changes import Template
from wherry.aws.client import Aws, AwsError
from wherry.aws.deploy import Report, watching
from wherry.aws.stack import StackFailed
from wherry.aws.states import State
from wherry.aws.survey import Site
from wherry.aws.words import about

#: DeleteObjects takes so many at once.
_BATCH = 1000
_COUNTED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
#: What triggers start while the stack goes may stand in its way; after another stop it does not.
_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Remains:
    """What there is of an environment, and what of it stays."""

    state: State
    base_state: State
    #: How many resources go.
    resources: int
    #: Tasks that are running now, and will be stopped.
    tasks: Sequence[str]
    #: Own buckets, by their physical names.
    buckets: Sequence[str]
    secrets: Sequence[str]
    #: Queue, in words -> how many messages of it are lost.
    messages: Mapping[str, int]

    @property
    def is_nothing(self) -> bool:
        """No stack, not even the shell of one."""
        return not (self.state.id or self.base_state.id)


def look(site: Site) -> Remains:
    """See what there is; raises AwsError, and UserError for stacks of somebody else."""
    state, base_state = site.main.own(), site.base.own()
    template = site.main.template() or {}
    base = site.base.template() or {}
    secrets = found.secret_names(site.jobfile, site.environment)
    arns = found.at_once(lambda name: found.secret_arn(site.aws, name), secrets)
    return Remains(
        state=state,
        base_state=base_state,
        resources=len(template.get("Resources", {})) + len(base.get("Resources", {})),
        tasks=list(standstill.tasks(site)),
        buckets=own_buckets(site, template),
        messages=_messages(site.aws, template),
        secrets=[name for name, arn in zip(secrets, arns, strict=True) if arn],
    )


def _messages(aws: Aws, template: Template) -> dict[str, int]:
    """The queues with messages in them; the dead letters of the environment itself are runs, and known elsewhere."""
    queues = {
        str(about(logical_id, template)): str(each["Properties"]["QueueName"])
        for logical_id, each in template.get("Resources", {}).items()
        if each["Type"] == "AWS::SQS::Queue" and logical_id != "DeadLetters"
    }
    counts = found.at_once(lambda name: _count(aws, name), queues.values())
    return {name: count for name, count in zip(queues, counts, strict=True) if count}


def _count(aws: Aws, queue: str) -> int:
    """All messages of a queue: those that wait, those that are worked on, and the delayed ones."""
    try:
        url = aws.call("sqs", "get_queue_url", QueueName=queue)["QueueUrl"]
        told = aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=list(_COUNTED))["Attributes"]
    except AwsError as error:
        if error.code in ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"):
            return 0
        raise
    return sum(int(told[name]) for name in _COUNTED)


def own_buckets(site: Site, template: Template) -> list[str]:
    """The own buckets that are there: those of the stack, and those that it has left, known by their tags."""
    derived = [site.names.bucket(each, site.environment) for each in site.jobfile.buckets.values() if not each.existing]
    made = [
        resource["Properties"]["BucketName"]
        for resource in template.get("Resources", {}).values()
        if resource["Type"] == "AWS::S3::Bucket" and str(resource.get("DeletionPolicy", "")).startswith("Retain")
    ]
    candidates = sorted({*derived, *made, *_left(site)})
    ours = found.at_once(
        lambda name: found.is_there(site.aws, name) and (name in made or found.bears(site.aws, name, site.tags)),
        candidates,
    )
    return [name for name, is_ours in zip(candidates, ours, strict=True) if is_ours]


def _left(site: Site) -> list[str]:
    """The buckets that bear the environment's tags: also those that have left the job file since, and stayed."""
    asked = {
        "TagFilters": [{"Key": key, "Values": [value]} for key, value in site.tags.items()],
        "ResourceTypeFilters": ["s3"],
    }
    try:
        tagged = list(site.aws.pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", **asked))
    except AwsError as error:
        if error.is_denied:  # those of the job file and of the stack are known without it
            return []
        raise
    arns = [str(each["ResourceARN"]) for each in tagged]
    buckets = [arn.rpartition(":::")[2] for arn in arns if ":::" in arn]  # access points have a region
    return [name for name in buckets if name != site.names.work_bucket]


def destroy(site: Site, report: Report, *, data: Sequence[str] = ()) -> None:
    """Delete both stacks, then the buckets named in `data` with all that is in them.

    Raises StackFailed or AwsError; another destroy goes on from there.
    """
    _main(site, report)
    if found.is_there(site.aws, site.names.work_bucket):
        report.stage("the work bucket is emptied")
        empty(site.aws, site.names.work_bucket)
    if site.base.look().id:
        report.stage("the base goes: image repositories, the work bucket")
        site.base.delete(watching(report, site.base.template() or {}))
    for bucket in data:
        if found.is_there(site.aws, bucket):
            report.stage(f"bucket {bucket} goes, with all that is in it")
            empty(site.aws, bucket)
            _delete_bucket(site.aws, bucket)


def _delete_bucket(aws: Aws, bucket: str) -> None:
    try:
        aws.call("s3", "delete_bucket", Bucket=bucket)
    except AwsError as error:
        if error.code != "NoSuchBucket":  # it is gone: only the answer was lost
            raise


def _main(site: Site, report: Report) -> None:
    template = site.main.template() or {}
    for attempt in range(_ROUNDS):
        if not site.main.look().id:
            break
        report.stage("the stack goes" if attempt == 0 else "the stack goes: another try, without what began meanwhile")
        for bucket in sorted(telling.buckets_of(template)):
            report.stage(f"bucket {bucket}: it does not tell the queues any more")
            telling.forget(site.aws, site.names, bucket)
        standstill.halt(site, template, report.stage)
        if release.has_instances(template):
            release.release(site, report.stage, for_good=True)
        try:
            site.main.delete(watching(report, template))
        except StackFailed:
            if attempt == _ROUNDS - 1:
                raise
    standstill.clear_definitions(site, template)


def empty(aws: Aws, bucket: str) -> None:
    """Delete all objects of a bucket, in all versions, and the parts of uploads that were never completed."""
    batch: list[dict[str, Any]] = []
    for key in ("Versions", "DeleteMarkers"):
        for version in aws.pages("s3", "list_object_versions", key, Bucket=bucket):
            batch.append({"Key": version["Key"], "VersionId": version["VersionId"]})
            if len(batch) == _BATCH:
                _delete(aws, bucket, batch)
                batch = []
    if batch:
        _delete(aws, bucket, batch)
    for upload in aws.pages("s3", "list_multipart_uploads", "Uploads", Bucket=bucket):
        with contextlib.suppress(AwsError):  # it was completed or aborted just now
            aws.call("s3", "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _delete(aws: Aws, bucket: str, batch: list[dict[str, Any]]) -> None:
    answer = aws.call("s3", "delete_objects", Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
    errors = answer.get("Errors", [])
    if errors:
        first = errors[0]
        raise AwsError(
            f"`s3://{bucket}/{first['Key']}` cannot be deleted: {first.get('Message', '')}", code=first["Code"]
        )
