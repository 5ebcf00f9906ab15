"""AWS Signature Version 4, verified: in the Authorization header, in a presigned URL, and chunk by chunk in a body.

Source: Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)" and its chapters on query
parameters, chunked uploads and trailing headers; IAM User Guide, "Create a signed AWS API request".
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

from wherry.gateway.errors import AwsError
from wherry.gateway.http import Request

ALGORITHM = "AWS4-HMAC-SHA256"
#: How far a client's clock may be off.
SKEW = timedelta(minutes=15)
#: The longest life of a presigned URL, in seconds.
LONGEST_EXPIRY = 604_800

_SECONDS = re.compile(r"[0-9]{1,6}")
_BLANKS = re.compile(r"[ \t]+")
_CREDENTIAL = re.compile(r"([^/,\s]+)/([0-9]{8})/([^/,\s]+)/([^/,\s]+)/aws4_request")
_AUTHORIZATION = re.compile(
    ALGORITHM + r"\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]{64})\s*"
)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A verified request's signature."""

    access_key_id: str
    service: str
    region: str
    #: What the client says of the body: a SHA-256, `UNSIGNED-PAYLOAD`, or `STREAMING-...`.
    payload: str
    #: For signed chunks: the key, the scope and the first link of the chain.
    key: bytes
    scope: str
    date: str
    signature: str


@functools.lru_cache(maxsize=256)
def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key of one day, region and service."""
    key = _hmac(b"AWS4" + secret.encode(), day)
    for part in (region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """What a request says of its signature, not yet verified."""

    access_key_id: str
    day: str
    region: str
    service: str
    #: X-Amz-Date.
    date: str
    signed_headers: list[str]
    payload: str
    signature: str


def verify(request: Request, secret_of: Callable[[str], str], now: datetime, body_of: Callable[[], bytes]) -> Signature:
    """Verify a request; raises AwsError.

    `secret_of` gives an access key's secret or raises AwsError. `body_of` gives the whole body: only S3 says beforehand
    what a body's hash will be, for others it is a part of what is signed.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None:
        claim = _claim_of_header(request, authorization, now, body_of)
        query = _canonical_query(request.query)
    elif "X-Amz-Signature=" in request.query:
        pairs = [pair for pair in request.query.split("&") if pair]
        claim = _claim_of_query(request, pairs, now)
        query = _canonical_query("&".join(pair for pair in pairs if not pair.startswith("X-Amz-Signature=")))
    else:
        raise AwsError(
            "AccessDenied", 'the request is not signed; `eval "$(wherry env)"` gives a client credentials', 403
        )
    _require_signed_amz_headers(request, claim.signed_headers)
    return _check(request, claim, query, secret_of(claim.access_key_id))


def _claim_of_header(request: Request, authorization: str, now: datetime, body_of: Callable[[], bytes]) -> _Claim:
    match = _AUTHORIZATION.fullmatch(authorization)
    if not match:
        if authorization.startswith("AWS "):
            raise AwsError("InvalidRequest", "Signature Version 2 is not spoken here: use AWS4-HMAC-SHA256", 400)
        raise AwsError("AuthorizationHeaderMalformed", "the Authorization header cannot be understood", 400)
    access_key, day, region, service = _credential(match[1])
    date = request.headers.get("x-amz-date") or ""
    _check_clock(date, day, now)
    # Only S3's bodies are verified later, while they stream by.
    payload = request.headers.get("x-amz-content-sha256", "") if service == "s3" else _sha256(body_of())
    if not payload:
        raise AwsError("MissingSecurityHeader", "x-amz-content-sha256 is missing", 400)
    signed = match[2].split(";")
    if "host" not in signed:
        raise AwsError("AuthorizationHeaderMalformed", "SignedHeaders must name `host`", 400)
    return _Claim(
        access_key_id=access_key,
        day=day,
        region=region,
        service=service,
        date=date,
        signed_headers=signed,
        payload=payload,
        signature=match[3],
    )


def _claim_of_query(request: Request, pairs: list[str], now: datetime) -> _Claim:
    parts = (pair.partition("=") for pair in pairs)
    values = {unquote(name): unquote(value.replace("+", " ")) for name, _, value in parts}
    if values.get("X-Amz-Algorithm") != ALGORITHM:
        raise AwsError("AuthorizationQueryParametersError", f"X-Amz-Algorithm only supports {ALGORITHM}", 400)
    access_key, day, region, service = _credential(values.get("X-Amz-Credential", ""))
    date = values.get("X-Amz-Date", "")
    expires = values.get("X-Amz-Expires", "")
    if not _SECONDS.fullmatch(expires) or not 1 <= int(expires) <= LONGEST_EXPIRY:
        raise AwsError("AuthorizationQueryParametersError", "X-Amz-Expires must be from 1 to 604800 seconds", 400)
    moment = _moment(date)
    if not date.startswith(day):
        raise AwsError("AuthorizationQueryParametersError", "the credential is of another day than X-Amz-Date", 400)
    if moment - now > SKEW:
        raise AwsError("AccessDenied", "Request is not valid yet", 403)
    if now > moment + timedelta(seconds=int(expires)):
        raise AwsError("AccessDenied", "Request has expired", 403)
    signed = values.get("X-Amz-SignedHeaders", "").split(";")
    if "host" not in signed:
        raise AwsError("AuthorizationQueryParametersError", "X-Amz-SignedHeaders must name `host`", 400)
    return _Claim(
        access_key_id=access_key,
        day=day,
        region=region,
        service=service,
        date=date,
        signed_headers=signed,
        payload=values.get("X-Amz-Content-Sha256") or request.headers.get("x-amz-content-sha256") or "UNSIGNED-PAYLOAD",
        signature=values.get("X-Amz-Signature", ""),
    )


def _check(request: Request, claim: _Claim, query: str, secret: str) -> Signature:
    scope = f"{claim.day}/{claim.region}/{claim.service}/aws4_request"
    key = signing_key(secret, claim.day, claim.region, claim.service)
    for canonical in _canonical(request, claim, query):
        text = f"{ALGORITHM}\n{claim.date}\n{scope}\n{_sha256(canonical)}"
        if same(hmac.digest(key, text.encode(), "sha256").hex(), claim.signature):
            return Signature(
                access_key_id=claim.access_key_id,
                service=claim.service,
                region=claim.region,
                payload=claim.payload,
                key=key,
                scope=scope,
                date=claim.date,
                signature=claim.signature,
            )
    raise AwsError(
        "SignatureDoesNotMatch",
        "the signature does not match: the secret key is another one, or the request was changed on its way",
        403,
    )


def _canonical(request: Request, claim: _Claim, query: str) -> Iterator[bytes]:
    """What was signed: of letters beyond ASCII botocore signs UTF-8 and sends Latin-1; others sign what they send."""
    names = claim.signed_headers
    values = [request.headers.get(name, "") for name in names]
    before = f"{request.method}\n{canonical_path(request.path, claim.service)}\n{query}\n"
    after = f"\n{';'.join(names)}\n{claim.payload}"
    pairs = zip(names, values, strict=True)
    yield (before + "".join(f"{name}:{' '.join(value.split())}\n" for name, value in pairs) + after).encode()
    if not all(value.isascii() for value in values):
        # A byte that is a no-break space in Latin-1 is a part of a letter in UTF-8.
        pairs = zip(names, (_BLANKS.sub(" ", value).strip(" ") for value in values), strict=True)
        yield (before + "".join(f"{name}:{value}\n" for name, value in pairs) + after).encode("latin-1", "replace")


def same(wanted: str, given: str) -> bool:
    """Compare a signature with what a client gave, whatever letters that has; takes the same time for each."""
    return hmac.compare_digest(wanted.encode(), given.encode())


def canonical_path(path: str, service: str) -> str:
    """The path as it is signed: S3 encodes it once as it is, other services tidy it and encode it twice."""
    if path == "/":
        return path
    if service == "s3":
        return quote(unquote(path, encoding="latin-1"), safe="/-_.~", encoding="latin-1")
    if "//" in path or "/." in path:
        path = _without_dots(path)
    return quote(path, safe="/-_.~", encoding="latin-1")


def _without_dots(path: str) -> str:
    """Without `.`, `..` and empty parts (RFC 3986, 5.2.4); a slash at the end stays."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == ".." and kept:
            kept.pop()
        elif part not in ("", ".", ".."):
            kept.append(part)
    return f"/{'/'.join(kept)}{'/' if kept and path.endswith('/') else ''}"


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = []
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            pairs.append((_recoded(name), _recoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _recoded(text: str) -> str:
    return quote(unquote(text.replace("+", " "), encoding="latin-1"), safe="-_.~", encoding="latin-1")


def _credential(text: str) -> tuple[str, str, str, str]:
    match = _CREDENTIAL.fullmatch(text)
    if not match:
        raise AwsError("AuthorizationHeaderMalformed", "the credential is not KEY/DAY/REGION/SERVICE/aws4_request", 400)
    return match[1], match[2], match[3], match[4]


def _check_clock(date: str, day: str, now: datetime) -> None:
    if not date:
        raise AwsError("AccessDenied", "AWS authentication requires the header x-amz-date", 403)
    if not date.startswith(day):
        raise AwsError("AuthorizationHeaderMalformed", "the credential is of another day than X-Amz-Date", 400)
    if abs(_moment(date) - now) > SKEW:
        raise AwsError(
            "RequestTimeTooSkewed",
            "the difference between the request's time and this machine's is more than 15 minutes",
            403,
        )


def _moment(date: str) -> datetime:
    try:
        return _parsed(date)
    except ValueError:
        raise AwsError(
            "AccessDenied", "X-Amz-Date must be an ISO 8601 basic time such as 20260301T100000Z", 403
        ) from None


@functools.lru_cache(maxsize=16)
def _parsed(date: str) -> datetime:
    return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _require_signed_amz_headers(request: Request, signed: list[str]) -> None:
    """Refuse x-amz- headers that anybody could have added on the way, or to a URL that somebody gave away."""
    loose = [name for name in request.headers if name.startswith("x-amz-") and name not in signed]
    if loose == ["x-amz-content-sha256"]:
        return  # it is a line of its own of what is signed
    if loose:
        raise AwsError(
            "AccessDenied", f"there were headers present in the request which were not signed: {loose[0]}", 403
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
