"""SQS: queues. They are declared in the job file; clients make others only where it lets them.

Source: Amazon SQS API Reference.
"""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from typing import Any

from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.gateway.sqs_common import Parameters, named, queue_of, required, text, texts, url_of, whole
from wherry.gateway.sqs_created import settings_from
from wherry.gateway.sqs_declared import attributes_of, check_given, differing, remedy, settings_of
from wherry.local.clock import to_ms
from wherry.local.queue_records import QueueError, ms_of

#: Purging again sooner is refused.
_BETWEEN_PURGES = timedelta(seconds=60)
_MOST_NAMES = 1000
_HAS_URL = "`${queue.NAME.url}` in its `env` tells it where a queue is, and so does GetQueueUrl"
_DECLARED = "queues are declared in the job file"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")


def create_queue(call: Call, given: Parameters) -> Parameters:
    """CreateQueue: what is declared is there already; another one is made where the job file lets clients do that."""
    name = required(given, "QueueName")
    if not _NAME.fullmatch(name):
        raise QueueError(
            "InvalidParameterValueException",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        )
    queues, wanted = call.services.queues, _given_attributes(given)
    instead = f"it is there; {_HAS_URL}" if queues.declares(name) else f"{_DECLARED}: {_line(name)}"
    call.services.guard.is_owner(call.caller, f"create queue `{name}`", instead)
    if not queues.knows(name):
        _may_create(call, name)
        queues.created.add(settings_from(call, name, wanted))
    settings = queues.settings(name)
    check_given(wanted, settings)
    other = differing(call, wanted, settings)
    if other:
        raise QueueError(
            "QueueNameExists",
            f"A queue already exists with the same name and a different value for attribute {other}: "
            f"{remedy(call, other, settings)}",
        )
    return {"QueueUrl": url_of(call, name)}


def delete_queue(call: Call, given: Parameters) -> Parameters:
    """DeleteQueue: of one that a client has created."""
    settings = queue_of(call, given)
    call.services.guard.is_owner(call.caller, f"delete queue `{settings.name}`")
    if call.services.queues.declares(settings.name):
        what = f"`{settings.declared}` ({call.services.guard.place(f'queues.{settings.declared}')})"
        letters = ", whose dead letters these are" if settings.source else ""
        raise QueueError("UnsupportedOperation", f"{_DECLARED}: delete {what} from its `queues`{letters}")
    call.services.queues.created.remove(settings.name)
    return {}


def get_queue_url(call: Call, given: Parameters) -> Parameters:
    """GetQueueUrl."""
    settings = named(call, required(given, "QueueName"))
    call.services.guard.may_see_queue(call.caller, settings.name)
    return {"QueueUrl": url_of(call, settings.name)}


def list_queues(call: Call, given: Parameters) -> Parameters:
    """ListQueues."""
    call.services.guard.is_owner(call.caller, "list queues", _HAS_URL)
    prefix = text(given, "QueueNamePrefix")
    names = [name for name in call.services.queues.names() if name.startswith(prefix)]
    return _page(call, given, names, "QueueUrls")


def list_source_queues(call: Call, given: Parameters) -> Parameters:
    """ListDeadLetterSourceQueues."""
    settings = queue_of(call, given)
    call.services.guard.is_owner(call.caller, f"list the queues whose dead letters `{settings.name}` has")
    answer = _page(call, given, call.services.queues.sources(settings.name), "queueUrls")
    return {"queueUrls": [], **answer}


def get_queue_attributes(call: Call, given: Parameters) -> Parameters:
    """GetQueueAttributes."""
    settings = queue_of(call, given)
    call.services.guard.may_see_queue(call.caller, settings.name)
    found = attributes_of(call, settings, texts(given, "AttributeNames"))
    return {"Attributes": found} if found else {}


def set_queue_attributes(call: Call, given: Parameters) -> Parameters:
    """SetQueueAttributes: what the job file says of a queue stays so; saying the same again is no error."""
    settings = queue_of(call, given)
    call.services.guard.is_owner(call.caller, f"change queue `{settings.name}`")
    wanted = _given_attributes(given)
    check_given(wanted, settings)
    if not call.services.queues.declares(settings.name):
        call.services.queues.created.change(
            settings_from(call, settings.name, {**settings_of(call, settings), **wanted})
        )
        return {}
    other = differing(call, wanted, settings)
    if other:
        raise QueueError(
            "UnsupportedOperation", f"attribute {other} cannot be changed here: {remedy(call, other, settings)}"
        )
    return {}


def purge_queue(call: Call, given: Parameters) -> Parameters:
    """PurgeQueue: once a minute."""
    settings = queue_of(call, given)
    call.services.guard.is_owner(call.caller, f"purge queue `{settings.name}`")
    purged_ms = call.services.queues.row(settings.name)["purged_ms"]
    if purged_ms is not None and to_ms(call.services.clock()) < purged_ms + ms_of(_BETWEEN_PURGES):
        raise QueueError(
            "PurgeQueueInProgress", f"Only one PurgeQueue operation on {settings.name} is allowed every 60 seconds."
        )
    call.services.queues.purge(settings.name)
    return {}


def list_queue_tags(call: Call, given: Parameters) -> Parameters:
    """ListQueueTags: none are kept."""
    call.services.guard.is_owner(call.caller, f"list the tags of queue `{queue_of(call, given).name}`")
    return {}


def _may_create(call: Call, name: str) -> None:
    """Raise AccessDenied unless the job file lets clients create queues."""
    if call.services.queues.created.is_allowed:
        return
    place = call.services.guard.place
    raise AwsError(
        "AccessDeniedException",
        f"{_DECLARED}: {_line(name)} ({place('queues')}), or let clients create others: add `create_queues: true` to "
        f"`local` under its `environments` ({place('environments.local')})",
        403,
    )


def _line(name: str) -> str:
    return f"add `{name}: {{}}` to its `queues`"


def _given_attributes(given: Parameters) -> dict[str, str]:
    attributes: Any = given.get("Attributes") or {}
    if not isinstance(attributes, dict):
        raise QueueError("InvalidParameterValueException", "Attributes must be a map of strings.")
    return {name: text(attributes, name) for name in attributes}


def _page(call: Call, given: Parameters, names: list[str], key: str) -> Parameters:
    """Up to `MaxResults` of the names, behind the one that the token says, as URLs."""
    most = whole(given, "MaxResults", "Must be between 1 and 1000, if provided.", (1, _MOST_NAMES))
    last = _name_of(text(given, "NextToken"))
    rest = sorted(name for name in names if name > last)
    page = rest[: most or _MOST_NAMES]
    answer: Parameters = {key: [url_of(call, name) for name in page]} if page else {}
    if most and len(rest) > len(page):
        answer["NextToken"] = base64.b64encode(page[-1].encode()).decode()
    return answer


def _name_of(token: str) -> str:
    try:
        return base64.b64decode(token.encode("ascii"), validate=True).decode()
    except ValueError:
        raise QueueError("InvalidParameterValueException", "Invalid or expired next token.") from None
