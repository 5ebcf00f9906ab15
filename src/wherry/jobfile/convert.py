"""Values -> model. Only values that are right come here; what is missing gets the model's own default.

The values of `defaults` reach every job: mappings (`env`, `retry`) are merged key by key, the job's own keys winning;
anything else the job says replaces the default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

from wherry.errors import Place
from wherry.model import (
    AfterTrigger,
    Bucket,
    Bus,
    CommandAlert,
    Environment,
    EventTrigger,
    Feed,
    Helper,
    Instances,
    InvokeTrigger,
    Job,
    JobFile,
    Keep,
    Network,
    Queue,
    QueueTrigger,
    Retry,
    ScheduleTrigger,
    Trigger,
    UploadTrigger,
)

#: What the table's kinds read: a mapping of the file's keys.
Values: TypeAlias = Mapping[str, Any]


def to_model(values: Values, *, filename: str, places: Mapping[str, Place]) -> JobFile:
    """The job file that the values of a whole, checked document mean."""
    defaults = values.get("defaults", {})
    return JobFile(
        path=os.path.abspath(filename),
        app=values["app"],
        buckets={name: Bucket(name=name, **value) for name, value in values.get("buckets", {}).items()},
        queues={name: _queue(name, value) for name, value in values.get("queues", {}).items()},
        jobs={name: _job(name, with_defaults(value, defaults)) for name, value in values.get("jobs", {}).items()},
        environments={name: _environment(name, value) for name, value in values.get("environments", {}).items()},
        places=places,
    )


def with_defaults(job: Values, defaults: Values) -> dict[str, Any]:
    """A job's values with those of `defaults` where it says nothing."""
    merged = {**defaults, **job}
    for name in ("env", "retry"):
        if name in defaults and name in job:
            merged[name] = {**defaults[name], **job[name]}
    # ECS refuses a variable that is both, and what the job itself says wins
    for variable in job.get("secrets", {}):
        if variable in merged.get("env", {}) and variable not in job.get("env", {}):
            merged["env"] = {name: value for name, value in merged["env"].items() if name != variable}
    return merged


def _queue(name: str, values: Values) -> Queue:
    feed = values.get("from")
    return Queue(name=name, feed=_feed(feed) if feed else None, **_without(values, "from"))


def _feed(values: Values) -> Feed:
    return Feed(pattern=values["event"]) if "event" in values else Feed(**values)


def _job(name: str, values: Values) -> Job:
    arguments = dict(values)
    triggers = tuple(trigger(value) for value in arguments.pop("on", ()))
    retry = _retry(arguments.pop("retry", {}))
    helpers = tuple(Helper(name=helper, **value) for helper, value in arguments.pop("helpers", {}).items())
    return Job(name=name, triggers=triggers, retry=retry, helpers=helpers, **arguments)


def _environment(name: str, values: Values) -> Environment:
    arguments = dict(values)
    alerts = tuple(alert if isinstance(alert, str) else CommandAlert(**alert) for alert in arguments.pop("alerts", ()))
    network = arguments.pop("network", {})
    bus = arguments.pop("bus", "default")
    registry = arguments.pop("registry", None)
    named = registry if isinstance(registry, dict) else {"url": registry}
    return Environment(
        name=name,
        alerts=alerts,
        keep=Keep(**arguments.pop("keep", {})),
        network=Network(which=network) if isinstance(network, str) else Network(**network),
        bus=Bus(name=bus) if isinstance(bus, str) else Bus(name=bus["name"], accounts=bus.get("accounts", ())),
        instances=Instances(**arguments.pop("instances", {})),
        registry=named["url"],
        registry_secret=named.get("credentials"),
        **arguments,
    )


def _retry(values: Values) -> Retry:
    arguments = dict(values)
    if "exit_codes" in values:
        arguments["exit_codes"] = frozenset(values["exit_codes"])
    if "backoff" in values and "cap" not in values:
        # a wait that somebody asks for is not cut by a default
        arguments["cap"] = max(Retry().cap, values["backoff"])
    return Retry(**arguments)


def trigger(values: Values) -> Trigger:
    """The trigger of one item of `on`; raises KeyError when a key is missing without which it is none."""
    match values:
        case {"schedule": expression}:
            return ScheduleTrigger(expression=expression, **_without(values, "schedule"))
        case {"upload": upload}:
            return UploadTrigger(bucket=upload["bucket"], **_without(upload, "bucket"))
        case {"event": pattern}:
            return EventTrigger(pattern=pattern)
        case {"queue": queue}:
            rest = {key: value for key, value in values.items() if key in ("mode", "batch")}
            codes: dict[str, Any] = {key: frozenset(value) for key, value in values.get("exit_codes", {}).items()}
            return QueueTrigger(queue=queue, **rest, **codes, **_workers(values.get("workers", {})))
        case {"after": job}:
            return AfterTrigger(job=job, **_without(values, "after"))
        case {"invoke": function}:
            return InvokeTrigger(**function)
    raise KeyError("no kind of trigger")


def _without(values: Values, name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def _workers(values: Values) -> dict[str, Any]:
    least: int = values.get("min", 0)
    rest = {key: value for key, value in values.items() if key in ("backlog", "idle")}
    return {"min_workers": least, "max_workers": values.get("max", max(1, least)), **rest}
