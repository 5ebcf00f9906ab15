"""Pieces of Amazon States Language that all machines share."""

from __future__ import annotations

from typing import Any

State = dict[str, Any]

#: For calls that may be refused for a moment.
PATIENTLY = [
    {
        "ErrorEquals": ["States.ALL"],
        "IntervalSeconds": 2,
        "BackoffRate": 2,
        "MaxAttempts": 8,
        "MaxDelaySeconds": 60,
        "JitterStrategy": "FULL",
    }
]


def integration(name: str) -> Any:
    """The ARN of a service integration: `ecs:runTask.sync`."""
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:states:::{name}"}
