"""AWS Signature Version 4, as far as the worker needs it: no request of its has a query. Pure.

Source: IAM User Guide, "Create a signed AWS API request"; S3 API Reference, "Authenticating Requests".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


class Keys(NamedTuple):
    """Credentials."""

    access_key_id: str
    secret_access_key: str
    #: Empty where they are not temporary.
    token: str = ""


class Request(NamedTuple):
    """One HTTP request before it is signed."""

    method: str
    host: str
    #: Percent-encoded.
    path: str
    headers: Mapping[str, str]
    body: bytes


def encoded(text: str, *, safe: str = "") -> str:
    """Percent-encoded as AWS wants it: all but letters, digits and `-_.~`."""
    return quote(text, safe=f"-_.~{safe}")


def signed(request: Request, keys: Keys, *, service: str, region: str, now: datetime) -> dict[str, str]:
    """The headers of a request, its signature among them; `now` is UTC."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(request.body).hexdigest()
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {"host": request.host, "x-amz-date": stamp, "x-amz-content-sha256": digest}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in sorted(headers))
    canonical = f"{request.method}\n{request.path}\n\n{lines}\n{names}\n{digest}"
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{keys.secret_access_key}".encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={keys.access_key_id}/{scope}"
    return headers | {"authorization": f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"}
