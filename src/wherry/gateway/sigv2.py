"""Signature Version 2 in a presigned URL: what boto3 and the AWS CLI still make in older regions, us-east-1 among them.

Source: Amazon S3 User Guide, "Signing and authenticating REST requests (AWS signature version 2)", query string
authentication. Requests that carry it in a header are refused: no present client sends them.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import unquote

from wherry.gateway.errors import AwsError
from wherry.gateway.http import Request
from wherry.gateway.sigv4 import Signature, same

#: Parameters that are a part of what is signed.
_SIGNED = frozenset(
    """accelerate acl cors defaultObjectAcl location logging partNumber policy requestPayment torrent versioning
    versionId versions website uploads uploadId response-content-type response-content-language response-expires
    response-cache-control response-content-disposition response-content-encoding delete lifecycle tagging restore
    storageClass notification replication requestPayment analytics metrics inventory select select-type
    object-lock""".split()  # noqa: SIM905 - it reads better so
)


def verify_query(request: Request, secret_of: Callable[[str], str], now: datetime) -> Signature:
    """Verify a presigned URL; raises AwsError."""
    pairs = [pair.partition("=") for pair in request.query.split("&") if pair]
    values = {name: unquote(value.replace("+", " ")) for name, _, value in pairs}
    access_key, expires = values.get("AWSAccessKeyId", ""), values.get("Expires", "")
    if not access_key or not (expires.isascii() and expires.isdigit() and len(expires) < 16):
        raise AwsError("AccessDenied", "query-string authentication needs AWSAccessKeyId, Signature and Expires", 403)
    if now > datetime.fromtimestamp(min(int(expires), 1 << 40), UTC):
        raise AwsError("AccessDenied", "Request has expired", 403)
    secret = secret_of(access_key)
    digest = hmac.new(secret.encode(), _text_to_sign(request, values, expires).encode(), "sha1").digest()
    if not same(base64.b64encode(digest).decode(), values.get("Signature", "")):
        raise AwsError(
            "SignatureDoesNotMatch",
            "the signature does not match: the secret key is another one, or the request was changed on its way",
            403,
        )
    return Signature(
        access_key_id=access_key,
        service="s3",
        region="",
        payload="UNSIGNED-PAYLOAD",
        key=b"",
        scope="",
        date="",
        signature="",
    )


def _text_to_sign(request: Request, values: dict[str, str], expires: str) -> str:
    headers = request.headers
    # Headers of x-amz- may also stand in the query of a presigned URL.
    amz = {name: value for name, value in headers.items() if name.startswith("x-amz-")}
    amz |= {name.lower(): value for name, value in values.items() if name.lower().startswith("x-amz-")}
    signed_headers = "".join(f"{name}:{amz[name]}\n" for name in sorted(amz))
    parameters = [f"{name}={values[name]}" if values[name] else name for name in sorted(values) if name in _SIGNED]
    resource = request.path + (f"?{'&'.join(parameters)}" if parameters else "")
    content_md5 = headers.get("content-md5", values.get("content-md5", ""))
    content_type = headers.get("content-type", values.get("content-type", ""))
    return f"{request.method}\n{content_md5}\n{content_type}\n{expires}\n{signed_headers}{resource}"
