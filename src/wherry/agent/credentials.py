"""Who the worker is to AWS: the task role's credentials, which ECS hands out, or those of the environment.

Source: ECS Developer Guide, "Task IAM role"; AWS SDKs Reference Guide, "Container credential provider".
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from wherry.agent.signing import Keys

_ECS = "http://169.254.170.2"
_PLACES = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_TIMEOUT = 5.0
#: New ones are asked for so long before the old ones end.
_EARLY = timedelta(minutes=10)


class NoCredentials(Exception):
    """Nobody says who we are."""


class Credentials:
    """Gives keys that are good now; any number of threads ask."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._keys: Keys | None = None
        self._until: datetime | None = None

    def keys(self) -> Keys:
        """The keys; raises NoCredentials. Those that still work are used when there are no new ones to be had."""
        with self._lock:
            now = datetime.now(timezone.utc)
            until = self._until
            if self._keys is None:
                self._keys, self._until = self._found()
            elif until is not None and now > until - _EARLY:
                try:
                    self._keys, self._until = self._found()
                except NoCredentials:
                    if now > until:
                        raise
            return self._keys

    def forget(self) -> None:
        """AWS does not take them any more: ask for new ones."""
        with self._lock:
            self._keys = None

    def _found(self) -> tuple[Keys, datetime | None]:
        given = self._environment
        # a job's secrets are variables as well: keys among them are for its command, and not who we are
        is_task = any(given.get(name) for name in _PLACES)
        if not is_task and given.get("AWS_ACCESS_KEY_ID") and given.get("AWS_SECRET_ACCESS_KEY"):
            token = given.get("AWS_SESSION_TOKEN", "")
            return Keys(given["AWS_ACCESS_KEY_ID"], given["AWS_SECRET_ACCESS_KEY"], token), None
        found = self._asked()
        try:
            keys = Keys(found["AccessKeyId"], found["SecretAccessKey"], found.get("Token", ""))
            end = found.get("Expiration")
            return keys, datetime.fromisoformat(end.replace("Z", "+00:00")) if end else None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise NoCredentials(f"ECS gives no credentials but {json.dumps(found)[:200]}") from None

    def _asked(self) -> Any:
        url = self._environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
        if relative := self._environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            url = f"{_ECS}{relative}"
        if not url:
            raise NoCredentials("there are no credentials: neither AWS_CONTAINER_CREDENTIALS_... nor AWS_ACCESS_KEY_ID")
        try:
            status, body = get(url, self._authorization())
            found = json.loads(body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoCredentials(f"ECS does not give the task role's credentials: {error}") from None
        if status != http.client.OK:
            raise NoCredentials(f"ECS does not give the task role's credentials: {body.decode(errors='replace')[:200]}")
        return found

    def _authorization(self) -> dict[str, str]:
        token = self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if path := self._environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            with open(path, encoding="utf-8") as file:
                token = file.read().strip()
        return {"Authorization": token} if token else {}


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Ask a neighbour, ECS's agent; raises OSError and HTTPException."""
    return ask("GET", url, headers or {})


def ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> tuple[int, bytes]:
    """The same with any method."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT)
    try:
        query = f"?{parts.query}" if parts.query else ""
        connection.request(method, f"{parts.path or '/'}{query}", body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
