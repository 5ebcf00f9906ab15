"""What a completion of a multipart upload says of its parts, held against those that were received.

Source: Amazon S3 API Reference, CompleteMultipartUpload. Checksums of the whole object are the store's affair.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from wherry.gateway.errors import AwsError
from wherry.local.checksums import HEADERS
from wherry.local.multipart import Part

_NUMBER = re.compile(r"[0-9]{1,5}")
_ETAG = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedPart:
    """A part as the client names it."""

    number: int
    #: Without quotes.
    etag: str
    #: Algorithm -> Base64.
    checksums: Mapping[str, str]


def named_parts(root: ET.Element) -> list[NamedPart]:
    """The parts of a CompleteMultipartUpload document; raises AwsError."""
    parts = []
    for node in root.findall("Part"):
        number, etag = node.findtext("PartNumber") or "", (node.findtext("ETag") or "").strip('"')
        if not _NUMBER.fullmatch(number) or not etag:
            raise AwsError("MalformedXML", "every part needs a PartNumber and an ETag", 400)
        sums = {name: node.findtext(f"Checksum{name}") for name in HEADERS}
        given = {name: value for name, value in sums.items() if value}
        parts.append(NamedPart(number=int(number), etag=etag, checksums=given))
    return parts


def etag_of(named: Sequence[NamedPart]) -> str | None:
    """The ETag of an object made of these parts; None where they have none of ours."""
    if not named or any(not _ETAG.fullmatch(part.etag) for part in named):
        return None
    digests = b"".join(bytes.fromhex(part.etag) for part in named)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(named)}"


def check(named: Sequence[NamedPart], received: Sequence[Part], headers: Mapping[str, str]) -> None:
    """Raise AwsError where the parts' checksums or the size that the client gives are not what was received."""
    by_number = {part.number: part for part in received}
    chosen = [by_number[part.number] for part in named if part.number in by_number]
    if len(chosen) < len(named):
        return  # the completion says which part is missing
    for part, kept in zip(named, chosen, strict=True):
        if any(kept.checksums.get(name, value) != value for name, value in part.checksums.items()):
            raise AwsError("InvalidPart", f"the checksum of part {part.number} is another one", 400)
    size = headers.get("x-amz-mp-object-size")
    if size is not None and size != str(sum(part.size for part in chosen)):
        raise AwsError("InvalidRequest", "x-amz-mp-object-size is not the size of the parts together", 400)
