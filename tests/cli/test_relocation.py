"""What of a run is bound to the place where it ran."""

from datetime import UTC, datetime

from wherry.cli.relocation import named, renamed
from wherry.model import Run, Status, new_event

NAMES = {"sales-prod-uploads-1-eu": "uploads", "data": "landing"}
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
