"""Tells a person that AWS is slow today: botocore tries a call again by itself, without a word.

It waits between attempts, longer each time and by chance (botocore's `standard` mode: exponential back-off with full
jitter, 20 seconds at most). Source: boto3 guide, "Retries".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

#: Seconds and attempts that a person waits without a word; seconds also between two words.
_QUIETLY = 4.0
_QUIET_ATTEMPTS = 4
_THROTTLED = 429
_FAULTS = 500
#: What AWS answers with another status than 429 when it is asked too often (botocore's own list).
_THROTTLING = frozenset(
    (
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "RequestThrottled",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
    )
)


def is_passing(*, status: int, code: str) -> bool:
    """True for an answer that may be another one a moment later."""
    return status >= _FAULTS or status == _THROTTLED or code in _THROTTLING


def is_fault(*, status: int, code: str) -> bool:
    """True for an answer that does not say whether AWS has done what it was asked for."""
    return status >= _FAULTS and code not in _THROTTLING


class Patience:
    """Looks on as calls are tried again; any number of threads call at once."""

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._tell = tell
        self._call = threading.local()
        self._saying = threading.Lock()
        self._said_at = float("-inf")

    def watch(self, client: Any) -> None:
        """Look on at all calls of a client of botocore."""
        if self._tell is not None:
            service = client.meta.service_model.service_id.hyphenize()
            client.meta.events.register(f"before-call.{service}", self._begin)
            client.meta.events.register_first(f"needs-retry.{service}", self._look)

    def say(self, began: float, attempt: int, what: str) -> None:
        """Say what AWS does, when a call that began at a moment of the monotonic clock takes long."""
        now = time.monotonic()
        if self._tell is None or (now - began < _QUIETLY and attempt < _QUIET_ATTEMPTS):
            return
        with self._saying:
            if now - self._said_at < _QUIETLY:
                return
            self._said_at = now
        self._tell(f"AWS {what}, attempt {attempt}: trying again")

    def _begin(self, **_: Any) -> None:
        self._call.began = time.monotonic()

    def _look(self, *, response: Any, caught_exception: Any, attempts: int, operation: Any, **_: Any) -> None:
        """After each attempt. Gives nothing: whether there is another one is not ours to say."""
        if why := _trouble(response, caught_exception):
            called = f"{operation.service_model.service_name}:{operation.name}"
            self.say(self._call.began, attempts, f"{why} ({called})")


def _trouble(response: Any, caught: Any) -> str | None:
    """What is wrong for a moment, in words; None when it is not, or not for a moment."""
    if caught is not None:
        return "does not answer"
    http, parsed = response
    code = str(parsed.get("Error", {}).get("Code", "")) if isinstance(parsed, dict) else ""
    if http.status_code == _THROTTLED or code in _THROTTLING:
        return "asks for patience"
    return f"has a fault of its own, {code or http.status_code}" if http.status_code >= _FAULTS else None
