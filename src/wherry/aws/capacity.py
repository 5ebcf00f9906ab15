"""What tasks run on (Fargate, or EC2 instances of the environment's own) and what follows for their network. Pure.

A task in `awsvpc` mode has an address of its own, and on EC2 never a public one (ECS Developer Guide, "Task networking
for the awsvpc network mode"). In subnets without a NAT gateway it would reach nothing, so there it goes out through its
instance's address instead, in `bridge` mode.
"""

from __future__ import annotations

from typing import Any

from wherry.model import Environment


def on_instances(environment: Environment) -> bool:
    """Whether tasks run on EC2 instances."""
    return environment.capacity == "ec2"


def compatibility(environment: Environment) -> str:
    """What a task definition must be made for: `EC2` or `FARGATE`."""
    return "EC2" if on_instances(environment) else "FARGATE"


def is_public(environment: Environment) -> bool:
    """Whether the way out of the environment's subnets is a public address."""
    return environment.network.public_ip or not environment.network.subnets


def network_mode(environment: Environment) -> str:
    """The network mode of the tasks that wherry defines."""
    return "bridge" if on_instances(environment) and is_public(environment) else "awsvpc"


def network_of(environment: Environment, mode: str, where: dict[str, Any]) -> dict[str, Any] | None:
    """The NetworkConfiguration to start a task with; None in a mode that takes none (ECS API Reference, RunTask)."""
    if mode != "awsvpc":
        return None
    if not on_instances(environment):
        return where
    # AssignPublicIp is refused for tasks on EC2
    return {"AwsvpcConfiguration": {k: v for k, v in where["AwsvpcConfiguration"].items() if k != "AssignPublicIp"}}
