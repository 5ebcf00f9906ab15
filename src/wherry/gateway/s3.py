"""S3's REST API: which operation a request means, and S3's way of saying what went wrong.

Source: Amazon S3 API Reference. Path style (`/BUCKET/KEY`) and virtual-hosted style (`BUCKET.localhost`).
"""

from __future__ import annotations

from collections.abc import Callable

from wherry.gateway import s3_buckets, s3_listing, s3_multipart, s3_objects
from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.gateway.http import Response
from wherry.gateway.text import decoded
from wherry.gateway.xml import HEADER, elements
from wherry.local.objects import ObjectError

#: What S3 answers with (Amazon S3 API Reference, "List of error codes"); 400 where nothing is said.
STATUSES = {
    "AccessDenied": 403,
    "BucketAlreadyOwnedByYou": 409,
    "InternalError": 500,
    "InvalidRange": 416,
    "KeyTooLongError": 400,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
}

#: Query parameters that make a request mean something else than its method says.
SUBRESOURCES = frozenset(
    """accelerate acl analytics attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle
    list-type location logging metrics notification object-lock object-lock-configuration ownershipControls partNumber
    policy policyStatus publicAccessBlock replication requestPayment restore retention select tagging torrent uploadId
    uploads versioning versions website""".split()  # noqa: SIM905 - it reads better so
)

Handler = Callable[[Call, str, str], Response]

#: (method, subresource) -> operation, for buckets and for objects; "" is none.
BUCKET_OPERATIONS: dict[tuple[str, str], Handler] = {
    ("GET", ""): s3_listing.list_objects,
    ("GET", "list-type"): s3_listing.list_objects_v2,
    ("GET", "uploads"): s3_multipart.list_uploads,
    ("GET", "location"): s3_buckets.get_location,
    ("GET", "versioning"): s3_buckets.get_versioning,
    ("HEAD", ""): s3_buckets.head_bucket,
    ("PUT", ""): s3_buckets.create_bucket,
    ("POST", "delete"): s3_objects.delete_objects,
}
OBJECT_OPERATIONS: dict[tuple[str, str], Handler] = {
    ("GET", ""): s3_objects.get_object,
    ("HEAD", ""): s3_objects.get_object,
    ("GET", "partNumber"): s3_objects.get_object,
    ("HEAD", "partNumber"): s3_objects.get_object,
    ("GET", "attributes"): s3_objects.get_attributes,
    ("GET", "tagging"): s3_objects.get_tagging,
    ("GET", "uploadId"): s3_multipart.list_parts,
    ("PUT", ""): s3_objects.put_object,
    ("PUT", "uploadId"): s3_multipart.upload_part,
    ("POST", "uploads"): s3_multipart.create,
    ("POST", "uploadId"): s3_multipart.complete,
    ("DELETE", ""): s3_objects.delete_object,
    ("DELETE", "uploadId"): s3_multipart.abort,
}


def handle(call: Call) -> Response:
    """Answer one S3 request."""
    try:
        bucket, key = _address(call)
        response = _operation(call, bucket, key)(call, bucket, key)
    except (AwsError, ObjectError) as error:
        if error.code == "NoSuchBucket":
            call.services.guard.note(call.caller, error.message)
        return error_response(call.request.method, error, call.request.path, call.request_id)
    response.headers = [*response.headers, ("x-amz-request-id", call.request_id), ("Server", "wherry")]
    return response


def error_response(method: str, error: AwsError | ObjectError, resource: str, request_id: str) -> Response:
    """The error as S3 writes it."""
    status = error.status if isinstance(error, AwsError) else STATUSES.get(error.code, 400)
    content = elements(
        [("Code", error.code), ("Message", error.message), ("Resource", resource), ("RequestId", request_id)]
    )
    own = error.headers if isinstance(error, AwsError) else ()
    headers = [*own, ("x-amz-request-id", request_id), ("Server", "wherry")]
    if status == 304:
        return Response(status=status, headers=headers)
    headers.append(("Content-Type", "application/xml"))
    body = f"{HEADER}<Error>{content}</Error>".encode()
    return Response(status=status, headers=headers, body=b"" if method == "HEAD" else body)


def _address(call: Call) -> tuple[str, str]:
    path = decoded(call.request.path)
    host = call.request.headers.get("host", "").partition(":")[0].lower()
    if host.endswith(".localhost"):
        return host.removesuffix(".localhost"), path[1:]
    bucket, _, key = path[1:].partition("/")
    return bucket, key


def _operation(call: Call, bucket: str, key: str) -> Handler:
    method = call.request.method
    wanted = [name for name in call.query if name in SUBRESOURCES]
    if "uploadId" in wanted:
        wanted = ["uploadId"]
    if call.query.get("versionId", "null") != "null":
        raise AwsError("NoSuchVersion", "there is no such version: buckets are not versioned here", 404)
    if not bucket:
        if method == "GET" and not wanted:
            return s3_buckets.list_buckets
        raise AwsError("MethodNotAllowed", f"{method} / is not an operation of S3", 405)
    operations = OBJECT_OPERATIONS if key else BUCKET_OPERATIONS
    operation = operations.get((method, wanted[0] if wanted else ""))
    if operation is None or len(wanted) > 1:
        what = f"{method} with `{'`, `'.join(wanted)}`" if wanted else method
        raise AwsError(
            "NotImplemented",
            f"wherry's S3 has no {what} of {'an object' if key else 'a bucket'}; point this client at a full emulator, "
            "or at AWS, with AWS_ENDPOINT_URL_S3",
            501,
        )
    return operation
