"""What a task has taken, as ECS describes it with names in PascalCase. Pure.

Billed are the size that was asked for and the time from the beginning of the image's pull until the task has stopped
(aws.amazon.com/fargate/pricing; ECS API Reference, Task: `pullStartedAt`, `stoppedAt`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wherry.aws.outcomes import moment
from wherry.model import Usage

_ARCHITECTURE = "ecs.cpu-architecture"


def usage_of(task: Mapping[str, Any], parameters: Mapping[str, Any], *, asked_at: datetime | None) -> Usage | None:
    """What a task has taken; None when it did not come so far, or nothing is known of it.

    `parameters` are those of its RunTask. A task that ran into its timeout is described no more than RunTask has
    answered: it is counted from `asked_at`, when it was asked for; None when it has not run at all.
    """
    pulled = moment(task.get("PullStartedAt"))
    began = pulled or moment(task.get("StartedAt")) or asked_at
    try:
        cpu, memory = int(task["Cpu"]), int(task["Memory"])
    except (KeyError, TypeError, ValueError):
        return None
    if began is None:
        return None
    attributes = {each.get("Name"): each.get("Value") for each in task.get("Attributes") or ()}
    network = (parameters.get("NetworkConfiguration") or {}).get("AwsvpcConfiguration") or {}
    return Usage(
        cpu=cpu,
        memory=memory,
        ephemeral=int((task.get("EphemeralStorage") or {}).get("SizeInGiB") or 20),
        arm=attributes.get(_ARCHITECTURE) == "arm64",
        capacity=_capacity(task),
        public_ip=network.get("AssignPublicIp") == "ENABLED",
        began_at=began,
        ended_at=moment(task.get("StoppedAt")),
        exact=pulled is not None,
    )


def _capacity(task: Mapping[str, Any]) -> str:
    provider = str(task.get("CapacityProviderName") or "")
    if provider == "FARGATE_SPOT":
        return "fargate-spot"
    return "ec2" if task.get("LaunchType") == "EC2" or provider not in ("", "FARGATE") else "fargate"
