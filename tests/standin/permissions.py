"""What IAM is asked about. MiniStack asks about an ECS cluster where AWS asks about the task definition or the task.

Service Authorization Reference, "Actions, resources, and condition keys for Amazon ECS": RunTask is authorised on the
task definition's revision, StopTask and DescribeTasks on the tasks, DescribeServices and UpdateService on the service; the cluster is the condition key `ecs:cluster`.
SQS Developer Guide, "Actions for Amazon SQS": calls for a batch ask for the action of a single message.
"""

import json

from ministack.core import iam_actions, iam_evaluator


def install() -> None:
    resource_of, context_of = iam_actions.extract_resource_arn, iam_actions.request_tag_context

    def extract_resource_arn(service, *arguments, **named):
        found = resource_of(service, *arguments, **named)
        body = next((each for each in (*arguments, *named.values()) if isinstance(each, bytes)), b"")
        if service == "logs":
            return _stream(_parsed(body), found)
        if service == "scheduler":
            return _schedule(
                found, next((each for each in arguments if isinstance(each, dict) and "groupName" in each), {})
            )
        if service == "ecr" and _parsed(body).get("repositoryNames"):
            return found.replace("*", _arn("repository", _parsed(body)["repositoryNames"][0], "ecr"))
        if service == "sqs" and _parsed(body).get("SourceArn"):  # moving names a queue so, and MiniStack no queue then
            return str(_parsed(body)["SourceArn"])
        if service == "events":
            return _rule_or_bus(found, _parsed(body), arguments)
        return _resource(_parsed(body), found) if service == "ecs" else found

    def request_tag_context(service, action, body, params):
        found = context_of(service, action, body, params)
        cluster = _parsed(body).get("cluster") if service == "ecs" else None
        return {**found, "ecs:cluster": _cluster_arn(cluster)} if cluster else found

    def enforce(access_key, action, service, region, resource_arn="*", service_context=None):
        """RunTask needs iam:PassRole for both roles of the definition (ECS Developer Guide, "Task IAM role")."""
        action = action.removesuffix("Batch") if service == "sqs" else action
        denied = asked(access_key, action, service, region, resource_arn, service_context)
        for role in () if denied or action != "ecs:RunTask" else _roles(resource_arn):
            passed = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
            denied = denied or asked(access_key, "iam:PassRole", "iam", region, role, passed)
        return denied

    asked, iam_evaluator.enforce = iam_evaluator.enforce, enforce
    iam_actions.extract_resource_arn = extract_resource_arn
    iam_actions.request_tag_context = request_tag_context


def _roles(definition_arn: str) -> list[str]:
    from ministack.services import ecs

    found = ecs._task_defs.get(definition_arn.rsplit("/", 1)[-1]) or {}
    return [found[key] for key in ("taskRoleArn", "executionRoleArn") if found.get(key)]


def _schedule(found: str, asked: dict) -> str:
    """A schedule's ARN names its group, which MiniStack takes for `default`."""
    group = asked.get("groupName", "default")
    return found.replace(":schedule/default/", f":schedule/{group if isinstance(group, str) else group[0]}/")


def _rule_or_bus(found: str, asked: dict, arguments: tuple) -> str:
    """DescribeEventBus names a bus; and the ARN of a rule on the default one does not name that."""
    if any(_is_about_bus(each) for each in arguments):
        return _arn("event-bus", asked["Name"], "events")
    return found.replace(":rule/default/", ":rule/")


def _is_about_bus(headers) -> bool:
    """DescribeEventBus names a bus, where MiniStack takes it for a rule."""
    return isinstance(headers, dict) and headers.get("x-amz-target", "").endswith(".DescribeEventBus")


def _stream(asked: dict, group: str) -> str:
    """CreateLogStream and PutLogEvents are about a stream: policies of AWS's own say `log-group:NAME:*`."""
    name = asked.get("logStreamName")
    return f"{group.removesuffix(':*')}:log-stream:{name}" if name and ":log-stream:" not in group else group


def _resource(asked: dict, otherwise: str) -> str:
    from ministack.services import ecs

    service = asked.get("service") or (asked.get("services") or [""])[0]
    if service:
        cluster = _cluster_arn(asked.get("cluster", "default")).rsplit("/", 1)[-1]
        return service if service.startswith("arn:") else _arn("service", f"{cluster}/{service}")
    if "taskDefinition" in asked:
        name = asked["taskDefinition"]
        resolved = ecs._resolve_td_key(name) if hasattr(ecs, "_resolve_td_key") else None
        if name.startswith("arn:"):
            return name
        return _arn("task-definition", resolved or name)
    task = asked.get("task") or (asked.get("tasks") or [""])[0]
    if not task:
        return otherwise
    cluster = _cluster_arn(asked.get("cluster", "default")).rsplit("/", 1)[-1]
    return task if task.startswith("arn:") else _arn("task", f"{cluster}/{task}")


def _cluster_arn(name: str) -> str:
    return name if name.startswith("arn:") else _arn("cluster", name)


def _arn(kind: str, name: str, service: str = "ecs") -> str:
    from ministack.core.responses import get_account_id, get_region

    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{kind}/{name}"


def _parsed(body: bytes) -> dict:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
