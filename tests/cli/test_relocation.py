"""What of a run is bound to the place where it ran."""

from datetime import UTC, datetime

from wherry.cli.relocation import Names, kept, named, renamed
from wherry.model import Job, Run, Status, new_event

NAMES = Names(
    {"sales-prod-uploads-1-eu": "uploads", "data": "landing"},
    {"sales-prod-out": "out", "sales-prod-out-dead-letters": "out-dead-letters", "sales-prod-in.fifo": "in.fifo"},
    endpoint="http://127.0.0.1:4000",
    region="eu-central-1",
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_buckets_are_called_as_they_are_here():
    there = {
        "bucket": {"name": "sales-prod-uploads-1-eu", "arn": "arn:aws:s3:::sales-prod-uploads-1-eu"},
        "urls": ["s3://sales-prod-uploads-1-eu/a b.csv s3://data/x", "s3://other/data"],
        "text": "data of data-1",
        "number": 3,
        "data": None,
    }
    assert renamed(there, NAMES) == {
        "bucket": {"name": "uploads", "arn": "arn:aws:s3:::uploads"},
        "urls": ["s3://uploads/a b.csv s3://landing/x", "s3://other/data"],
        "text": "data of data-1",
        "number": 3,
        "data": None,
    }


def test_queues_are_called_as_they_are_here():
    there = "https://sqs.eu-west-1.amazonaws.com/123456789012"
    here = "http://127.0.0.1:4000/000000000000"
    assert renamed({"reply-to": f"{there}/sales-prod-out", "name": "sales-prod-out-dead-letters"}, NAMES) == {
        "reply-to": f"{here}/out",
        "name": "out-dead-letters",
    }
    assert renamed([f"{there}/sales-prod-in.fifo {there}/sales-prod-other"], NAMES) == [
        f"{here}/in.fifo {there}/sales-prod-other"
    ]
    arn = "arn:aws:sqs:eu-west-1:123456789012"
    assert renamed(f"{arn}:sales-prod-out.", NAMES) == "arn:aws:sqs:eu-central-1:000000000000:out."
    assert renamed(f"{arn}:other", NAMES) == f"{arn}:other"


def test_what_only_the_place_of_a_run_can_fill_in_stays_there():
    job = Job(
        name="j",
        env={
            "OUT": "${queue.out.url}",
            "BUS": "${bus}",
            "F": "-${event.file}",
            "KEY": "$.detail.key",
            "B": "${bucket.b}",
        },
    )
    there = {
        "OUT": "https://sqs",
        "BUS": "shop",
        "F": "-/tmp/wherry-1/a",
        "KEY": "a",
        "B": "b",
        "QUEUE_URL": "https://sqs",
        "MORE": "m",
    }
    assert kept(there, job) == {"KEY": "a", "B": "b", "MORE": "m"}
    own = Job(name="j", env={"QUEUE_URL": "of somebody else"})
    assert kept({"QUEUE_URL": "of somebody else"}, own) == {"QUEUE_URL": "of somebody else"}


def a_run(detail, env=None, command=()):
    event = new_event("shop", "x", detail, now=NOW)
    return Run(
        id="r", job="j", trigger="event", cause="c", event=event, status=Status.FAILED, created_at=NOW, due_at=NOW,
        asked_at=NOW, env=env or {}, command=tuple(command),
    )  # fmt: skip


def test_what_a_run_may_mean():
    run = a_run(
        {"object": {"key": "in/a.csv"}, "bucket": {"name": "sales-prod-uploads-1-eu"}, "n": 7, "folder": "in/"},
        {"TABLE": "s3://data/table.txt", "ELSEWHERE": "s3://nobody/x", "EMPTY": ""},
        ["python", "etl.py"],
    )
    found = named(run, {"uploads": "sales-prod-uploads-1-eu", "landing": "data"})
    assert found["landing"][:1] == ["in/a.csv"]
    assert "table.txt" in found["landing"]
    assert "table.txt" not in found["uploads"]
    assert "in/a.csv" in found["uploads"]
    assert not {"sales-prod-uploads-1-eu", "in/", "", "x"} & set(found["uploads"])
    assert named(run, {}) == {}


def test_what_is_too_long_or_too_much_is_no_key():
    run = a_run({"text": "ä" * 1025, "many": [f"key-{number}" for number in range(1000)]})
    assert len(named(run, {"uploads": "x"})["uploads"]) < 60


def test_the_objects_that_messages_tell_of_are_among_them_however_many_these_are():
    def told(number):
        told = {"bucket": {"name": "data"}, "object": {"key": f"in/{number}+%C3%A4.csv", "size": number}}
        body = {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": told}]}
        return {
            "message-id": f"m{number}",
            "body": body,
            "attributes": {f"x{more}": f"{number}{more}" for more in range(20)},
        }

    run = a_run({"queue": "q", "messages": [told(number) for number in range(10)]})
    found = named(run, {"landing": "data"})["landing"]
    assert found[:10] == [f"in/{number} ä.csv" for number in range(10)]
