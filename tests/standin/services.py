"""ECS services: their tasks are replaced when they end, and spared by scale-in while they are protected.

MiniStack replaces and counts tasks from its own worker of a task, which `tasks.py` stands in for; it knows no protection.
Sources: ECS Developer Guide, "Protect your tasks from being terminated by scale-in events", "Task scale-in protection
endpoint"; API Reference, UpdateTaskProtection, Task (`stopCode`).
"""

from datetime import UTC, datetime, timedelta

from ministack.core.concurrency import resource_lock
from ministack.services import ecs

#: MiniStack's reasons for stopping a service's task -> the words of AWS's `stoppedReason` (DG, "Stopped tasks errors").
_OF_SERVICES = {
    "Service scaling down": "Scaling activity initiated by (deployment {id})",
    "Task definition updated": "Scaling activity initiated by (deployment {id})",
    "Deployment completed": "Scaling activity initiated by (deployment {id})",
    "Deployment capacity limit": "Scaling activity initiated by (deployment {id})",
}
CODE = "ServiceSchedulerInitiated"


def reason_of(task: dict, asked: str) -> tuple[str, str] | None:
    """(reason, stopCode) of a stop that the service asks for; None for anybody else's."""
    if asked not in _OF_SERVICES or not task["group"].startswith("service:"):
        return None
    return _OF_SERVICES[asked].format(id=task.get("_deployment_id")), CODE


def is_protected(task: dict) -> bool:
    until = task.get("_protected_until")
    return until is not None and datetime.now(UTC) < until


def began(task: dict, account: str, region: str) -> None:
    """A task runs: a deployment may be complete with it."""
    key = _key(task)
    if key:
        cluster = key.partition("/")[0]
        ecs._schedule_service_deployment_completion(cluster, key, account, region, healthy_task=task)


def ended(task: dict) -> None:
    """A task has stopped: the service counts anew, and starts another one when it wants as many as before."""
    key = _key(task)
    if key is None:
        return
    ecs._refresh_service_state(key.partition("/")[0], task["group"])
    if task["stopCode"] in ("EssentialContainerExited", "TaskFailedToStart"):
        ecs._record_service_task_failure(task)
    else:
        ecs._reconcile_service_tasks(key.partition("/")[0], key)


def protect(task: dict, asked: dict) -> tuple[int, dict]:
    """The agent's endpoint, PUT: status and answer."""
    arn = task["taskArn"]
    if _key(task) is None:
        detail = "Tasks that are not part of a service cannot be protected"
        return 200, {"failure": {"Arn": arn, "Detail": detail, "Reason": "TASK_NOT_VALID"}}
    minutes = int(asked.get("ExpiresInMinutes", 120))
    if not 1 <= minutes <= 2_880:
        return 400, {"error": {"Arn": arn, "Code": "InvalidParameterException", "Message": "expiresInMinutes"}}
    with resource_lock("ecs-task", arn):
        is_on = bool(asked["ProtectionEnabled"])
        until = datetime.now(UTC) + timedelta(minutes=minutes) if is_on else None
        task["_protected_until"] = until
    if not is_on:
        key = _key(task)
        ecs._reconcile_service_tasks(key.partition("/")[0], key)
    found = {"TaskArn": arn, "ProtectionEnabled": is_on}
    return 200, {"protection": found | ({"ExpirationDate": until.isoformat()} if until else {})}


def state(task: dict) -> tuple[int, dict]:
    """The same, GET."""
    return 200, {"protection": {"TaskArn": task["taskArn"], "ProtectionEnabled": is_protected(task)}}


def _key(task: dict) -> str | None:
    """What MiniStack knows a task's service by; None for a task of its own."""
    group = task.get("group") or ""
    if not group.startswith("service:"):
        return None
    return f"{ecs._cluster_name_from_arn(task['clusterArn'])}/{group.partition(':')[2]}"
