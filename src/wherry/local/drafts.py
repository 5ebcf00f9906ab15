"""What SQS would refuse of a message that is to be sent, in its words.

Sources: Amazon SQS API Reference, SendMessage; Developer Guide, "Amazon SQS message metadata", "Using the message
deduplication ID". The limit of a message's size is SQS's present one; older guides say 256 KiB.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import timedelta

from wherry.local.queue_records import NewMessage, QueueError, Settings

#: Of a body with its attributes, and of a batch, in bytes.
LARGEST_MESSAGE = 1_048_576
MOST_ATTRIBUTES = 10
LONGEST_DELAY = timedelta(minutes=15)

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ATTRIBUTE_NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_TYPE = re.compile(r"(String|Number|Binary)(\..{1,249})?", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
#: Message group ids and deduplication ids.
_ID = re.compile(r"""[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}""")
_NOT_OF_THIS_KIND = "The request include parameter that is not valid for this queue type."


def size_of(message: NewMessage) -> int:
    """What counts against SQS's limits, in bytes."""
    size = _bytes_in(message.body)
    for name, value in message.attributes.items():
        binary = value.get("BinaryValue", "")
        size += _bytes_in(name) + _bytes_in(value.get("DataType", "")) + _bytes_in(value.get("StringValue", ""))
        size += len(binary) * 3 // 4 - binary.count("=", -2)
    return size


def check_message(settings: Settings, message: NewMessage) -> None:
    """Raise QueueError for a message that SQS would refuse, in its words."""
    if not message.body:
        raise missing("MessageBody")
    found = None if message.body.isprintable() else _FORBIDDEN.search(message.body)
    if found:
        raise QueueError(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to "
            f"#xFFFD | #x10000 to #x10FFFF. This body has #x{ord(found[0]):X} at {found.start()}.",
        )
    if message.attributes:
        check_attributes(message.attributes)
    if message.trace and _FORBIDDEN.search(message.trace):
        raise _invalid("Invalid characters found in message system attribute 'AWSTraceHeader'.")
    if size_of(message) > LARGEST_MESSAGE:
        raise _invalid(
            f"One or more parameters are invalid. Reason: Message must be shorter than {LARGEST_MESSAGE} bytes."
        )
    if message.delay is not None and not timedelta(0) <= message.delay <= LONGEST_DELAY:
        seconds = int(message.delay.total_seconds())
        raise bad_value(seconds, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
    _check_group(settings, message)


def check_attributes(attributes: Mapping[str, Mapping[str, str]]) -> None:
    """Raise QueueError for message attributes that SQS would refuse."""
    if len(attributes) > MOST_ATTRIBUTES:
        raise _invalid(f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10].")
    for name, value in attributes.items():
        if not _ATTRIBUTE_NAME.fullmatch(name) or name.lower().startswith(("aws.", "amazon.")):
            raise _invalid(
                f"Message (user) attribute name '{name}' is invalid: up to 256 of A-Z a-z 0-9 _ - ., no dot at either "
                "end, no two together, and not beginning with 'AWS.' or 'Amazon.'."
            )
        _check_attribute(name, value)


def _check_attribute(name: str, value: Mapping[str, str]) -> None:
    kind = _TYPE.fullmatch(value.get("DataType", ""))
    if not kind:
        raise _invalid(
            f"The type of message (user) attribute '{name}' is invalid. You must use only the following supported type "
            "prefixes: Binary, Number, String."
        )
    key = "BinaryValue" if kind[1] == "Binary" else "StringValue"
    given = value.get(key, "")
    if not given:
        raise _invalid(f"Message (user) attribute '{name}' must contain a non-empty value of type '{key[:6]}'.")
    if key == "BinaryValue":
        try:
            base64.b64decode(given, validate=True)
        except (ValueError, binascii.Error):
            raise _invalid(f"Message (user) attribute '{name}' is not valid Base64.") from None
    elif _FORBIDDEN.search(given):
        raise _invalid(f"Invalid characters found in message (user) attribute '{name}'.")
    elif kind[1] == "Number" and not _NUMBER.fullmatch(given):
        raise _invalid(f"Can't cast the value of message (user) attribute '{name}' to a number.")


def _check_group(settings: Settings, message: NewMessage) -> None:
    for key, value in (("MessageGroupId", message.group), ("MessageDeduplicationId", message.deduplication_id)):
        if value and not _ID.fullmatch(value):
            reason = f"{key} can only include alphanumeric and punctuation characters. 1 to 128 in length."
            raise bad_value(value, key, reason)
    if not settings.is_fifo:
        if message.deduplication_id:
            raise bad_value(message.deduplication_id, "MessageDeduplicationId", _NOT_OF_THIS_KIND)
        return
    if not message.group:
        raise missing("MessageGroupId")
    if message.delay:
        raise bad_value(int(message.delay.total_seconds()), "DelaySeconds", _NOT_OF_THIS_KIND)
    if not (message.deduplication_id or settings.content_deduplication):
        raise _invalid(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided "
            "explicitly"
        )


def missing(name: str) -> QueueError:
    """The error for a parameter that must be there."""
    return QueueError("MissingRequiredParameterException", f"The request must contain the parameter {name}.")


def bad_value(value: object, parameter: str, reason: str) -> QueueError:
    """The error for a parameter's value."""
    return _invalid(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def _invalid(message: str) -> QueueError:
    return QueueError("InvalidParameterValueException", message)


def _bytes_in(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
