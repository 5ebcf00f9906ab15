"""The neighbour of every container on ECS: where this task is and logs, and its protection while it works.

Source: ECS Developer Guide, "Task metadata endpoint version 4", "Task scale-in protection endpoint".
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from wherry.agent.credentials import ask, get

#: Minutes that a protection lasts. It is renewed while the worker lives; who dies ends the task, and all is over then.
_MINUTES = 12
#: Seconds until it is asked for again when ECS did not take it.
_AGAIN = 3.0
#: Seconds between two questions for the task's place.
_PAUSE = 0.5


def whereabouts(environment: Mapping[str, str], *, patience: float) -> dict[str, str]:
    """`task` (its ARN), `group` and `stream` of its log; what is not known is left out.

    In the first moments of a task ECS may not know it yet: it is asked again for `patience` seconds.
    """
    uri = environment.get("ECS_CONTAINER_METADATA_URI_V4")
    until = time.monotonic() + patience
    while uri:
        found = _place(uri)
        if "task" in found or time.monotonic() > until:
            return found
        time.sleep(_PAUSE)
    return {}


def _place(uri: str) -> dict[str, str]:
    found: dict[str, str] = {}
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

    def __init__(self, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        uri = environment.get("ECS_AGENT_URI")
        self._url = f"{uri}/task-protection/v1/state" if uri else ""
        self._tell = tell
        self._told = ""
        self._lock = threading.Lock()
        self._put_at = -math.inf
        #: ECS has said that the task is protected.
        self.is_on = False
        #: It was asked for, and ECS has not said since that it is over.
        self._may_be_on = False

    def keep(self) -> None:
        """Protect the task from now on; renews what has lasted a third of its time, and repeats what failed."""
        with self._lock:
            if time.monotonic() > self._put_at + (20 * _MINUTES if self.is_on else _AGAIN):
                self._may_be_on = True
                self.is_on = self._put({"ProtectionEnabled": True, "ExpiresInMinutes": _MINUTES})
                self._put_at = time.monotonic()

    def off(self) -> None:
        """The task may be stopped; what fails is for the next call to repeat."""
        with self._lock:
            if self._may_be_on:
                self.is_on, self._put_at = False, -math.inf
                self._may_be_on = not self._put({"ProtectionEnabled": False})

    def _put(self, wanted: Mapping[str, Any]) -> bool:
        """True when ECS says that it is so; what it says else is told, once."""
        if not self._url:
            return True
        try:
            status, body = ask("PUT", self._url, {"Content-Type": "application/json"}, json.dumps(wanted).encode())
            answer = json.loads(body)
        except (OSError, ValueError, http.client.HTTPException) as error:
            refused = str(error) or type(error).__name__
        else:
            found = answer if isinstance(answer, dict) else {"error": answer}
            state = found.get("protection") or {}
            if status == http.client.OK and state.get("ProtectionEnabled") is wanted["ProtectionEnabled"]:
                self._told = ""
                return True
            refused = json.dumps(found.get("failure") or found.get("error") or found)[:300]
        if refused != self._told:
            self._tell(f"ECS does not take the task's protection: {refused}")
        self._told = refused
        return False
