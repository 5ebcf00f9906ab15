"""How an attempt ended, by what ECS says of its task and Step Functions of its state. Pure.

A task is ECS's own description of it with names in PascalCase, as Step Functions hands it on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from wherry import reasons
from wherry.model import Ending, Outcome

#: A task of wherry's own making calls its main container so.
MAIN = "main"
#: What AWS takes back or moves, it does so whatever the job does.
_TAKEN = {
    "SpotInterruption": "AWS took the Spot capacity back",
    "TerminationNotice": "AWS retired the machine that it ran on",
    "InfrastructureHealth": "AWS found the machine that it ran on to be unwell",
}
#: What a start that was refused says when it will be refused again: somebody has to change something first.
_LASTING = re.compile(
    r"not found|does not exist|do not exist|no such file|denied|not authorized|unauthorized|forbidden|invalid|inactive"
    r"|no basic auth|incompatible|exec format error|must be|manifest unknown|unsupported|did not contain json key"
    r"|executable file",
    re.IGNORECASE,
)
#: ... and what it says when it may pass none the less.
_PASSING = re.compile(
    r"capacity|RESOURCE:|AGENT|throttl|rate exceeded|timeout|timed out|toomanyrequests|limit|try again|reset by peer"
    r"|temporarily|AmazonECSException|ServerException|service linked role|unable to assume",
    re.IGNORECASE,
)
#: What ECS says where whoever stops a task gives no reason.
_BY_HAND = "Task stopped by user"
_PREFIX = re.compile(r"^(?:[A-Za-z]+Error|[A-Za-z]+Exception): ?")


def outcome_of(task: Mapping[str, Any], main: str) -> Outcome:
    """The outcome of a task that has stopped; its main container decides, as the run machine decides (`judgement`)."""
    container = container_of(task, main)
    code: int | None = container.get("ExitCode")
    reason = str(container.get("Reason") or "")
    stop_code = str(task.get("StopCode") or "")
    if code == 0:
        return Outcome(ending=Ending.EXITED, exit_code=code)
    if code is not None and stop_code not in _TAKEN and "OutOfMemory" in reason:
        return Outcome(ending=Ending.OUT_OF_MEMORY, exit_code=code, reason=_plain(reason))
    if stop_code in _TAKEN:
        return Outcome(ending=Ending.COULD_NOT_START, exit_code=code, reason=_TAKEN[stop_code], passing=True)
    if stop_code == "UserInitiated":
        return Outcome(ending=Ending.STOPPED, exit_code=code, reason=_stopped(task))
    if code is not None:
        return Outcome(ending=Ending.EXITED, exit_code=code, reason=_plain(reason))
    return not_started(reason or str(task.get("StoppedReason") or "ECS gives no reason"))


def not_started(reason: str) -> Outcome:
    """A start that was refused, for a reason in AWS's words."""
    passing = bool(_PASSING.search(reason)) or not _LASTING.search(reason)
    return Outcome(ending=Ending.COULD_NOT_START, reason=_plain(reason), passing=passing)


def too_late_to_start(task: Mapping[str, Any], main: str, limit: str) -> Outcome:
    """The outcome of a task that had not begun when its time was over, with what ECS says of it.

    Of a task that was stopped ECS says who has done that, which is no reason.
    """
    of_task = "" if task.get("StopCode") == "UserInitiated" else task.get("StoppedReason")
    said = _plain(str(container_of(task, main).get("Reason") or of_task or ""))
    over = f"{reasons.OVER}{said}" if said else " was over"
    return Outcome(ending=Ending.TIMED_OUT, reason=f"{reasons.NOT_BEGUN} `{limit}`{over}")


def of_failure(error: str, cause: str, main: str) -> Outcome:
    """The outcome of a state that failed."""
    task = task_of(cause)
    if task:
        return outcome_of(task, main)
    failures = loaded(cause).get("Failures")
    if isinstance(failures, list) and failures:
        words = [f"{failure.get('Reason', '')} {failure.get('Detail') or ''}".strip() for failure in failures]
        return not_started("; ".join(words))
    return not_started(cause or error)


def task_of(cause: str) -> Mapping[str, Any]:
    """The task that failed: Step Functions puts it into the cause, as JSON; empty when the cause is something else."""
    said = loaded(cause)
    return said if "TaskArn" in said or "Containers" in said else {}


def container_of(task: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A container of a task; empty when there is none of that name."""
    containers = task.get("Containers") or ()
    found: Mapping[str, Any] = next((one for one in containers if one.get("Name") == name), {})
    return found


def main_of(overrides: Mapping[str, Any], task: Mapping[str, Any]) -> str:
    """The name of the container that decides: `main`, else the one that is given the run's command and environment."""
    named = [str(one.get("Name")) for one in overrides.get("ContainerOverrides") or ()]
    there = [str(one.get("Name")) for one in task.get("Containers") or ()]
    if MAIN in (*named, *there) or not (named or there):
        return MAIN
    return (named or there)[0]


def loaded(text: Any) -> Mapping[str, Any]:
    """A JSON object, empty when the text is none: causes may be prose."""
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return {}
    return value if isinstance(value, Mapping) else {}


def moment(value: Any) -> datetime | None:
    """A time, as any of these services writes it: a datetime, ISO 8601, or milliseconds or seconds since 1970."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except ValueError:
            return None
    return None


def pascal(described: Any) -> Any:
    """What ECS itself answers (`taskArn`), with names as Step Functions writes them (`TaskArn`)."""
    if isinstance(described, Mapping):
        return {name[:1].upper() + name[1:]: pascal(value) for name, value in described.items()}
    return [pascal(one) for one in described] if isinstance(described, list) else described


def _plain(reason: str) -> str:
    """In one line, without the name of an exception in front."""
    return _PREFIX.sub("", " ".join(reason.split()))


def _stopped(task: Mapping[str, Any]) -> str:
    said = str(task.get("StoppedReason") or "")
    return "stopped on request" if not said or _BY_HAND in said else f"stopped on request: {said}"
