"""S3: objects put, got, copied and deleted. Their bytes pass through in pieces and are never held as a whole."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator

from wherry.gateway.beside import Beside
from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.gateway.http import FileBody, Response
from wherry.gateway.payload import Payload
from wherry.gateway.s3_conditions import check_read, http_date, part_range, range_of, write_conditions
from wherry.gateway.text import decoded
from wherry.gateway.xml import document, element, elements, parse
from wherry.local.buckets import OpenObject
from wherry.local.checksums import HEADERS
from wherry.local.multipart import copy
from wherry.local.objects import Attributes, ObjectInfo
from wherry.local.spool import Spooled

#: Headers that S3 keeps with an object and gives back.
KEPT_HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
_META = "x-amz-meta-"
#: Headers of a put whose meaning would be lost here.
_REFUSED_HEADERS = (
    "x-amz-tagging",
    "x-amz-object-lock-mode",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
)
#: S3's limit for user metadata, in bytes.
_MOST_METADATA = 2048
#: The largest document of a request, in bytes: DeleteObjects with 1,000 long keys fits.
LARGEST_DOCUMENT = 8 << 20
_MOST_DELETED = 1000
#: From this size on a body is written and hashed by two threads, in bytes. Parts of an upload come several at a time
#: as it is, and are shorter.
LONG_BODY = 32 << 20
#: Query parameter of a get -> the header that it replaces.
_OVERRIDES = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-expires": "Expires",
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
}


def put_object(call: Call, bucket: str, key: str) -> Response:
    """PutObject; with x-amz-copy-source CopyObject."""
    call.services.buckets.folder(bucket)
    call.services.guard.may_write(call.caller, bucket)
    headers = call.request.headers
    if "x-amz-copy-source" in headers:
        return _copy_object(call, bucket, key)
    conditions = write_conditions(headers)
    attributes = attributes_of(call)
    with call.services.buckets.receive(bucket, key) as incoming:
        sums = receive(call, incoming)
        info = incoming.commit(_with_sums(attributes, sums), conditions)
    return Response(headers=[("ETag", f'"{info.etag}"'), *_sum_headers(info)])


def receive(call: Call, spooled: Spooled) -> dict[str, str]:
    """Take a body into the spool and verify it; gives its checksums."""
    payload = Payload(call.request, call.signature)
    if (call.request.body.length or 0) < LONG_BODY:
        for piece in payload:
            spooled.write(piece)
    else:
        with Beside(spooled.write) as writer:
            for piece in payload:
                writer.give(piece)
    return payload.verify(spooled.md5())


def get_object(call: Call, bucket: str, key: str) -> Response:
    """GetObject and HeadObject."""
    opened = open_for(call, bucket, key)
    try:
        return _answer(call, opened)
    except BaseException:
        opened.close()
        raise


def open_for(call: Call, bucket: str, key: str) -> OpenObject:
    """Open an object for the caller; raises AwsError and ObjectError."""
    call.services.buckets.folder(bucket)
    call.services.guard.may_read(call.caller, bucket, key)
    return call.services.buckets.open(bucket, key)


def _answer(call: Call, opened: OpenObject) -> Response:
    info, query = opened.info, call.query
    check_read(call.request.headers, info)
    headers = object_headers(info, checksums=call.request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED")
    if "partNumber" in query:
        # An empty object has a first part, but no range of bytes.
        part = part_range(query["partNumber"], info) if info.size else None
        if info.attributes.part_sizes:
            headers.append(("x-amz-mp-parts-count", str(len(info.attributes.part_sizes))))
    else:
        part = range_of(call.request.headers.get("range"), info.size)
    offset, length = part or (0, info.size)
    if part is not None:
        headers.append(("Content-Range", f"bytes {offset}-{offset + length - 1}/{info.size}"))
        # A checksum is the whole object's; a client would hold the part against it.
        headers = [pair for pair in headers if not pair[0].startswith("x-amz-checksum-")]
    replaced = {_OVERRIDES[name]: _header_value(name, value) for name, value in query.items() if name in _OVERRIDES}
    headers = [pair for pair in headers if pair[0] not in replaced] + list(replaced.items())
    status = 206 if part is not None else 200
    if call.request.method == "HEAD":
        opened.close()
        return Response(status=status, headers=headers, length=length)
    body = FileBody(descriptor=opened.descriptor, offset=offset, length=length, close=opened.close)
    return Response(status=status, headers=headers, body=body)


def _header_value(name: str, value: str) -> str:
    """A header's value that came in a URL; a line break in it would begin another header."""
    if not value.isprintable() or any(ord(letter) > 255 for letter in value):
        raise AwsError("InvalidArgument", f"{name} cannot be represented using ISO-8859-1", 400)
    return value


def object_headers(info: ObjectInfo, *, checksums: bool) -> list[tuple[str, str]]:
    """What is told of an object with its content or without."""
    attributes = info.attributes
    headers = [
        ("ETag", f'"{info.etag}"'),
        ("Last-Modified", http_date(info.modified)),
        ("Accept-Ranges", "bytes"),
        ("Content-Type", attributes.content_type),
        *((name.title(), value) for name, value in attributes.headers.items()),
        *((_META + name, value) for name, value in attributes.metadata.items()),
    ]
    return headers + _sum_headers(info) if checksums else headers


def get_attributes(call: Call, bucket: str, key: str) -> Response:
    """GetObjectAttributes."""
    with open_for(call, bucket, key) as opened:
        info = opened.info
    wanted = {name.strip() for name in call.request.headers.get("x-amz-object-attributes", "").split(",")}
    sums = "".join(element(f"Checksum{name}", value) for name, value in info.attributes.checksums.items())
    parts = len(info.attributes.part_sizes)
    known = {
        "ETag": element("ETag", info.etag),
        "Checksum": f"<Checksum>{sums}{element('ChecksumType', info.attributes.checksum_type)}</Checksum>"
        if sums
        else "",
        "ObjectParts": f"<ObjectParts>{element('TotalPartsCount', parts)}</ObjectParts>" if parts else "",
        "StorageClass": element("StorageClass", "STANDARD"),
        "ObjectSize": element("ObjectSize", info.size),
    }
    if not wanted or not wanted <= known.keys():
        raise AwsError("InvalidArgument", f"x-amz-object-attributes may name {', '.join(known)}", 400)
    content = "".join(text for name, text in known.items() if name in wanted)
    headers = [("Last-Modified", http_date(info.modified))]
    return document("GetObjectAttributesResponse", content, headers)


def get_tagging(call: Call, bucket: str, key: str) -> Response:
    """GetObjectTagging: objects have no tags here, and clients that copy ask."""
    open_for(call, bucket, key).close()
    return document("Tagging", "<TagSet></TagSet>")


def delete_object(call: Call, bucket: str, key: str) -> Response:
    """DeleteObject: what is not there is deleted."""
    call.services.buckets.folder(bucket)
    call.services.guard.may_write(call.caller, bucket)
    if "if-match" in call.request.headers:
        raise AwsError("NotImplemented", "wherry's S3 has no conditional deletes", 501)
    call.services.buckets.delete(bucket, key)
    return Response(status=204)


def delete_objects(call: Call, bucket: str, key: str) -> Response:  # noqa: ARG001 - every operation has one shape
    """DeleteObjects: up to 1,000 at once."""
    call.services.buckets.folder(bucket)
    call.services.guard.may_write(call.caller, bucket)
    root = parse(small_document(call))
    keys = [node.findtext("Key") or "" for node in root.findall("Object")]
    if not 1 <= len(keys) <= _MOST_DELETED or "" in keys:
        raise AwsError("MalformedXML", "name from 1 to 1,000 keys", 400)
    if any((node.findtext("VersionId") or "null") != "null" for node in root.findall("Object")):
        raise AwsError("NoSuchVersion", "there is no such version: buckets are not versioned here", 404)
    if root.find("Object/ETag") is not None:
        raise AwsError("NotImplemented", "wherry's S3 has no conditional deletes", 501)
    call.services.buckets.delete(bucket, *keys)
    quiet = root.findtext("Quiet") == "true"
    return document(
        "DeleteResult", "" if quiet else "".join(f"<Deleted>{element('Key', each)}</Deleted>" for each in keys)
    )


def small_document(call: Call, *, has_checksums: bool = True) -> bytes:
    """The whole of a small body, verified; raises AwsError."""
    pieces, size, md5 = [], 0, hashlib.md5(usedforsecurity=False)
    payload = Payload(call.request, call.signature, has_checksums=has_checksums)
    for piece in payload:
        size += len(piece)
        if size > LARGEST_DOCUMENT:
            raise AwsError("MalformedXML", "the XML you provided is too large", 400)
        md5.update(piece)
        pieces.append(piece)
    payload.verify(md5.digest())
    return b"".join(pieces)


def attributes_of(call: Call) -> Attributes:
    """What the headers of a put or of a new upload say of the object."""
    headers = call.request.headers
    metadata = {name.removeprefix(_META): value for name, value in headers.items() if name.startswith(_META)}
    if sum(len(name) + len(value) for name, value in metadata.items()) > _MOST_METADATA:
        raise AwsError("MetadataTooLarge", "user metadata may have 2,048 bytes at most", 400)
    for name in _REFUSED_HEADERS:
        if headers.get(name):
            raise AwsError("NotImplemented", f"wherry's S3 keeps no `{name}`", 501)
    kept = {name: headers[name] for name in KEPT_HEADERS if headers.get(name)}
    coding = [part.strip() for part in kept.pop("content-encoding", "").split(",")]
    coding = [part for part in coding if part and part != "aws-chunked"]  # that one is the transfer's, not the object's
    if coding:
        kept["content-encoding"] = ",".join(coding)
    content_type = headers.get("content-type") or "binary/octet-stream"
    return Attributes(content_type=content_type, headers=kept, metadata=metadata)


def copy_source(call: Call) -> tuple[str, str]:
    """Bucket and key of x-amz-copy-source; raises AwsError."""
    source, _, version = call.request.headers["x-amz-copy-source"].partition("?versionId=")
    if version not in ("", "null"):
        raise AwsError("NoSuchVersion", "there is no such version: buckets are not versioned here", 404)
    bucket, slash, key = decoded(source).removeprefix("/").partition("/")
    if not slash or not key:
        raise AwsError("InvalidArgument", "x-amz-copy-source must be BUCKET/KEY", 400)
    return bucket, key


@contextlib.contextmanager
def _open_source(call: Call) -> Iterator[OpenObject]:
    bucket, key = copy_source(call)
    with open_for(call, bucket, key) as opened:
        check_read(call.request.headers, opened.info, "x-amz-copy-source-")
        yield opened


def _copy_object(call: Call, bucket: str, key: str) -> Response:
    headers = call.request.headers
    replace = headers.get("x-amz-metadata-directive", "COPY").upper() == "REPLACE"
    if copy_source(call) == (bucket, key) and not replace:
        raise AwsError(
            "InvalidRequest",
            "this copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata",
            400,
        )
    with _open_source(call) as opened, call.services.buckets.receive(bucket, key) as incoming:
        source = opened.info
        copy(opened.descriptor, 0, incoming.descriptor, 0, source.size)
        attributes = _as_one_piece(source.attributes)
        if replace:
            attributes = _with_sums(attributes_of(call), dict(attributes.checksums))
        incoming.hash_content()
        info = incoming.commit(attributes, write_conditions(headers), "CopyObject")
    content = elements([("LastModified", f"{info.modified:%Y-%m-%dT%H:%M:%S}.000Z"), ("ETag", f'"{info.etag}"')])
    return document("CopyObjectResult", content)


def _as_one_piece(attributes: Attributes) -> Attributes:
    if not attributes.part_sizes:
        return attributes
    # A composite checksum speaks of parts that the copy does not have.
    return dataclasses.replace(attributes, part_sizes=(), checksums={}, checksum_type="FULL_OBJECT")


def _with_sums(attributes: Attributes, sums: dict[str, str]) -> Attributes:
    return dataclasses.replace(attributes, checksums=sums) if sums else attributes


def _sum_headers(info: ObjectInfo) -> list[tuple[str, str]]:
    sums = info.attributes.checksums
    if not sums:
        return []
    return [
        *((HEADERS[name], value) for name, value in sums.items()),
        ("x-amz-checksum-type", info.attributes.checksum_type),
    ]
