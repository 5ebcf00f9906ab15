"""A container is started with what a process is started with: the same command, the same values of the event."""

import json
import re
from datetime import UTC, datetime
from functools import partial
from operator import ne

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.aws.expressions import evaluate, states
from wherry import mapping
from wherry.aws.jsonata import expression, physical
from wherry.aws.overrides import plan_of, static_env
from wherry.aws.tasks import text
from wherry.errors import MissingValue
from wherry.model import Helper, Job, new_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BUCKET = "app-prod-in-${AWS::AccountId}-${AWS::Region}"
PHYSICAL = "app-prod-in-123456789012-eu-central-1"

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
leaves = texts | st.integers(-(2**40), 2**40) | st.booleans() | st.none()
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
is_something = partial(ne, None)  # the port takes a null in a list for nothing
details = st.fixed_dictionaries(
    {}, optional={"a": values, "b-c": values, "list": st.lists(values.filter(is_something), max_size=3)}
)
PATHS = ["$.detail.a", "$.detail.b-c", "$.detail.list[0]", "$.detail.list", "$.detail.a.x", "$.id", "$"]
pieces = st.sampled_from(
    [*(f"${{event.{path[2:]}}}" for path in PATHS[:6]), "${bucket.in}", "$${X}", "plain", ' "%} $x ', "ü\n"]
)
templates = st.sampled_from(PATHS) | st.lists(pieces, max_size=3).map("".join)


def containers(job, run_input):
    plan = plan_of(job, {"in": physical(BUCKET)})
    bound = states({"trigger": "manual", **run_input})
    missing = plan.missing if plan.missing == '""' else evaluate(expression(plan.missing), states=bound)
    return missing, evaluate(expression(plan.containers), states=bound)


def event_of(detail):
    return dict(new_event("test", "go", detail, now=NOW).document)


def started_with(job, run_input):
    """Command and variables of the main container: what its definition says, and what overrides it."""
    missing, found = containers(job, run_input)
    if missing not in ("", '""'):
        return missing
    main = found[0]
    env = {name: _plain(text(template, {"in": BUCKET})) for name, template in static_env(job.env).items()}
    env |= {pair["Name"]: pair["Value"] for pair in main["Environment"] if not pair["Name"].startswith("WHERRY_")}
    command = main.get("Command") or [_plain(text(mapping.parse(part), {"in": BUCKET})) for part in job.command]
    return command, env


def _plain(value):
    """What CloudFormation makes of a value."""
    match value:
        case {"Fn::Join": ["", list() as parts]}:
            return "".join(_plain(part) for part in parts)
        case {"Fn::Sub": str() as text}:
            found = text.replace("${AWS::AccountId}", "123456789012").replace("${AWS::Region}", "eu-central-1")
            assert "${" not in found  # a literal one would be read as a name
            return found
        case _:
            return value


@settings(deadline=None, max_examples=300)
@given(
    env=st.dictionaries(st.sampled_from(["A", "B"]), templates),
    command=st.lists(templates, min_size=1, max_size=3),
    detail=details,
    args=st.none() | st.lists(texts, max_size=2),
)
@example(env={"A": "${bucket.in}/$${A:-$${B}}"}, command=["$${A:-$${B}} ${bucket.in}"], detail={}, args=None)
def test_a_container_is_started_as_a_process_is(env, command, detail, args):
    job = Job(name="job", command=tuple(command), env=env)
    event = event_of(detail)
    context = mapping.Context(event=event, buckets={"in": PHYSICAL})
    try:
        expected = (
            [mapping.parse(part).render(context) for part in command] + (args or []),
            {name: mapping.parse(value).render(context) for name, value in env.items()},
        )
    except MissingValue:
        expected = None
    found = started_with(job, {"event": event} | ({"overrides": {"args": args}} if args else {}))
    if expected is None:
        assert isinstance(found, str)
        assert found.startswith("could not start: the event has no `")
    else:
        assert unescaped(found) == unescaped(expected)


def unescaped(started):
    """The port of JSONata escapes all but ASCII in the JSON it writes; JavaScript, and so AWS, leaves that alone."""

    def plain(found):
        return found.encode("utf-16", "surrogatepass").decode("utf-16") if (found := _unescape(found)) else found

    command, env = started
    return [plain(part) for part in command], {name: plain(value) for name, value in env.items()}


def _unescape(found):
    return re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), found)


@pytest.mark.parametrize(
    ("command", "overrides", "expected"),
    [
        ("echo a", {}, None),
        ("echo a", {"args": ["x y"]}, ['echo a "$@"', "sh", "x y"]),
        ("echo a", {"command": ["z"], "args": ["x y"]}, ['exec "$@"', "sh", "z", "x y"]),
        (("a", "b"), {"args": ["c"]}, ["a", "b", "c"]),
        (("a", "b"), {"command": ["z"]}, ["z"]),
        (("a", "b"), {"command": ["z"], "args": ["c", "d"]}, ["z", "c", "d"]),
        ((), {}, None),
        ((), {"args": ["c"]}, ["c"]),
    ],
)
def test_what_a_person_changes(command, overrides, expected):
    _, found = containers(Job(name="job", command=command), {"event": event_of({}), "overrides": overrides})
    assert found[0].get("Command") == expected


def test_the_facts():
    event = event_of({"scheduled-time": "2026-03-01T12:00:00Z", "interval": {"start": "s", "end": "e"}})
    _, found = containers(
        Job(name="job", helpers=(Helper(name="h", command=("x",)),)), {"trigger": "schedule", "event": event}
    )
    assert [each["Name"] for each in found] == ["main", "h"]
    for container in found:
        assert {pair["Name"]: pair["Value"] for pair in container["Environment"]} == {
            "WHERRY_RUN_ID": "run-1",
            "WHERRY_TRIGGER": "schedule",
            "WHERRY_SCHEDULED_AT": "2026-03-01T12:00:00Z",
            "WHERRY_INTERVAL_START": "s",
            "WHERRY_INTERVAL_END": "e",
        }


def test_variables_of_a_person_win():
    job = Job(name="job", env={"A": "$.id", "B": "b"})
    _, found = containers(job, {"event": event_of({}), "overrides": {"env": {"A": "mine", "B": "mine", "C": "c"}}})
    env = {pair["Name"]: pair["Value"] for pair in found[0]["Environment"]}
    assert (env["A"], env["B"], env["C"]) == ("mine", "mine", "c")


def test_a_command_of_a_person_needs_nothing_of_the_event():
    job = Job(name="job", command=("a", "$.detail.gone"))
    assert containers(job, {"event": event_of({})})[0] == "could not start: the event has no `detail.gone`"
    assert containers(job, {"event": event_of({}), "overrides": {"command": ["x"]}})[0] == ""
    assert json.dumps(containers(job, {"event": event_of({"gone": 1})})[1][0]["Command"]) == '["a", "1"]'
