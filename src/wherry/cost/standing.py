"""What costs money while nothing runs."""

from __future__ import annotations

from decimal import Decimal

from wherry.cost import fargate
from wherry.cost.deployment import Deployment
from wherry.cost.parts import MONTH_HOURS, Part, part, rate
from wherry.cost.table import Tariff

#: In this order, because the first ones dwarf the rest.
_STANDING = {
    "nat-hour": "NAT gateways",
    "endpoint-hour": "interface endpoints",
    "ipv4-hour": "public IPv4 addresses",
    "secret-month": "secrets",
    "images-gb-month": "images in ECR",
    "alarm-month": "alarms",
    "dashboard-month": "dashboards",
    "metric-month": "metrics of one's own",
    "key-month": "keys",
    "express-1000000": "looks at queues",
    "sqs-1000000": "requests to queues",
}
#: Said also where there are none.
_ALWAYS = ("nat-hour", "endpoint-hour", "ipv4-hour", "secret-month", "alarm-month", "dashboard-month")


def idle(deployment: Deployment, tariff: Tariff) -> list[Part]:
    """What a month costs in which nothing runs: computing is not among it."""
    found = []
    for key, what in _STANDING.items():
        quantity = deployment.standing.get(key, Decimal(0))
        if quantity:
            found.append(part(tariff, what, {key: quantity}, why=deployment.things.get(key, "")))
        elif key in _ALWAYS:
            found.append(Part(what=what, amount=Decimal(0), how=_none(tariff, key)))
    for job, count, task in deployment.always:
        if task.capacity != "ec2":
            found += fargate.always(tariff, task, count, f"{count} of {job}")
    instances = [key for key in deployment.standing if key not in _STANDING]
    found += [
        part(tariff, "instances", {key: deployment.standing[key]}, why=deployment.things[key]) for key in instances
    ]
    return found


def said_of_instances(tariff: Tariff, kind: str) -> str:
    """What is said of EC2 instances of a type that come and go with the tasks."""
    key = f"ec2-{kind}-hour"
    if key in tariff.prices:
        return f"each {kind} costs {rate(tariff, key)} an hour while it is there: not in these sums"
    return f"EC2 instances ({kind}) are billed by EC2: not priced here"


def _none(tariff: Tariff, key: str) -> str:
    if key == "nat-hour" and key in tariff.prices:
        return f"none; one would be ${tariff.prices[key].amount * MONTH_HOURS:.2f} a month"
    return "none when nothing runs" if key == "ipv4-hour" else "none"
