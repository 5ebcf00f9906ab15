"""The neighbour of every container on ECS: where this task is and logs, and its protection while it works.

Source: ECS Developer Guide, "Task metadata endpoint version 4", "Task scale-in protection endpoint".
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from wherry.agent.credentials import ask, get

#: The least and the most that a protection lasts, in minutes; ECS takes 1 to 2,880.
_SHORTEST, _LONGEST = 10, 2_880


def whereabouts(environment: Mapping[str, str]) -> dict[str, str]:
    """`task` (its ARN), `group` and `stream` of its log; what is not known is left out."""
    found: dict[str, str] = {}
    uri = environment.get("ECS_CONTAINER_METADATA_URI_V4")
    if not uri:
        return found
    container = _metadata(uri)
    task = (container.get("Labels") or {}).get("com.amazonaws.ecs.task-arn") or _metadata(f"{uri}/task").get("TaskARN")
    options = container.get("LogOptions") or {}
    if task:
        found["task"] = str(task)
    if options.get("awslogs-group") and options.get("awslogs-stream"):
        found |= {"group": options["awslogs-group"], "stream": options["awslogs-stream"]}
    return found


def _metadata(uri: str) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        found = json.loads(get(uri)[1])
        if isinstance(found, dict):
            return found
    return {}


class Protection:
    """Keeps the service from stopping this task while it works; what goes wrong with that is told, and is no more."""

    def __init__(self, visibility: timedelta, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        uri = environment.get("ECS_AGENT_URI")
        self._url = f"{uri}/task-protection/v1/state" if uri else ""
        self._tell = tell
        #: Longer than a message is hidden: then it is the message, not the protection, that says when somebody died.
        wanted = math.ceil(3 * visibility.total_seconds() / 60)
        self._minutes = min(max(wanted, _SHORTEST), _LONGEST)
        self._put_at = 0.0
        self.is_on = False

    def keep(self) -> None:
        """Protect the task from now on; renews what has lasted a third of its time."""
        now = time.monotonic()
        if not self.is_on or now > self._put_at + 20 * self._minutes:
            self.is_on, self._put_at = True, now
            self._put({"ProtectionEnabled": True, "ExpiresInMinutes": self._minutes})

    def off(self) -> None:
        """The task may be stopped."""
        if self.is_on:
            self.is_on = False
            self._put({"ProtectionEnabled": False})

    def _put(self, wanted: Mapping[str, Any]) -> None:
        if not self._url:
            return
        try:
            status, body = ask("PUT", self._url, {"Content-Type": "application/json"}, json.dumps(wanted).encode())
            answer = json.loads(body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._tell(f"ECS does not take the task's protection: {str(error) or type(error).__name__}")
            return
        refused = answer.get("failure") or answer.get("error") if isinstance(answer, dict) else answer
        if status != http.client.OK or refused:
            self._tell(f"ECS does not take the task's protection: {json.dumps(refused or answer)[:300]}")
