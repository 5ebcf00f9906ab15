"""S3: ranges and conditions of reads and writes (RFC 9110, sections 13 and 14, as S3 applies them)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from wherry.gateway.errors import AwsError
from wherry.local.objects import Conditions, ObjectInfo

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_PART = re.compile(r"[0-9]{1,5}")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(moment: datetime) -> str:
    """`Sun, 01 Mar 2026 10:00:00 GMT`."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    # strftime takes ten times as long, and speaks the language of the locale.
    return f"{_DAYS[utc.weekday()]}, {utc.day:02} {_MONTHS[utc.month - 1]} {utc.year:04} {utc:%H:%M:%S} GMT"


def check_read(headers: Mapping[str, str], info: ObjectInfo, prefix: str = "") -> None:
    """Raise AwsError PreconditionFailed or NotModified as the conditions in the headers say.

    A matching If-Match wins over If-Unmodified-Since, a failing If-None-Match over If-Modified-Since. `prefix` is
    `x-amz-copy-source-` for the conditions of a copy's source, for which S3 knows no 304.
    """
    modified = info.modified.replace(microsecond=0)
    match = headers.get(f"{prefix}if-match")
    none_match = headers.get(f"{prefix}if-none-match")
    if match is not None:
        if not _names(match, info.etag):
            raise AwsError("PreconditionFailed", "the object has another ETag than If-Match names", 412)
    else:
        since = _date(headers.get(f"{prefix}if-unmodified-since"))
        if since and modified > since:
            raise AwsError("PreconditionFailed", "the object was changed since If-Unmodified-Since", 412)
    if none_match is not None:
        unchanged = _names(none_match, info.etag)
    else:
        since = _date(headers.get(f"{prefix}if-modified-since"))
        unchanged = since is not None and modified <= since
    if unchanged and prefix:
        raise AwsError("PreconditionFailed", "the source is the one that the condition excludes", 412)
    if unchanged:
        told = (("ETag", f'"{info.etag}"'), ("Last-Modified", http_date(info.modified)))
        raise AwsError("NotModified", "Not Modified", 304, told)


def write_conditions(headers: Mapping[str, str]) -> Conditions:
    """The conditions of a put; raises AwsError for those that S3 does not know."""
    none_match, match = headers.get("if-none-match"), headers.get("if-match")
    if none_match is not None and none_match != "*":
        raise AwsError("NotImplemented", "If-None-Match of a write can only be *", 501)
    return Conditions(if_none_match=none_match == "*", if_match=match.strip().strip('"') if match else None)


def range_of(header: str | None, size: int) -> tuple[int, int] | None:
    """(offset, length) of a Range header; None for the whole object. Raises AwsError InvalidRange.

    What is no single range of bytes is ignored, as RFC 9110 has it.
    """
    match = _RANGE.fullmatch(header.strip().replace(" ", "")) if header else None
    if not match or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        length = min(int(last), size)
        offset = size - length
    else:
        offset = int(first)
        end = min(int(last), size - 1) if last else size - 1
        if last and int(last) < offset:
            return None
        length = end - offset + 1
    if length <= 0 or offset >= size:
        raise AwsError("InvalidRange", f"the requested range is not satisfiable: the object has {size} bytes", 416)
    return offset, length


def part_range(number: str, info: ObjectInfo) -> tuple[int, int]:
    """(offset, length) of a part of a multipart upload; an object put in one piece is its own part 1."""
    sizes = info.attributes.part_sizes or (info.size,)
    if not _PART.fullmatch(number) or not 1 <= int(number) <= len(sizes):
        raise AwsError("InvalidPart", f"the object has {len(sizes)} parts", 416)
    return sum(sizes[: int(number) - 1]), sizes[int(number) - 1]


def _names(header: str, etag: str) -> bool:
    return any(name.strip().removeprefix("W/").strip('"') in (etag, "*") for name in header.split(","))


def _date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
