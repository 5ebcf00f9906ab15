"""What no value alone can tell: names that must be declared, limits that must agree, circles.

Every check takes the values that were read and notes problems; a value that was wrong is missing here, and what is
missing is not complained about twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

from wherry.jobfile import queues
from wherry.jobfile import values as units
from wherry.jobfile.convert import Values, trigger, with_defaults
from wherry.jobfile.nodes import Mapping, Node
from wherry.jobfile.references import check_reference
from wherry.jobfile.report import Spot
from wherry.model import EventTrigger

#: More circles than anybody reads about at once.
_MAX_CIRCLES = 10


def check(values: Values, root: Spot) -> None:
    """All cross checks of a file; `root` is the spot of the whole."""
    _check_buckets(values, root)
    defaults = values.get("defaults", {})
    _check_limits(defaults, defaults, root.at("defaults"))
    _check_retry(defaults.get("retry", {}), defaults.get("retry", {}), root.at("defaults.retry"), takes=False)
    queues.check(values, root)
    for name, job in values.get("jobs", {}).items():
        _check_job(name, job, defaults, root)
    _check_circles(values, root)
    for name, environment in values.get("environments", {}).items():
        _check_environment(name, environment, root.at(f"environments.{name}"))
    _check_stacks(values.get("environments", {}), root)


def _check_buckets(values: Values, root: Spot) -> None:
    """Two names for one bucket would make permissions and uploads ambiguous."""
    known: dict[str, str] = {}
    for name, bucket in values.get("buckets", {}).items():
        physical = bucket.get("existing", name)
        if physical in known:
            place = root.at(f"buckets.{name}").place
            root.problem(place, f"buckets `{known[physical]}` and `{name}` are both `{physical}`", "declare it once")
        known.setdefault(physical, name)


def _check_upload(upload: Values | None, spot: Spot) -> None:
    if upload and "bucket" in upload:
        check_reference("bucket", upload["bucket"], spot.key("bucket"))


def _check_job(name: str, job: Values, defaults: Values, root: Spot) -> None:
    spot = root.at(f"jobs.{name}")
    for permission, noun in (("reads", "bucket"), ("writes", "bucket"), ("sends", "queue")):
        for number, named in enumerate(job.get(permission, ())):
            if named is not None:
                check_reference(noun, named, spot.key(permission).item(number))
    _check_what_runs(name, spot)
    _check_helpers(job, spot)
    _check_task_definition(job, spot)
    for variable in job.get("secrets", {}):
        if variable in job.get("env", {}):
            place = spot.at(f"{spot.path}.secrets.{variable}").place
            spot.problem(place, f"`{variable}` is in `env` as well as in `secrets`", "keep one of them")
    merged = with_defaults(job, defaults)
    _check_limits(job, merged, spot)
    if "retry" in job:
        takes = any(trigger and "queue" in trigger for trigger in job.get("on", ()))
        _check_retry(job["retry"], merged["retry"], spot.key("retry"), takes=takes)
    for number, value in enumerate(job.get("on", ())):
        if value is not None:
            _check_trigger(name, value, spot.key("on").item(number))
    _check_repetition(job, spot)


def _check_helpers(job: Values, spot: Spot) -> None:
    for name in job.get("helpers", {}):
        helper = spot.key("helpers").key(name)
        if not (helper.has("command") or helper.has("image")):
            spot.problem(helper.place, f"helper `{name}` has nothing to run", "add `command: [PROGRAM]`")


def _check_what_runs(name: str, spot: Spot) -> None:
    present = [key for key in ("command", "build", "image", "task_definition") if spot.has(key)]
    if not present:
        spot.problem(
            spot.place,
            f"job `{name}` has nothing to run",
            "add `command: [PROGRAM, ARGUMENT]`, or the `image`, `build` or `task_definition` that brings its own",
        )
    if "build" in present and "image" in present:
        spot.problem(
            spot.key("image").place,
            f"job `{name}` has both `build` and `image`",
            "keep `build` to make the image from a Dockerfile, or `image` to use one that exists",
        )


def _check_task_definition(job: Values, spot: Spot) -> None:
    if "task_definition" not in job:
        return
    place = spot.key("task_definition").value_place
    path = os.path.join(os.path.dirname(spot.source.filename), job["task_definition"])
    try:
        with open(path, "rb") as file:
            definition = json.load(file)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error.strerror).lower()
        spot.problem(
            place, f"`{job['task_definition']}` cannot be read: {reason}", "the path is relative to the job file"
        )
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}: {error.msg.lower()}" if isinstance(error, json.JSONDecodeError) else ""
        spot.problem(place, f"`{job['task_definition']}` is not JSON{where}")
    else:
        if not isinstance(definition, dict):
            spot.problem(place, f"`{job['task_definition']}` is not a task definition: it holds no JSON object")


def _check_limits(job: Values, merged: Values, spot: Spot) -> None:
    timeout, deadline = merged.get("timeout"), merged.get("deadline")
    if timeout is None or deadline is None or deadline >= timeout or not job.keys() & {"timeout", "deadline"}:
        return
    own = spot.key("deadline" if "deadline" in job else "timeout")
    spot.problem(
        own.value_place,
        f"`deadline` ({units.format_duration(deadline)}) is shorter than `timeout` ({units.format_duration(timeout)})",
        "`timeout` bounds one attempt, `deadline` all attempts and the waits between them",
    )


def _check_retry(own: Values, merged: Values, spot: Spot, *, takes: bool) -> None:
    """`own` is what this mapping says itself, `merged` what holds with the defaults.

    `takes`: the job takes messages, whose attempts their queue counts (`max_receives`): the waits are said here.
    """
    said = spot.has("attempts") or "defaults.retry.attempts" in spot.document.places or takes
    if own and not said and spot.path != "defaults.retry":
        spot.problem(spot.place, "`retry` without `attempts` changes nothing", "add `attempts: 3`")
    if "cap" in merged and "backoff" in merged and merged["cap"] < merged["backoff"]:
        if not own.keys() & {"cap", "backoff"}:
            return
        spot.problem(
            spot.key("cap" if "cap" in own else "backoff").value_place,
            f"`cap` ({units.format_duration(merged['cap'])}) is shorter than "
            f"`backoff` ({units.format_duration(merged['backoff'])})",
            "`backoff` is the first wait, `cap` the longest",
        )


def _check_trigger(job: str, value: Values, spot: Spot) -> None:
    match value:
        case {"upload": upload}:
            _check_upload(upload, spot.key("upload"))
        case {"queue": queue}:
            check_reference("queue", queue, spot.key("queue"))
            queues.check_trigger(value, spot)
        case {"after": after} if after == job:
            place = spot.key("after").value_place
            spot.problem(place, f"job `{job}` would run after itself for ever", "`retry` repeats a job that failed")
        case {"after": after}:
            check_reference("job", after, spot.key("after"))


def _check_repetition(job: Values, spot: Spot) -> None:
    """The same trigger twice would be one firing, or two runs that nobody asked for."""
    seen: dict[str, Spot] = {}
    for number, value in enumerate(job.get("on", ())):
        item = spot.key("on").item(number)
        identity = _identity(value, item.document.values[item.path])
        if identity in seen:
            line = seen[identity].place.line
            spot.problem(item.place, f"this trigger is the same as the one in line {line}", "remove one of them")
        elif identity is not None:
            seen[identity] = item


def _identity(value: Values | None, node: Node) -> str | None:
    """What makes two triggers the same, or None for one that is wrong."""
    if not _is_complete(value, node):
        return None
    try:
        made = trigger(value or {})
    except KeyError:
        return None
    return json.dumps(made.pattern, sort_keys=True) if isinstance(made, EventTrigger) else made.label


def _is_complete(value: object, node: Node) -> bool:
    """False when something of the node was wrong and is missing from its value."""
    if not isinstance(node, Mapping) or not isinstance(value, dict):
        return value is not None
    return all(key.text in value and _is_complete(value[key.text], child) for key, child in node.entries)


def _check_circles(values: Values, root: Spot) -> None:
    """Jobs that run after each other would never begin, or never end."""
    jobs = values.get("jobs", {})
    after = {name: {target for _, target in _afters(job)} - {name} for name, job in jobs.items()}
    if not any(after.values()):
        return
    import graphlib

    for _ in range(_MAX_CIRCLES):
        try:
            graphlib.TopologicalSorter(after).prepare()
        except graphlib.CycleError as error:
            circle: list[str] = error.args[1][:-1]
        else:
            return
        first = min(circle, key=list(jobs).index)
        start = circle.index(first)
        circle = circle[start:] + circle[:start]
        _report_circle(circle, jobs, root)
        after[first].discard(circle[-1])


def _report_circle(circle: list[str], jobs: Values, root: Spot) -> None:
    first, last = circle[0], circle[-1]
    number = next(number for number, target in _afters(jobs[first]) if target == last)
    route = " -> ".join(f"`{name}`" for name in [*circle, first])
    place = root.at(f"jobs.{first}.on.{number}.after").value_place
    root.problem(place, f"these jobs run after each other in a circle: {route}", "remove one of the `after` triggers")


def _afters(job: Values) -> Iterator[tuple[int, str]]:
    for number, value in enumerate(job.get("on", ())):
        if value is not None and "after" in value:
            yield number, value["after"]


def _check_stacks(environments: Values, root: Spot) -> None:
    """An environment's stack must not be what another one's base is called."""
    for name in environments:
        other = name.removesuffix(_BASE)
        if other != name and other in environments and other != "local":
            place = root.at(f"environments.{name}").place
            root.problem(place, f"the base of environment `{other}` is called `{name}` on AWS", "rename one of them")


#: Ends the name of the stack that an environment on AWS begins with.
_BASE = "-base"
#: Keys of environments on AWS that this machine has nothing of.
_AWS_ONLY = ("capacity", "instances", "platform", "network", "registry", "bus", "buckets", "dashboard")
#: Keys that AWS has nothing of.
_LOCAL_ONLY = ("aws", "create_queues")


def _check_environment(name: str, environment: Values, spot: Spot) -> None:
    if name == "local":
        _refuse_keys(
            environment,
            _AWS_ONLY,
            spot,
            "the environment `local` is this machine and has no `{key}`",
            "delete it, or move it to an environment on AWS",
        )
        return
    _check_on_aws(name, environment, spot)
    for alert in environment.get("alerts", ()):
        if isinstance(alert, dict):
            spot.problem(
                spot.key("alerts").place,
                f"a command can report for `local` alone; `{name}` is on AWS",
                "use an address or an URL",
            )
    for bucket in environment.get("buckets", {}):
        check_reference("bucket", bucket, spot.key("buckets").key(bucket))


def _check_on_aws(name: str, environment: Values, spot: Spot) -> None:
    """Keys that mean nothing there, or nothing with what else is said."""
    _refuse_keys(
        environment,
        _LOCAL_ONLY,
        spot,
        f"`{{key}}` is a key of the environment `local` alone; `{name}` is on AWS",
        "delete it, or move it to `environments: local:`",
    )
    if "instances" in environment and environment.get("capacity") != "ec2":
        spot.problem(
            spot.key("instances").place,
            "`instances` are what `capacity: ec2` consists of",
            "add `capacity: ec2`, or delete `instances`",
        )
    for key in ("runs", "logs"):
        if key in environment.get("keep", {}):
            spot.problem(
                spot.key("keep").key(key).place,
                f"`keep: {key}` is possible for the environment `local` alone; `{name}` is on AWS",
                "`keep: {age: 30d}` says how long logs are kept there",
            )


def _refuse_keys(environment: Values, keys: Sequence[str], spot: Spot, problem: str, hint: str) -> None:
    for key in keys:
        if key in environment:
            spot.problem(spot.key(key).place, problem.format(key=key), hint)
