"""AWS Signature Version 4, verified: in the Authorization header, in a presigned URL, and chunk by chunk in a body.

Source: Amazon S3 API Reference, "Authenticating Requests (AWS Signature Version 4)" and its chapters on query
parameters, chunked uploads and trailing headers; IAM User Guide, "Create a signed AWS API request".
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from collections.abc import Callable
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

_CREDENTIAL = re.compile(r"([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request")
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


def verify(request: Request, secret_of: Callable[[str], str], now: datetime, body_of: Callable[[], bytes]) -> Signature:
    """Verify a request; raises AwsError.

    `secret_of` gives an access key's secret or raises AwsError. `body_of` gives the whole body: only S3 says beforehand
    what a body's hash will be, for others it is a part of what is signed.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return _verify_header(request, authorization, secret_of, now, body_of)
    if "X-Amz-Signature=" in request.query:
        return _verify_query(request, secret_of, now)
    raise AwsError("AccessDenied", 'the request is not signed; `eval "$(wherry env)"` gives a client credentials', 403)


def _verify_header(
    request: Request,
    authorization: str,
    secret_of: Callable[[str], str],
    now: datetime,
    body_of: Callable[[], bytes],
) -> Signature:
    match = _AUTHORIZATION.fullmatch(authorization)
    if not match:
        if authorization.startswith("AWS "):
            raise AwsError("InvalidRequest", "Signature Version 2 is not spoken here: use AWS4-HMAC-SHA256", 400)
        raise AwsError("AuthorizationHeaderMalformed", "the Authorization header cannot be understood", 400)
    access_key, day, region, service = _credential(match[1])
    date = request.headers.get("x-amz-date") or ""
    _check_clock(date, day, now)
    payload = request.headers.get("x-amz-content-sha256") or ""
    if service == "s3" and not payload:
        raise AwsError("MissingSecurityHeader", "x-amz-content-sha256 is missing", 400)
    signed = match[2].split(";")
    if "host" not in signed:
        raise AwsError("AuthorizationHeaderMalformed", "SignedHeaders must name `host`", 400)
    _require_signed_amz_headers(request, signed)
    query = _canonical_query(request.query)
    if not payload:
        payload = hashlib.sha256(body_of()).hexdigest()
    return _check(request, secret_of, access_key, day, region, service, date, signed, query, payload, match[3])


def _verify_query(request: Request, secret_of: Callable[[str], str], now: datetime) -> Signature:
    pairs = [pair.partition("=") for pair in request.query.split("&") if pair]
    values = {unquote(name): unquote(value.replace("+", " ")) for name, _, value in pairs}
    if values.get("X-Amz-Algorithm") != ALGORITHM:
        raise AwsError("AuthorizationQueryParametersError", f"X-Amz-Algorithm only supports {ALGORITHM}", 400)
    access_key, day, region, service = _credential(values.get("X-Amz-Credential", ""))
    date = values.get("X-Amz-Date", "")
    moment = _moment(date)
    expires = values.get("X-Amz-Expires", "")
    if not expires.isdigit() or not 1 <= int(expires) <= LONGEST_EXPIRY:
        raise AwsError("AuthorizationQueryParametersError", "X-Amz-Expires must be from 1 to 604800 seconds", 400)
    if not date.startswith(day):
        raise AwsError("AuthorizationQueryParametersError", "the credential is of another day than X-Amz-Date", 400)
    if moment - now > SKEW:
        raise AwsError("AccessDenied", "Request is not valid yet", 403)
    if now > moment + timedelta(seconds=int(expires)):
        raise AwsError("AccessDenied", "Request has expired", 403)
    signed = values.get("X-Amz-SignedHeaders", "").split(";")
    if "host" not in signed:
        raise AwsError("AuthorizationQueryParametersError", "X-Amz-SignedHeaders must name `host`", 400)
    rest = "&".join("".join(pair) for pair in pairs if pair[0] != "X-Amz-Signature")
    payload = values.get("X-Amz-Content-Sha256") or request.headers.get("x-amz-content-sha256") or "UNSIGNED-PAYLOAD"
    return _check(
        request, secret_of, access_key, day, region, service, date, signed, _canonical_query(rest), payload,
        values.get("X-Amz-Signature", ""),
    )  # fmt: skip


def _check(
    request: Request,
    secret_of: Callable[[str], str],
    access_key: str,
    day: str,
    region: str,
    service: str,
    date: str,
    signed: list[str],
    query: str,
    payload: str,
    signature: str,
) -> Signature:
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed)
    path = canonical_path(request.path, service)
    canonical = f"{request.method}\n{path}\n{query}\n{headers}\n{';'.join(signed)}\n{payload}"
    scope = f"{day}/{region}/{service}/aws4_request"
    text = f"{ALGORITHM}\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = signing_key(secret_of(access_key), day, region, service)
    if not hmac.compare_digest(hmac.new(key, text.encode(), "sha256").hexdigest(), signature):
        raise AwsError(
            "SignatureDoesNotMatch",
            "the signature does not match: the secret key is another one, or the request was changed on its way",
            403,
        )
    return Signature(
        access_key_id=access_key, service=service, region=region, payload=payload, key=key, scope=scope, date=date,
        signature=signature,
    )  # fmt: skip


def canonical_path(path: str, service: str) -> str:
    """The path as it is signed: S3 encodes it once, other services once more."""
    if service == "s3":
        return quote(unquote(path, encoding="latin-1"), safe="/-_.~", encoding="latin-1")
    return quote(path, safe="/-_.~")


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
    if not date.startswith(day) or not day:
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
    """S3 refuses x-amz- headers that anybody could have added on the way."""
    loose = [name for name in request.headers if name.startswith("x-amz-") and name not in signed]
    if loose:
        raise AwsError(
            "AccessDenied", f"there were headers present in the request which were not signed: {loose[0]}", 403
        )


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), "sha256").digest()
