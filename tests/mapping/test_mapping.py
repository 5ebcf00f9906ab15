import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import MappingError, MissingValue
from wherry.mapping import Context, Reference, Template, as_text, parse

EVENT = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "resources": ["arn:one", "arn:two"],
    "detail": {
        "bucket": {"name": "uploads"},
        "object": {"key": 'a "b" $(rm) é.csv', "size": 5.0, "parts": [{"n": 1}, {"n": 2}]},
        "dry_run": True,
        "nothing": None,
        "empty": [],
        "4xx": 1,
    },
}
CONTEXT = Context(
    event=EVENT,
    buckets={"results": "acme-results", "user-uploads": "uploads", "a.b": "dots"},
    queues={"geojson": "http://localhost/1/geojson", "in.fifo": "http://localhost/1/in.fifo"},
    bus="shop",
    interval=("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
    file="/tmp/message.json",
)


def render(text: str, context: Context = CONTEXT) -> str:
    return parse(text).render(context)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$.source", "aws.s3"),
        ("$.detail-type", "Object Created"),
        ("$.detail.object.key", 'a "b" $(rm) é.csv'),
        ("$.detail.object.size", "5"),
        ("$.detail.dry_run", "true"),
        ("$.detail.nothing", "null"),
        ("$.detail.empty", "[]"),
        ("$.detail.4xx", "1"),
        ("$.detail.bucket", '{"name":"uploads"}'),
        ("$.resources", '["arn:one","arn:two"]'),
        ("$.resources[1]", "arn:two"),
        ("$.detail.object.parts[1].n", "2"),
        ("${event.detail.object.size}", "5"),
        ("${event.resources[0]}", "arn:one"),
        ("s3://${event.detail.bucket.name}/${event.detail.object.size}!", "s3://uploads/5!"),
        ("${bucket.results}${bucket.user-uploads}", "acme-resultsuploads"),
        ("${bucket.a.b}", "dots"),
        ("${queue.geojson.url}", "http://localhost/1/geojson"),
        ("${queue.in.fifo.url}", "http://localhost/1/in.fifo"),
        ("to ${bus}", "to shop"),
        ("${interval.start}/${interval.end}", "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"),
        ("cat ${event.file}", "cat /tmp/message.json"),
        ("$${event.source}", "${event.source}"),
        ("$${HOME} $${", "${HOME} ${"),
        ("$$${event.source}", "$${event.source}"),
        ("a$${b}${event.source}", "a${b}aws.s3"),
        ("$5 and $HOME and $ and $$", "$5 and $HOME and $ and $$"),
        ("$(date) $@ 100$", "$(date) $@ 100$"),
        ("cost: $.50", "cost: $.50"),
        ("{not} }{ a}", "{not} }{ a}"),
        ("$HOME/${event.source}", "$HOME/aws.s3"),
    ],
)
def test_rendering(text: str, rendered: str) -> None:
    assert render(text) == rendered


def test_the_whole_event() -> None:
    whole = json.dumps(EVENT | {"detail": EVENT["detail"]}, ensure_ascii=False, separators=(",", ":"))
    assert render("$") == render("${event}") == whole.replace("5.0", "5")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (5.0, "5"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (0.00001, "0.00001"),
        (0.0000012, "0.0000012"),
        (1e-7, "1e-7"),
        (-2.5e-10, "-2.5e-10"),
        (12345678901234567890, "12345678901234567890"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("", ""),
        ({"a": [5.0, {"é": None}]}, '{"a":[5,{"é":null}]}'),
        ([], "[]"),
    ],
)
def test_values_as_text(value: Any, text: str) -> None:
    assert as_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_survive(value: float) -> None:
    assert json.loads(as_text(value)) == value


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "${HOME}",
            "`${HOME}` is unknown: there are `event`, `bucket`, `queue`, `bus` and `interval`",
            "for the shell's own variable write `$HOME`, or `$${HOME}` for the text itself",
        ),
        (
            "x ${HOME:-/tmp} y",
            "`${HOME:-/tmp}` is unknown: there are `event`, `bucket`, `queue`, `bus` and `interval`",
            "for the shell's own variable write `$${HOME:-/tmp}` for the text itself",
        ),
        ("${evnet.source}", "`${evnet.source}` is unknown", "did you mean `${event.source}`?"),
        ("${ event.source }", "`${ event.source }` has spaces", "write `${event.source}`"),
        (
            "a ${event.source",
            "`${event.source` has no closing `}`",
            "close it, or write `$${` for the text `${` itself",
        ),
        ("${}", "`${}` is empty", "for example `${event.detail.object.key}`"),
        ("${ }", "`${ }` is empty", "for example `${event.detail.object.key}`"),
        ("${bucket}", "`${bucket}` names no bucket", "write `${bucket.NAME}`"),
        ("${bucket.}", "`${bucket.}` names no bucket", "write `${bucket.NAME}`"),
        ("${queue.geojson}", "`${queue.geojson}` is not a queue's URL", "write `${queue.geojson.url}`"),
        ("${queue.geojson.arn}", "`${queue.geojson.arn}` is not a queue's URL", "write `${queue.geojson.url}`"),
        ("${queue}", "`${queue}` is not a queue's URL", "write `${queue.NAME.url}`"),
        ("${bus.name}", "`${bus.name}`: the bus has no parts", "write `${bus}`"),
        (
            "${interval.begin}",
            "`${interval.begin}` is no bound of an interval",
            "write `${interval.start}` or `${interval.end}`",
        ),
        (
            "$.detail..key",
            "`$.detail..key` is no path into an event: `..` is not possible",
            "name every step of the path",
        ),
        (
            "$.detail.*",
            "`$.detail.*` is no path into an event: `*` is not possible",
            "name one field or item, or take the whole with its path",
        ),
        (
            "$.resources[*]",
            "`$.resources[*]` is no path into an event: `*` is not possible",
            "name one field or item, or take the whole with its path",
        ),
        (
            "$.detail['key']",
            "`$.detail['key']` is no path into an event: quoted names are not possible",
            "names with dots or spaces cannot be reached; take the object around it",
        ),
        (
            "$.items[?(@.n)]",
            "`$.items[?(@.n)]` is no path into an event: filters are not possible",
            "take the list with its path and filter it in the job",
        ),
        (
            "$.a[-1]",
            "`$.a[-1]` is no path into an event: an index counts from the start",
            "write `[0]` for the first item",
        ),
        ("$.a[1:2]", "`$.a[1:2]` is no path into an event: an index is a number in brackets", "for example `[0]`"),
        (
            "$.",
            "`$.` is no path into an event: a name is missing after the dot",
            "names have letters, digits, `-` and `_`",
        ),
        (
            "${event.detail.é}",
            "`${event.detail.é}` is no path into an event: a name is missing after the dot",
            "names have letters, digits, `-` and `_`",
        ),
        (
            "$.source and more",
            "`$.source and more` is no path into an event: ` and more` is no step of it",
            "a path stands alone; within longer text write `${event.detail.…}`",
        ),
        (
            "${event.source/x}",
            "`${event.source/x}` is no path into an event: `/x` is no step of it",
            None,
        ),
        (
            "${event.file.name.}",
            "`${event.file.name.}` is no path into an event: a name is missing after the dot",
            "names have letters, digits, `-` and `_`",
        ),
    ],
)
def test_mistakes(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(MappingError) as caught:
        parse(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "$.detail.objekt.key",
            "the event has no `detail.objekt.key`: `detail` has `bucket`, `object`, `dry_run`, `nothing`, `empty`, `4xx`",
            "did you mean `detail.object`?",
        ),
        (
            "${event.detial}",
            "the event has no `detial`: it has `source`, `detail-type`, `resources`, `detail`",
            "did you mean `detail`?",
        ),
        ("$.detail.bucket.arn", "the event has no `detail.bucket.arn`: `detail.bucket` has `name`", None),
        ("$.source.x", 'the event has no `source.x`: `source` is "aws.s3", which has no parts', None),
        (
            "$.detail.nothing.x",
            "the event has no `detail.nothing.x`: `detail.nothing` is null, which has no parts",
            None,
        ),
        ("$.resources[2]", "the event has no `resources[2]`: `resources` has 2 items", "the first item is `[0]`"),
        ("$.resources[9].x", "the event has no `resources[9].x`: `resources` has 2 items", None),
        ("$.detail.empty[0]", "the event has no `detail.empty[0]`: `detail.empty` is an empty list", None),
        (
            "$.resources.x",
            "the event has no `resources.x`: `resources` is a list",
            "its items are reached by number: `resources[0]`",
        ),
        (
            "$.detail[0]",
            "the event has no `detail[0]`: `detail` is an object",
            "its fields are reached by name, not by `[0]`",
        ),
        ("$[0]", "the event has no `[0]`: it is an object", "its fields are reached by name, not by `[0]`"),
        ("${bucket.result}", "`${bucket.result}`: there is no bucket `result`", "did you mean `results`?"),
        ("${queue.nope.url}", "`${queue.nope.url}`: there is no queue `nope`", None),
    ],
)
def test_missing_values(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(MissingValue) as caught:
        render(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from ${interval.start}", "`${interval.start}` needs a run that covers an interval, as scheduled ones do"),
        ("${event.file}", "`${event.file}` needs a message of a queue"),
        ("$.source", "`$.source` needs an event, and there is none"),
    ],
)
def test_what_a_run_does_not_have(text: str, message: str) -> None:
    with pytest.raises(MissingValue) as caught:
        render(text, Context())
    assert caught.value.message == message


def test_references_know_their_place() -> None:
    template = parse("--in ${bucket.a} --key=${event.detail.items[0].key} ${queue.q.url} ${interval.end} ${event.file}")
    assert [(r.kind, r.name, r.steps, r.offset, r.is_safe_in_shell) for r in template.references] == [
        ("bucket", "a", (), 5, True),
        ("event", "", ("detail", "items", 0, "key"), 23, False),
        ("queue", "q", (), 52, True),
        ("interval", "end", (), 67, True),
        ("file", "", (), 83, False),
    ]


def test_templates_are_values() -> None:
    assert parse("a$${b") == Template(("a${b",))
    assert parse("$.a") == Template((Reference(kind="event", written="$.a", offset=0, steps=("a",)),))
    assert parse("x") != parse("y")
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse("x").parts = ()  # type: ignore[misc]


@given(st.text(alphabet="${}.[]0aevntbuckrl '*?", max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        template = parse(text)
    except MappingError:
        return
    if not template.references:
        assert template.render(Context()) == text.replace("$${", "${")
    assert all(text.startswith(reference.written, reference.offset) for reference in template.references)
