"""The keys of triggers and of queues: why a job runs, and what waits for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from wherry.jobfile.elsewhere import elsewhere
from wherry.jobfile.kinds import Boolean, Choice, Duration, Integer, KeyPart, Reference, Text, article
from wherry.jobfile.shapes import EventPattern, Key, ListOf, Record, Variants

_LONGEST_VISIBILITY: Final = timedelta(hours=12)

BUCKET_NAME: Final = Reference("bucket", "user-uploads")
_TIMEZONE: Final = Text("the name of a time zone", "Europe/Berlin")

_PREFIX: Final = Key(name="prefix", kind=KeyPart("in/"), about="only objects whose key begins with this text")
_SUFFIX: Final = Key(name="suffix", kind=KeyPart(".csv"), about="only objects whose key ends with this text")
_FROM_BUCKET: Final = Key(name="bucket", kind=BUCKET_NAME, about="a name under `buckets`", required=True)

UPLOAD: Final = Record(
    noun="an upload",
    keys=(_FROM_BUCKET, _PREFIX, _SUFFIX),
    example="{bucket: user-uploads, suffix: .csv}",
    elsewhere=elsewhere,
)

INVOKE: Final = Record(
    noun="`invoke`",
    keys=(
        Key(
            name="url",
            kind=Boolean(),
            about="whether the function has an URL as well, for requests that are signed (false)",
        ),
    ),
    example="{}",
    elsewhere=elsewhere,
)

WORKERS: Final = Record(
    noun="`workers`",
    keys=(
        Key(name="min", kind=Integer(0, 1000, "0"), about="workers that are always there (0)"),
        Key(name="max", kind=Integer(1, 1000, "8"), about="no more workers than this (1, or `min`)"),
        Key(
            name="backlog",
            kind=Integer(1, 100_000, "10"),
            about="one worker is wanted for so many messages that wait (10)",
        ),
        Key(
            name="idle",
            kind=Duration("5m", least=timedelta(seconds=1), most=timedelta(days=1)),
            about="workers above `min` go when the queue has been empty for so long (5m)",
        ),
    ),
    example="{min: 0, max: 8}",
    elsewhere=elsewhere,
)

_EXIT_CODES: Final = ListOf(
    Integer(1, 255, "75", refused=((0, "exit code 0 is success"),)),
    "exit codes",
    "[75]",
    least=1,
)

VERDICTS: Final = Record(
    noun="`exit_codes`",
    keys=(
        Key(name="drop", kind=_EXIT_CODES, about="the message will never succeed: it is deleted, the run has failed"),
        Key(name="give_back", kind=_EXIT_CODES, about="the message is for another try at once, without a wait"),
    ),
    example="{drop: [65], give_back: [75]}",
    elsewhere=elsewhere,
)


def _trigger(*keys: Key) -> Record:
    """A trigger's record; the first key is the one that decides its kind."""
    return Record(noun=f"{article(keys[0].name)} trigger", keys=keys, example="", elsewhere=elsewhere)


TRIGGER: Final = Variants(
    noun="a trigger",
    records=(
        (
            "schedule",
            _trigger(
                Key(
                    name="schedule",
                    kind=Text("a schedule such as `cron(0 5 * * ? *)` or `rate(1 day)`", '"cron(0 5 * * ? *)"'),
                    about="`cron(...)`, `rate(...)` or `at(...)` as in EventBridge, or five-field cron",
                    required=True,
                ),
                Key(name="timezone", kind=_TIMEZONE, about="the zone whose wall time the schedule means (UTC)"),
                Key(
                    name="catch_up",
                    kind=Choice(("none", "latest", "all")),
                    about="what to do with firings missed while nothing was running (none)",
                ),
                Key(
                    name="window",
                    kind=Duration("15m", least=timedelta(minutes=1), most=timedelta(days=1)),
                    about="on AWS a firing may come so much later, when Scheduler chooses (exactly on time)",
                ),
            ),
        ),
        (
            "upload",
            _trigger(Key(name="upload", kind=UPLOAD, about="when an object is created in a bucket", required=True)),
        ),
        (
            "event",
            _trigger(Key(name="event", kind=EventPattern(), about="when an event matches this pattern", required=True)),
        ),
        (
            "queue",
            _trigger(
                Key(
                    name="queue",
                    kind=Reference("queue", "geojson"),
                    about="for every message of a queue; a name under `queues`",
                    required=True,
                ),
                Key(name="workers", kind=WORKERS, about="how many workers take messages at once"),
                Key(
                    name="mode",
                    kind=Choice(("managed", "self-polling")),
                    about="who receives and deletes: wherry, a run for each message; or the command itself (managed)",
                ),
                Key(name="batch", kind=Integer(1, 10, "10"), about="messages of one run (1)"),
                Key(
                    name="exit_codes",
                    kind=VERDICTS,
                    about="exit codes that say more than that the run has failed",
                ),
            ),
        ),
        (
            "after",
            _trigger(
                Key(
                    name="after", kind=Reference("job", "nightly"), about="when a run of that job ended", required=True
                ),
                Key(
                    name="when",
                    kind=Choice(("success", "failure", "any")),
                    about="how that run must have ended (success)",
                ),
            ),
        ),
        (
            "invoke",
            _trigger(
                Key(
                    name="invoke",
                    kind=INVOKE,
                    about="when somebody calls the job's function (Lambda on AWS), who is told of the run",
                    required=True,
                ),
            ),
        ),
    ),
    example='schedule: "cron(0 5 * * ? *)"',
    mistaken=(
        ("cron", 'write `- schedule: "cron(0 5 * * ? *)"`'),
        ("rate", 'write `- schedule: "rate(1 day)"`'),
        ("at", 'write `- schedule: "at(2026-03-01T10:00:00)"`'),
        ("manual", "every job can be run by hand: `wherry run JOB`"),
        ("lambda", "write `- invoke: {}`"),
        ("url", "write `- invoke: {url: true}`"),
        ("bucket", "write `- upload: {bucket: NAME}`"),
        ("suffix", "write `- upload: {bucket: NAME, suffix: .csv}`"),
        ("prefix", "write `- upload: {bucket: NAME, prefix: in/}`"),
        ("source", "write `- event: {source: [...]}`"),
        ("detail-type", "write `- event: {detail-type: [...]}`"),
        ("s3", "write `- upload: {bucket: NAME}`"),
        ("sqs", "write `- queue: NAME`"),
    ),
)

FEED: Final = Record(
    noun="what a queue is fed from",
    keys=(
        Key(name="bucket", kind=BUCKET_NAME, about="a name under `buckets`: its uploads become messages"),
        _PREFIX,
        _SUFFIX,
        Key(
            name="format",
            kind=Choice(("event", "s3")),
            about="what a message's body is: the EventBridge event, or an S3 event notification (event)",
        ),
        Key(name="event", kind=EventPattern(), about="events that match this pattern become messages"),
    ),
    example="{bucket: user-uploads, suffix: .geojson}",
    elsewhere=elsewhere,
    further=(("oneOf", [{"required": [key]} for key in ("bucket", "event")]),),
)

QUEUE: Final = Record(
    noun="a queue",
    keys=(
        Key(name="from", kind=FEED, about="uploads or events that become messages of this queue"),
        Key(
            name="visibility",
            kind=Duration("10m", least=timedelta(0), most=_LONGEST_VISIBILITY, whole_seconds=True),
            about="how long a received message stays hidden from other receivers (30s)",
        ),
        Key(
            name="max_receives",
            kind=Integer(1, 1000, "3"),
            about="a message received this often without success goes to the dead letters (3)",
        ),
        Key(
            name="delay",
            kind=Duration("10s", least=timedelta(0), most=timedelta(minutes=15), whole_seconds=True),
            about="how long a new message waits before anybody can receive it (0s)",
        ),
        Key(
            name="retention",
            kind=Duration("4d", least=timedelta(minutes=1), most=timedelta(days=14), whole_seconds=True),
            about="a message that nobody has deleted is deleted after this (4d)",
        ),
        Key(
            name="content_deduplication",
            kind=Boolean(),
            about="FIFO: messages with the same body within five minutes are one (false)",
        ),
    ),
    example="{}",
    elsewhere=elsewhere,
)
