"""Application Auto Scaling, which MiniStack lacks: there is nothing that scales (`left_out`), and it says so."""

import json

_TARGET = "AnyScaleFrontendService."


def is_asked(headers: dict[str, str]) -> bool:
    return headers.get("x-amz-target", "").startswith(_TARGET)


def answer(headers: dict[str, str], body: bytes) -> tuple[int, dict]:
    """Status and JSON: no target is known, and none can be registered."""
    operation = headers["x-amz-target"].removeprefix(_TARGET)
    if operation == "DescribeScalableTargets":
        return 200, {"ScalableTargets": []}
    resource = json.loads(body).get("ResourceId")
    return 400, {"__type": "ObjectNotFoundException", "Message": f"No scalable target found for {resource}"}
