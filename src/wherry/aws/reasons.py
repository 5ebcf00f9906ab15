"""Why a firing has no run: its dead letter says so, or the end of the dispatcher that took it.

Sources: EventBridge Scheduler User Guide, "Configuring a schedule's dead-letter queue" (the body is the target's input,
the reason is in message attributes).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from wherry.aws.client import AwsError
from wherry.aws.site import Site
from wherry.model import iso_seconds

#: (job, cause) -> why.
Reasons = dict[tuple[str, str], str]
#: So many dead letters, and failed dispatchers, are looked at.
_MOST = 100
_BATCH = 10
#: A letter that was looked at is hidden from others for so many seconds.
_HIDDEN = 3
#: A reason is cut off there.
_LENGTH = 300


def of(site: Site, since: datetime) -> Reasons:
    """Why firings since then have no run, as far as that is known."""
    found: Reasons = {}
    for why, given in [*_dispatchers(site, since), *_letters(site)]:
        try:
            firing = json.loads(given)
            at = datetime.fromisoformat(firing["scheduled-time"]).astimezone(UTC)
            found[firing["job"], f"{firing['label']} {iso_seconds(at)}"] = why[:_LENGTH]
        except (ValueError, KeyError, TypeError):
            continue  # not of a schedule
    return found


def _letters(site: Site) -> Iterator[tuple[str, str]]:
    """What could not be delivered: (why, the body)."""
    for message in _messages(site):
        said = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
        if "ERROR_CODE" in said:
            why = f"it could not be delivered: {said['ERROR_CODE']}: {said.get('ERROR_MESSAGE', '')}"
            yield why.rstrip(": "), message["Body"]


def _messages(site: Site) -> Iterator[Mapping[str, Any]]:
    """The dead letters, which stay where they are."""
    try:
        url = site.aws.call("sqs", "get_queue_url", QueueName=site.names.dead_letters)["QueueUrl"]
    except AwsError as error:
        if "NonExistentQueue" in error.code or "QueueDoesNotExist" in error.code:
            return
        raise
    for _ in range(_MOST // _BATCH):
        answer = site.aws.call(
            "sqs",
            "receive_message",
            QueueUrl=url,
            MaxNumberOfMessages=_BATCH,
            VisibilityTimeout=_HIDDEN,
            MessageAttributeNames=["All"],
        )
        if not answer.get("Messages"):
            return
        yield from answer["Messages"]


def _dispatchers(site: Site, since: datetime) -> list[tuple[str, str]]:
    """Dispatchers that failed: (why, their input)."""
    names = site.names
    machine = f"arn:{names.partition}:states:{names.region}:{names.account}:stateMachine:{names.dispatcher}"
    listed = site.aws.pages(
        "stepfunctions", "list_executions", "executions", stateMachineArn=machine, statusFilter="FAILED"
    )

    def read(arn: str) -> tuple[str, str]:
        shown = site.aws.call("stepfunctions", "describe_execution", executionArn=arn)
        why = f"its run could not be started: {shown.get('error', '')}: {shown.get('cause', '')}"
        return why.rstrip(": "), str(shown.get("input", ""))

    try:
        recent = [one["executionArn"] for one in islice(listed, _MOST) if one["startDate"] >= since]
    except AwsError as error:
        if error.code == "StateMachineDoesNotExist":
            return []
        raise
    return site.aws.together(read, recent)
