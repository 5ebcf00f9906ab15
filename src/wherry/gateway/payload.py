"""A body as it was meant: unwrapped from aws-chunked, its signature and its checksums verified while it streams by.

Source: Amazon S3 API Reference, "Signature calculations: transferring payload in multiple chunks", "... with trailing
headers"; Amazon S3 User Guide, "Checking object integrity".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator

from wherry.gateway.errors import AwsError
from wherry.gateway.http import Request
from wherry.gateway.sigv4 import Signature, same
from wherry.local.checksums import HEADERS, new_digest

_EMPTY = hashlib.sha256(b"").hexdigest()
_LONGEST_LINE = 4096
_SIZE = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(r"[0-9A-Fa-f]{1,15}")


class Payload:
    """The content of a request's body; iterate it once, then ask for its checksums."""

    def __init__(self, request: Request, signature: Signature, *, has_checksums: bool = True) -> None:
        self._request = request
        self._signature = signature
        #: Of a completion the checksums in the head are those of the object, not of the document that is sent.
        self._digests = {name: new_digest(name) for name in _announced(request)} if has_checksums else {}
        self._trailers: dict[str, str] = {}
        self._sha = hashlib.sha256() if len(signature.payload) == 64 else None
        self._md5 = request.headers.get("content-md5")

    def __iter__(self) -> Iterator[bytes]:
        """The content; raises AwsError as soon as something does not fit."""
        if self._signature.payload.startswith("STREAMING-"):
            pieces = _Unwrapped(self._request, self._signature, self._trailers).pieces()
        else:
            pieces = iter(self._request.body.read, b"")
        expected, size = self._expected_length(), 0
        for piece in pieces:
            size += len(piece)
            for digest in self._digests.values():
                digest.update(piece)
            if self._sha:
                self._sha.update(piece)
            yield piece
        if expected is not None and size != expected:
            raise AwsError("IncompleteBody", f"the body has {size} bytes, and {expected} were announced", 400)

    def verify(self, md5: bytes) -> dict[str, str]:
        """After the last piece: check every sum that the client gave; gives the checksums, in Base64, to be kept."""
        if self._sha and self._sha.hexdigest() != self._signature.payload:
            raise AwsError("XAmzContentSHA256Mismatch", "the body's SHA-256 is not the one that was signed", 400)
        if self._md5 is not None:
            _check_md5(self._md5, md5)
        sums = {name: base64.b64encode(digest.digest()).decode() for name, digest in self._digests.items()}
        for name, value in sums.items():
            given = self._request.headers.get(HEADERS[name]) or self._trailers.get(HEADERS[name])
            if given is None:
                raise AwsError("InvalidRequest", f"the checksum {HEADERS[name]} was announced and did not come", 400)
            if given != value:
                raise AwsError("BadDigest", f"the {name} you gave does not match what we calculated", 400)
        return sums

    def _expected_length(self) -> int | None:
        decoded = self._request.headers.get("x-amz-decoded-content-length")
        return int(decoded) if decoded and _SIZE.fullmatch(decoded) else None


def _announced(request: Request) -> list[str]:
    """The algorithms of the checksums that come with a request, in its head or behind its body."""
    trailer = request.headers.get("x-amz-trailer", "").lower()
    return [name for name, header in HEADERS.items() if header in request.headers or header in trailer.split(",")]


def _check_md5(given: str, md5: bytes) -> None:
    try:
        wanted = base64.b64decode(given, validate=True)
    except ValueError:
        wanted = b""
    if len(wanted) != 16:
        raise AwsError("InvalidDigest", "the Content-MD5 you specified is not valid", 400)
    if wanted != md5:
        raise AwsError("BadDigest", "the Content-MD5 you specified did not match what we received", 400)


class _Unwrapped:
    """The aws-chunked coding: `SIZE;chunk-signature=...` lines, chunks, trailers."""

    def __init__(self, request: Request, signature: Signature, trailers: dict[str, str]) -> None:
        self._body = request.body
        self._buffer = b""
        self._signature = signature
        self._signed = "UNSIGNED" not in signature.payload
        self._trailing = signature.payload.endswith("-TRAILER")
        self._previous = signature.signature
        self._trailers = trailers

    def pieces(self) -> Iterator[bytes]:
        while True:
            size, signature = self._head()
            hasher = hashlib.sha256() if self._signed else None
            left = size
            while left:
                piece = self._take(left)
                left -= len(piece)
                if hasher:
                    hasher.update(piece)
                yield piece
            if hasher:
                self._check(f"AWS4-HMAC-SHA256-PAYLOAD\n{{}}\n{_EMPTY}\n{hasher.hexdigest()}", signature)
            if size == 0:
                self._end()
                return
            if self._line():
                raise AwsError("IncompleteBody", "a chunk is longer than it says", 400)

    def _end(self) -> None:
        text = ""
        signature = ""
        while line := self._line(allow_end=True):
            name, _, value = line.partition(":")
            if name.lower() == "x-amz-trailer-signature":
                signature = value.strip()
            else:
                self._trailers[name.lower().strip()] = value.strip()
                text += f"{name.lower().strip()}:{value.strip()}\n"
        if self._signed and self._trailing:
            self._check(f"AWS4-HMAC-SHA256-TRAILER\n{{}}\n{hashlib.sha256(text.encode()).hexdigest()}", signature)
        while self._body.read():
            pass

    def _check(self, template: str, given: str) -> None:
        middle = f"{self._signature.date}\n{self._signature.scope}\n{self._previous}"
        wanted = hmac.new(self._signature.key, template.format(middle).encode(), "sha256").hexdigest()
        if not same(wanted, given):
            raise AwsError("SignatureDoesNotMatch", "the signature of a chunk does not match", 403)
        self._previous = wanted

    def _head(self) -> tuple[int, str]:
        size, _, extension = self._line().partition(";")
        if not _CHUNK_SIZE.fullmatch(size):
            raise AwsError("IncompleteBody", "a chunk has no size", 400)
        return int(size, 16), extension.removeprefix("chunk-signature=").strip()

    def _take(self, most: int) -> bytes:
        if not self._buffer:
            self._buffer = self._body.read()
            if not self._buffer:
                raise AwsError("IncompleteBody", "the body ended in the middle of a chunk", 400)
        piece, self._buffer = self._buffer[:most], self._buffer[most:]
        return piece

    def _line(self, *, allow_end: bool = False) -> str:
        while b"\n" not in self._buffer:
            data = self._body.read(_LONGEST_LINE)
            if not data and allow_end and not self._buffer:
                return ""
            if not data or len(self._buffer) > _LONGEST_LINE:
                raise AwsError("IncompleteBody", "the body ended in the middle of a line", 400)
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("latin-1").removesuffix("\r")
