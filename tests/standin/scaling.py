"""Application Auto Scaling, which MiniStack lacks: it takes what it is told, knows of nothing, and nothing scales."""

_TARGET = "AnyScaleFrontendService."


def is_asked(headers: dict[str, str]) -> bool:
    return headers.get("x-amz-target", "").startswith(_TARGET)


def answer(headers: dict[str, str], _body: bytes) -> tuple[int, dict]:
    """Status and JSON."""
    is_list = headers["x-amz-target"].removeprefix(_TARGET) == "DescribeScalableTargets"
    return 200, {"ScalableTargets": []} if is_list else {}
