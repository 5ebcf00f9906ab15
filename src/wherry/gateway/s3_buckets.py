"""S3: buckets. They are declared in the job file, not made by clients."""

from __future__ import annotations

from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.gateway.http import Response
from wherry.gateway.xml import document, element
from wherry.model import LOCAL_ACCOUNT

#: When buckets say they were made: nobody keeps it, and clients want a date.
_MADE = "2020-01-01T00:00:00.000Z"


def list_buckets(call: Call, bucket: str, key: str) -> Response:  # noqa: ARG001 - every operation has one shape
    """ListBuckets."""
    instead = "`${bucket.NAME}` in its `env` tells it what a bucket is called"
    call.services.guard.is_owner(call.caller, "list buckets", instead, "AccessDenied")
    names = call.services.buckets.names()
    listed = "".join(f"<Bucket>{element('Name', name)}{element('CreationDate', _MADE)}</Bucket>" for name in names)
    owner = f"<Owner>{element('ID', LOCAL_ACCOUNT)}{element('DisplayName', 'wherry')}</Owner>"
    return document("ListAllMyBucketsResult", f"{owner}<Buckets>{listed}</Buckets>")


def head_bucket(call: Call, bucket: str, key: str) -> Response:  # noqa: ARG001
    """HeadBucket, which S3 permits to whoever may list (API Reference, "HeadBucket")."""
    call.services.buckets.folder(bucket)
    call.services.guard.may_list(call.caller, bucket)
    return Response(headers=[("x-amz-bucket-region", call.services.region)])


def get_location(call: Call, bucket: str, key: str) -> Response:  # noqa: ARG001
    """GetBucketLocation: empty for us-east-1, as S3 has it."""
    call.services.buckets.folder(bucket)
    call.services.guard.may_locate(call.caller, bucket)
    region = call.services.region
    return document("LocationConstraint", "" if region == "us-east-1" else region)


def get_versioning(call: Call, bucket: str, key: str) -> Response:  # noqa: ARG001
    """GetBucketVersioning: never switched on."""
    call.services.buckets.folder(bucket)
    call.services.guard.is_owner(call.caller, "ask for a bucket's versioning", code="AccessDenied")
    return document("VersioningConfiguration", "")


def create_bucket(call: Call, bucket: str, key: str) -> Response:  # noqa: ARG001
    """CreateBucket: what is declared is there already; nothing else can be made."""
    call.services.guard.is_owner(call.caller, f"create bucket `{bucket}`", "the job file declares them", "AccessDenied")
    if bucket in call.services.buckets.names():
        raise AwsError("BucketAlreadyOwnedByYou", f"bucket `{bucket}` is in the job file, so it is there already", 409)
    raise AwsError("AccessDenied", f"buckets are declared in the job file: add `{bucket}: {{}}` to its `buckets`", 403)
