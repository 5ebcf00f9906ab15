"""The names that Step Functions gives to the members of requests and answers: PascalCase, like the SDK for Java."""

import base64
from datetime import datetime

from ministack.services.stepfunctions import _api_name_to_sfn_key as pascal


class UnknownField(Exception):
    """A parameter that the API does not have, by this name."""


def request(value, shape):
    """Arguments as botocore wants them; a name in another case is unknown, as it is on AWS."""
    if shape is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {pascal(name): name for name in shape.members}
        for key in value:
            if key not in members:
                raise UnknownField(f'The field "{key}" is not supported by Step Functions')
        return {members[key]: request(item, shape.members[members[key]]) for key, item in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [request(item, shape.member) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: request(item, shape.value) for key, item in value.items()}
    return value


def answer(value, shape, *, milliseconds: bool):
    """An API's answer in PascalCase; times are milliseconds in optimized integrations and ISO text in SDK ones."""
    if isinstance(value, dict):
        members = getattr(shape, "members", {}) if shape is not None else {}
        if shape is not None and shape.type_name == "map":
            return {key: answer(item, shape.value, milliseconds=milliseconds) for key, item in value.items()}
        return {pascal(k): answer(v, members.get(k), milliseconds=milliseconds) for k, v in value.items()}
    if isinstance(value, list):
        member = getattr(shape, "member", None)
        return [answer(item, member, milliseconds=milliseconds) for item in value]
    if isinstance(value, datetime):
        if milliseconds:
            return int(value.timestamp() * 1000)
        return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if hasattr(value, "read"):
        return value.read().decode("utf-8", "replace")
    return value
