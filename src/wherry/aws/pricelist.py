"""AWS's public price list: files that anybody may read, without an account.

Where they are is told by "Getting price list files manually" in the AWS Billing User Guide: a service's
`region_index.json` names the current file of each region.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from wherry.errors import NotFound, WherryError

_PUBLIC = "https://pricing.us-east-1.amazonaws.com"
#: Another place that has the same files: a mirror.
_VARIABLE = "WHERRY_PRICE_LIST"
_TIMEOUT = 20
#: For one file, in seconds, and in bytes.
_LONGEST = 120
_LARGEST = 256 << 20
_CHUNK = 1 << 20


def offer(service: str, region: str) -> dict[str, Any]:
    """The current price list file of a service in a region; raises NotFound for a region that has none, WherryError."""
    index = _json(f"/offers/v1.0/aws/{service}/current/region_index.json")
    regions = index.get("regions")
    if not isinstance(regions, dict):
        raise WherryError(f"the price list of {service} has no regions", hint="the prices stay as they were")
    if region not in regions:
        known = ", ".join(sorted(regions))
        raise NotFound(f"AWS has no prices of {service} for region `{region}`", hint=f"known: {known}")
    path = regions[region].get("currentVersionUrl") if isinstance(regions[region], dict) else None
    if not isinstance(path, str) or not path.startswith("/"):
        raise WherryError(
            f"the price list of {service} names no file for {region}", hint="the prices stay as they were"
        )
    return _json(path)


def _json(path: str) -> dict[str, Any]:
    url = os.environ.get(_VARIABLE, _PUBLIC).rstrip("/") + path
    try:
        found = json.loads(_read(url))
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "reason", None)
        said = reason if isinstance(reason, Exception) else error
        raise WherryError(f"{url}: {said}", hint="the prices stay as they were; is the network there?") from None
    if not isinstance(found, dict):
        raise WherryError(f"{url}: it is no price list", hint="the prices stay as they were")
    return found


def _read(url: str) -> bytes:
    import http.client
    import urllib.request  # costs 30 ms, and only this needs it

    until = time.monotonic() + _LONGEST
    content = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - AWS's, or as its owner wants it
            while chunk := answer.read(_CHUNK):
                content += chunk
                if len(content) > _LARGEST or time.monotonic() > until:
                    raise ValueError("it is too long")
            if answer.length:
                raise EOFError("it breaks off")
    except http.client.HTTPException as error:
        raise EOFError(f"it breaks off: {error!r}") from None
    return bytes(content)
