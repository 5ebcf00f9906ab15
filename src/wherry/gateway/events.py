"""EventBridge: PutEvents on the default bus.

Source: Amazon EventBridge API Reference, PutEvents; User Guide, "Calculating event entry size".
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from wherry.errors import UserError
from wherry.gateway.context import Call
from wherry.gateway.errors import AwsError
from wherry.model import Event, new_event

MOST_ENTRIES = 10
#: Of all entries of a call together, in bytes.
LARGEST_CALL = 1_048_576
_EVERYWHERE = "`${bus}` in a job's `env` names the right one, here and on AWS"


def put_events(call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    """PutEvents: each entry is taken or refused by itself."""
    call.services.guard.may_emit(call.caller)
    entries = parameters.get("Entries")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_ENTRIES:
        raise AwsError("ValidationException", "Entries must have from 1 to 10 members", 400)
    if sum(_size(entry) for entry in entries) > LARGEST_CALL:
        raise AwsError("ValidationException", "Total size of the entries in the request is over the limit.", 400)
    results: list[dict[str, str]] = []
    events: list[Event] = []
    for entry in entries:
        try:
            event = _event(entry, call)
        except AwsError as error:
            results.append({"ErrorCode": error.code, "ErrorMessage": error.message})
        else:
            events.append(event)
            results.append({"EventId": event.id})
    if events:
        _put(call, events)
    return {"FailedEntryCount": len(entries) - len(events), "Entries": results}


def _put(call: Call, events: list[Event]) -> None:
    try:
        call.services.put_events(*events)
    except UserError as error:  # too large for a job: on AWS nobody would say so
        message = f"{error.message}: {error.hint}"
        call.services.guard.note(call.caller, message)
        raise AwsError("ValidationException", message, 400) from None


def _event(entry: Any, call: Call) -> Event:
    if not isinstance(entry, dict):
        raise AwsError("InvalidArgument", "an entry must be an object")
    if not _is_text(entry):
        raise AwsError("InvalidArgument", "the entry is not valid Unicode text")
    for name in ("Source", "DetailType", "Detail"):
        if not isinstance(entry.get(name), str) or not entry[name]:
            raise AwsError("InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument.")
    if entry["Source"].startswith("aws."):
        raise AwsError("NotAuthorizedForSourceException", "Not authorized for the source.")
    bus = str(entry.get("EventBusName") or "default").rpartition("/")[2]
    if bus != "default":
        said = f"there is no event bus `{bus}` here, only `default`: {_EVERYWHERE}"
        raise AwsError("ResourceNotFoundException", said)
    resources = entry.get("Resources") or []
    if not isinstance(resources, list) or not all(isinstance(resource, str) for resource in resources):
        raise AwsError("InvalidArgument", "Parameter Resources is not valid.")
    return new_event(
        entry["Source"],
        entry["DetailType"],
        _detail(entry["Detail"]),
        now=_time(entry.get("Time"), call),
        event_id=str(uuid.uuid4()),
        resources=resources,
        region=call.services.region,
    )


def _is_text(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _detail(text: str) -> dict[str, Any]:
    try:
        detail = json.loads(text, parse_constant=_refuse)
        # A half of a surrogate pair is no text: no job could be given it.
        json.dumps(detail, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        detail = None
    if not isinstance(detail, dict):
        raise AwsError("MalformedDetail", "Detail is malformed.")
    return detail


def _refuse(constant: str) -> None:
    """Python's parser takes NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def _time(value: Any, call: Call) -> datetime:
    if value is None:
        return call.services.clock()
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(str(value))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise AwsError("InvalidArgument", "Parameter Time is not valid.") from None


def _size(entry: Any) -> int:
    if not isinstance(entry, dict):
        return 0
    texts = [entry.get("Source"), entry.get("DetailType"), entry.get("Detail"), *(entry.get("Resources") or [])]
    return sum(len(str(text).encode(errors="replace")) for text in texts if text) + (14 if entry.get("Time") else 0)
