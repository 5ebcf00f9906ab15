"""SQS's older protocol, of clients from before the end of 2023: forms in, XML out.

Its parameters and answers say the same as those of JSON in another shape; they are translated, and the operations know
one shape alone.

Source: Amazon SQS Developer Guide, "Making Query API requests"; SQS API Reference of 2012-11-05, the examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from wherry.gateway.errors import AwsError
from wherry.gateway.http import Response
from wherry.gateway.xml import HEADER, element, elements

_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
#: A batch of ten messages with ten attributes each has 430.
_MOST_FIELDS = 2000

#: Lists of texts: name in forms -> in JSON.
_LISTS = {
    "AttributeName": "AttributeNames",
    "MessageSystemAttributeName": "MessageSystemAttributeNames",
    "MessageAttributeName": "MessageAttributeNames",
    "TagKey": "TagKeys",
}
#: Maps, as numbered pairs: name in forms -> in JSON, and what key and value are called.
_MAPS = {
    "Attribute": ("Attributes", "Name", "Value"),
    "MessageAttribute": ("MessageAttributes", "Name", "Value"),
    "MessageSystemAttribute": ("MessageSystemAttributes", "Name", "Value"),
    "Tag": ("Tags", "Key", "Value"),
}
_ENTRIES = (
    "SendMessageBatchRequestEntry",
    "DeleteMessageBatchRequestEntry",
    "ChangeMessageVisibilityBatchRequestEntry",
)
#: Lists of answers: name in JSON -> of each item in XML; that of `Successful` begins with the action.
_ITEMS = {
    "Messages": "Message",
    "Failed": "BatchResultErrorEntry",
    "QueueUrls": "QueueUrl",
    "queueUrls": "QueueUrl",
    "Results": "ListMessageMoveTasksResultEntry",
}
_PAIRS = {"Attributes": "Attribute", "MessageAttributes": "MessageAttribute"}


def parameters(form: str) -> dict[str, Any]:
    """The parameters of a form, in the shape of JSON, with `Action` among them; raises AwsError."""
    try:
        fields = parse_qsl(form, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise AwsError("MalformedInput", "the form is not UTF-8, or has too many fields") from None
    tree: dict[str, Any] = {}
    for name, value in fields:
        *above, last = name.split(".")
        node = tree
        for part in above:
            below = node.setdefault(part, {})
            if not isinstance(below, dict):
                raise AwsError("MalformedInput", f"the field {name} is of two kinds")
            node = below
        if last in node:
            raise AwsError("MalformedInput", f"the field {name} is there twice, or of two kinds")
        node[last] = value
    return _shaped(tree)


def answer(action: str, result: Mapping[str, Any], request_id: str) -> Response:
    """An operation's result as XML."""
    content = f"<{action}Result>{_fields(action, result)}</{action}Result>"
    tail = f"<ResponseMetadata>{element('RequestId', request_id)}</ResponseMetadata>"
    body = f'{HEADER}<{action}Response xmlns="{_NAMESPACE}">{content}{tail}</{action}Response>'
    return _xml(200, body, request_id)


def error(code: str, message: str, status: int, request_id: str) -> Response:
    """An error as XML."""
    said = elements([("Type", "Sender" if status < 500 else "Receiver"), ("Code", code), ("Message", message)])
    body = (
        f'{HEADER}<ErrorResponse xmlns="{_NAMESPACE}"><Error>{said}<Detail/></Error>'
        f"{element('RequestId', request_id)}</ErrorResponse>"
    )
    return _xml(status, body, request_id)


def _shaped(tree: Mapping[str, Any]) -> dict[str, Any]:
    shaped: dict[str, Any] = {}
    for name, value in tree.items():
        if not isinstance(value, dict):
            shaped[name] = value
        elif name in _LISTS:
            shaped[_LISTS[name]] = _numbered(value)
        elif name in _MAPS:
            to, key, content = _MAPS[name]
            pairs = [item for item in _numbered(value) if isinstance(item, dict)]
            shaped[to] = {str(item.get(key, "")): item.get(content, "") for item in pairs}
        elif name in _ENTRIES:
            shaped["Entries"] = [_shaped(item) if isinstance(item, dict) else item for item in _numbered(value)]
    return shaped


def _numbered(value: Mapping[str, Any]) -> list[Any]:
    """The items of `X.1`, `X.2` and so on, in their order."""
    return [value[number] for number in sorted(value, key=lambda name: (len(name), name))]


def _fields(action: str, value: Mapping[str, Any]) -> str:
    return "".join(_field(action, name, item) for name, item in value.items())


def _field(action: str, name: str, value: Any) -> str:
    if name in _PAIRS:
        return "".join(
            f"<{_PAIRS[name]}>{element('Name', key)}{_element('Value', item)}</{_PAIRS[name]}>"
            for key, item in value.items()
        )
    if isinstance(value, list):
        title = f"{action}ResultEntry" if name == "Successful" else _ITEMS[name]
        return "".join(_items(action, title, value))
    return _element(name, value)


def _items(action: str, title: str, values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        yield f"<{title}>{_fields(action, value)}</{title}>" if isinstance(value, Mapping) else element(title, value)


def _element(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"<{name}>{elements(value.items())}</{name}>"
    return element(name, value)


def _xml(status: int, body: str, request_id: str) -> Response:
    headers = [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)]
    return Response(status=status, headers=headers, body=body.encode())
