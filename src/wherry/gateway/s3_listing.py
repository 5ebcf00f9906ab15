"""S3: ListObjects in both versions, with delimiters and pages."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.gateway.http import Response
from wherry.gateway.text import number_in
from wherry.gateway.xml import document, element, elements
from wherry.local.buckets import Buckets
from wherry.local.objects import ObjectInfo
from wherry.model import LOCAL_ACCOUNT

MOST_KEYS = 1000
#: How many keys are read at once where the first of them may be a folder of thousands.
_FIRST_LOOK = 4


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of a listing: objects and common prefixes, together at most `max-keys`."""

    contents: list[ObjectInfo]
    prefixes: list[str]
    #: The last key or prefix on the page when there are more behind it, else None.
    last: str | None


def page_of(buckets: Buckets, bucket: str, *, prefix: str, delimiter: str, after: str, limit: int) -> Page:
    """A page of what is under `prefix` and behind `after`; a common prefix is passed over in one step."""
    contents: list[ObjectInfo] = []
    prefixes: list[str] = []
    last = after
    if delimiter and after.startswith(prefix) and delimiter in after[len(prefix) :]:
        after = _end_of(_common(after, prefix, delimiter))
    batch = _FIRST_LOOK if delimiter else MOST_KEYS + 1
    while True:
        # One more than is wanted tells whether there is more.
        most = min(batch, limit - len(contents) - len(prefixes) + 1)
        found = buckets.listing(bucket, prefix=prefix, after=after, limit=most)
        batch *= 4
        for info in found:
            if len(contents) + len(prefixes) == limit:
                return Page(contents=contents, prefixes=prefixes, last=last)
            if delimiter and delimiter in info.key[len(prefix) :]:
                last = _common(info.key, prefix, delimiter)
                prefixes.append(last)
                after = _end_of(last)
                batch = _FIRST_LOOK
                break
            contents.append(info)
            last = after = info.key
        else:
            if len(found) < most:
                return Page(contents=contents, prefixes=prefixes, last=None)


def _common(key: str, prefix: str, delimiter: str) -> str:
    return key[: key.index(delimiter, len(prefix)) + len(delimiter)]


def _end_of(common: str) -> str:
    """A text behind every key that begins with the common prefix (a key has 1,024 bytes at most), before all others."""
    return common + "\U0010ffff" * 256


def list_objects(call: Call, bucket: str, key: str) -> Response:  # noqa: ARG001 - every operation has one shape
    """ListObjects, version 1."""
    marker = call.query.get("marker", "")
    page, wanted = _page(call, bucket, marker)
    encode = _encoder(call)
    content = elements(
        [
            ("Name", bucket),
            ("Prefix", encode(call.query.get("prefix", ""))),
            ("Marker", encode(marker)),
            ("NextMarker", encode(page.last) if page.last and call.query.get("delimiter") else None),
            ("MaxKeys", wanted),
            ("Delimiter", encode(call.query["delimiter"]) if call.query.get("delimiter") else None),
            ("EncodingType", call.query.get("encoding-type")),
            ("IsTruncated", page.last is not None),
        ]
    )
    return document("ListBucketResult", content + _listed(call, page, owner=True))


def list_objects_v2(call: Call, bucket: str, key: str) -> Response:  # noqa: ARG001
    """ListObjectsV2."""
    if call.query["list-type"] != "2":
        raise AwsError("InvalidArgument", "list-type must be 2", 400)
    token = call.query.get("continuation-token")
    start = call.query.get("start-after", "")
    page, wanted = _page(call, bucket, start if token is None else _after(token))
    encode = _encoder(call)
    content = elements(
        [
            ("Name", bucket),
            ("Prefix", encode(call.query.get("prefix", ""))),
            ("StartAfter", encode(start) if start else None),
            ("ContinuationToken", token),
            ("NextContinuationToken", _token(page.last) if page.last is not None else None),
            ("KeyCount", len(page.contents) + len(page.prefixes)),
            ("MaxKeys", wanted),
            ("Delimiter", encode(call.query["delimiter"]) if call.query.get("delimiter") else None),
            ("EncodingType", call.query.get("encoding-type")),
            ("IsTruncated", page.last is not None),
        ]
    )
    return document("ListBucketResult", content + _listed(call, page, owner=call.query.get("fetch-owner") == "true"))


def _page(call: Call, bucket: str, after: str) -> tuple[Page, int]:
    buckets = call.services.buckets
    buckets.folder(bucket)
    call.services.guard.may_list(call.caller, bucket)
    wanted = min(number_in(call.query, "max-keys", MOST_KEYS), MOST_KEYS)
    if call.query.get("encoding-type", "url") != "url":
        raise AwsError("InvalidArgument", "encoding-type must be url", 400)
    if wanted == 0:
        return Page(contents=[], prefixes=[], last=None), 0
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    return page_of(buckets, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=wanted), wanted


def _listed(call: Call, page: Page, *, owner: bool) -> str:
    encode = _encoder(call)
    owned = f"<Owner>{element('ID', LOCAL_ACCOUNT)}{element('DisplayName', 'wherry')}</Owner>" if owner else ""
    contents = "".join(
        f"<Contents>{element('Key', encode(info.key))}"
        f"<LastModified>{info.modified:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        f"<ETag>&quot;{info.etag}&quot;</ETag><Size>{info.size}</Size>{owned}"
        f"<StorageClass>STANDARD</StorageClass></Contents>"
        for info in page.contents
    )
    prefixes = "".join(
        f"<CommonPrefixes>{element('Prefix', encode(prefix))}</CommonPrefixes>" for prefix in page.prefixes
    )
    return contents + prefixes


def _encoder(call: Call) -> Callable[[str], str]:
    return quote if call.query.get("encoding-type") == "url" else str


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _after(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise AwsError("InvalidArgument", "the continuation token provided is incorrect", 400) from None
