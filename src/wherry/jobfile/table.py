"""The job file's keys, one line each: what is read, what is checked, what editors and the JSON Schema say of it.

A new key is a new line here, and a line in `convert.py` that puts its value into the model.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from wherry.jobfile import names
from wherry.jobfile.kinds import (
    Boolean,
    Choice,
    Cpu,
    Duration,
    Integer,
    KeyPart,
    Name,
    Number,
    Reference,
    Size,
    Text,
    Verbatim,
    article,
)
from wherry.jobfile.shapes import (
    Command,
    Either,
    EventPattern,
    Key,
    ListOf,
    MapOf,
    OneOrMany,
    Record,
    Variants,
    keys_of,
)


def _elsewhere(name: str) -> str | None:
    """Where a key belongs that stands in the wrong place, as a hint; None when it belongs nowhere."""
    if name in _MISTAKEN:
        return _MISTAKEN[name]
    # what jobs and `defaults` share is more likely meant for a job
    places = [(f"jobs.NAME.{path}", record) for path, record in keys_of(JOB)] + list(keys_of(JOB_FILE))
    for path, record in places:
        if any(key.name == name for key in record.keys):
            route = "".join(f"{step}: " for step in path.split(".") if step).strip()
            beside = f", beside `{record.keys[0].name}`" if _is_beside(name, record) else ""
            return f"`{name}` belongs under `{route}`{beside}" if route else f"`{name}` belongs at the left margin"
    return None


def _is_beside(name: str, record: Record) -> bool:
    """True for a trigger's further key, which needs the one that decides its kind."""
    return record.noun.endswith("trigger") and record.keys[0].name != name


#: Keys of neighbours -> what they are called here.
_MISTAKEN: Final = {
    "environment": "the variables of a job are its `env`",
    "variables": "the variables of a job are its `env`",
    "vars": "the variables of a job are its `env`",
    "cron": 'write `- schedule: "cron(0 5 * * ? *)"` under the job\'s `on`',
    "triggers": "why a job runs is written under its `on`",
    "run": "what a job runs is its `command`",
    "script": "what a job runs is its `command`",
    "entrypoint": "what a job runs is its `command`",
    "args": "arguments are items of the job's `command`",
    "retries": "write `retry: {attempts: 3}`",
    "max_attempts": "write `retry: {attempts: 3}`",
    "depends_on": "write `- after: JOB` under the job's `on`",
    "needs": "write `- after: JOB` under the job's `on`",
    "dockerfile": "`build` names the folder of the Dockerfile",
    "tz": "`timezone` is a key of a schedule trigger",
    "mem": "write `memory: 512MB`",
    "name": "the name is the key itself, the application's name is `app`",
    "version": "a job file has no version: delete this line",
}

_POSITIVE: Final = 1_000_000
_LONGEST_VISIBILITY: Final = timedelta(hours=12)

_BUCKET: Final = Reference("bucket", "user-uploads")
_BUCKETS: Final = ListOf(_BUCKET, "bucket names", "[user-uploads]")
_ENV: Final = MapOf(names.VARIABLE, Verbatim(), "{LOG_LEVEL: INFO}")
_TIMEZONE: Final = Text("the name of a time zone", "Europe/Berlin")

_PREFIX: Final = Key(name="prefix", kind=KeyPart("in/"), about="only objects whose key begins with this text")
_SUFFIX: Final = Key(name="suffix", kind=KeyPart(".csv"), about="only objects whose key ends with this text")
_FROM_BUCKET: Final = Key(name="bucket", kind=_BUCKET, about="a name under `buckets`", required=True)

UPLOAD: Final = Record(
    noun="an upload",
    keys=(_FROM_BUCKET, _PREFIX, _SUFFIX),
    example="{bucket: user-uploads, suffix: .csv}",
    elsewhere=_elsewhere,
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
    elsewhere=_elsewhere,
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
    elsewhere=_elsewhere,
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
    elsewhere=_elsewhere,
)

RETRY: Final = Record(
    noun="`retry`",
    keys=(
        Key(name="attempts", kind=Integer(1, 1000, "3"), about="attempts in all, the first included (1)"),
        Key(
            name="backoff",
            kind=Duration("10s", least=timedelta(0)),
            about="the wait before the second attempt (0s)",
        ),
        Key(name="factor", kind=Number(1, 100, "2"), about="each further wait is this many times the one before (2)"),
        Key(name="cap", kind=Duration("1h", least=timedelta(0)), about="no wait is longer than this (1h)"),
        Key(name="jitter", kind=Number(0, 1, "0.5"), about="the part of a wait that chance may take away (0)"),
        Key(
            name="exit_codes",
            kind=ListOf(
                Integer(1, 255, "75", refused=((0, "exit code 0 is success, which is never tried again"),)),
                "exit codes",
                "[75]",
                least=1,
            ),
            about="the exit codes worth another attempt (all but 0)",
        ),
    ),
    example="{attempts: 3, backoff: 10s}",
    elsewhere=_elsewhere,
)


def _trigger(*keys: Key) -> Record:
    """A trigger's record; the first key is the one that decides its kind."""
    return Record(noun=f"{article(keys[0].name)} trigger", keys=keys, example="", elsewhere=_elsewhere)


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

_IMAGE: Final = Text(
    "the name of an image such as `python:3.12-slim`",
    "python:3.12-slim",
    pattern=r"([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?/)?[a-z0-9][a-z0-9._/-]*"
    r"(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?",
    mistaken=(("://", "write a registry's address without `https://`"),),
)
_TIMEOUT: Final = Key(name="timeout", kind=Duration("1h"), about="bounds one attempt and kills it (no limit)")
_DEADLINE: Final = Key(
    name="deadline", kind=Duration("6h"), about="bounds the run, queueing and all attempts included (no limit)"
)
_CPU: Final = Key(name="cpu", kind=Cpu(), about="vCPUs (0.25), or ECS units from 256 on (1024 are one vCPU)")
_MEMORY: Final = Key(name="memory", kind=Size("512MB"), about="MB and GB count as in ECS: 1GB is 1024MB, 2**30 bytes")
_RETRY: Final = Key(name="retry", kind=RETRY, about="when a failed attempt is worth another one")
_OVERLAP: Final = Key(
    name="overlap",
    kind=Choice(("skip", "wait", "allow")),
    about="what a new run does while another one of the job is active (allow)",
)
_VARIABLES: Final = Key(
    name="env", kind=_ENV, about="environment variables; `$.path` and `${...}` take values of the event"
)

HELPER: Final = Record(
    noun="a helper",
    keys=(
        Key(
            name="command",
            kind=Command(),
            about="what to run beside the job: a list of arguments, or text for the shell",
        ),
        Key(name="image", kind=_IMAGE, about="a container image, as in `docker run` (the job's own)"),
        Key(name="env", kind=_ENV, about="environment variables; `$.path` and `${...}` take values of the event"),
    ),
    example="{command: [./proxy]}",
    elsewhere=_elsewhere,
    further=(("anyOf", [{"required": [key]} for key in ("command", "image")]),),
)

JOB: Final = Record(
    noun="a job",
    keys=(
        Key(name="command", kind=Command(), about="what to run: a list of arguments, or text for the shell"),
        Key(name="build", kind=Text("the path of a folder", "."), about="the folder of the image's Dockerfile"),
        Key(name="image", kind=_IMAGE, about="a container image, as in `docker run`"),
        Key(
            name="task_definition",
            kind=Text("the path of a JSON file", "task-definition.json"),
            about="an existing ECS task definition, a JSON file",
        ),
        Key(
            name="on",
            kind=ListOf(TRIGGER, "triggers", '[{schedule: "rate(1 day)"}]', distinct=False),
            about="why to run it; any of these starts a run",
        ),
        _VARIABLES,
        Key(
            name="secrets",
            kind=MapOf(names.VARIABLE, Name(names.SECRET, "api-token"), "{API_TOKEN: api-token}"),
            about="environment variables filled from secrets: variable -> secret's name",
        ),
        Key(name="reads", kind=_BUCKETS, about="the buckets it may read; nothing else is permitted"),
        Key(name="writes", kind=_BUCKETS, about="the buckets it may write; nothing else is permitted"),
        Key(
            name="sends",
            kind=ListOf(Reference("queue", "geojson"), "queue names", "[geojson]"),
            about="the queues it may send messages to; nothing else is permitted",
        ),
        _CPU,
        _MEMORY,
        _RETRY,
        _TIMEOUT,
        _DEADLINE,
        _OVERLAP,
        Key(
            name="concurrency",
            kind=Integer(1, _POSITIVE, "4"),
            about="how many runs of this job at once (no limit of its own; one where they may not overlap)",
        ),
        Key(
            name="helpers",
            kind=MapOf(names.HELPER, HELPER, "{proxy: {command: [./proxy]}}"),
            about="processes (containers on ECS) beside the main one, which alone decides",
        ),
    ),
    example="{command: [python, etl.py]}",
    elsewhere=_elsewhere,
    further=(
        (
            "anyOf",
            [{"required": [key]} for key in ("command", "build", "image", "task_definition")],
        ),
        ("not", {"required": ["build", "image"]}),
    ),
)

DEFAULTS: Final = Record(
    noun="`defaults`",
    keys=(_CPU, _MEMORY, _TIMEOUT, _DEADLINE, _RETRY, _OVERLAP, _VARIABLES),
    example="{cpu: 0.25, memory: 512MB}",
    elsewhere=_elsewhere,
)

BUCKET: Final = Record(
    noun="a bucket",
    keys=(
        Key(
            name="existing",
            kind=Name(names.BUCKET, "acme-landing-zone"),
            about="somebody else's bucket of this name: never created, never deleted",
        ),
    ),
    example="{}",
    elsewhere=_elsewhere,
)

FEED: Final = Record(
    noun="what a queue is fed from",
    keys=(
        Key(name="bucket", kind=_BUCKET, about="a name under `buckets`: its uploads become messages"),
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
    elsewhere=_elsewhere,
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
    elsewhere=_elsewhere,
)

ALERT: Final = Record(
    noun="an alert",
    keys=(
        Key(
            name="command",
            kind=Command("[./notify.sh]"),
            about="what to run; the report is JSON on its standard input",
            required=True,
        ),
    ),
    example="{command: [./notify.sh]}",
    elsewhere=_elsewhere,
)

KEEP: Final = Record(
    noun="`keep`",
    keys=(
        Key(name="age", kind=Duration("30d"), about="history is kept so long (30d)"),
        Key(name="runs", kind=Integer(1, 100_000_000, "10000"), about="so many ended runs (100000)"),
        Key(name="logs", kind=Size("10GB"), about="the size of all logs together (10GB)"),
    ),
    example="{age: 30d}",
    elsewhere=_elsewhere,
)

NETWORK: Final = Record(
    noun="`network`",
    keys=(
        Key(
            name="subnets",
            kind=ListOf(
                Text("the id of a subnet", "subnet-0a1b2c3d", pattern="subnet-[0-9a-f]+"),
                "subnets",
                "[subnet-0a1b2c3d]",
                least=1,
                most=16,
            ),
            about="where the tasks stand; all in one VPC",
            required=True,
        ),
        Key(
            name="security_groups",
            kind=ListOf(
                Text("the id of a security group", "sg-0a1b2c3d", pattern="sg-[0-9a-f]+"),
                "security groups",
                "[sg-0a1b2c3d]",
                least=1,
                most=5,
            ),
            about="what the tasks may reach (a group of wherry's own that lets everything out and nothing in)",
        ),
        Key(name="public_ip", kind=Boolean(), about="whether tasks get a public address (true)"),
    ),
    example="{subnets: [subnet-0a1b2c3d]}",
    elsewhere=_elsewhere,
)

INSTANCES: Final = Record(
    noun="`instances`",
    keys=(
        Key(
            name="type",
            kind=Text("an EC2 instance type such as `m7i.large`", "m7i.large", pattern=r"[a-z0-9-]+\.[a-z0-9-]+"),
            about="the EC2 instance type (m7i.large, or m7g.large for linux/arm64)",
        ),
        Key(name="max", kind=Integer(1, 1000, "4"), about="no more instances than this (4)"),
    ),
    example="{type: m7i.large, max: 4}",
    elsewhere=_elsewhere,
)

BUS: Final = Record(
    noun="`bus`",
    keys=(
        Key(
            name="name",
            kind=Text("the name of an event bus", "shop", pattern=r"[A-Za-z0-9._-]{1,256}"),
            about="its name; it is made with the environment and goes with it",
            required=True,
        ),
        Key(
            name="accounts",
            kind=ListOf(
                Text("an AWS account, 12 digits in quotes", '"111122223333"', pattern="[0-9]{12}"),
                "accounts",
                '["111122223333"]',
                most=50,
            ),
            about="the accounts that may put events on it besides this one (none)",
        ),
    ),
    example='{name: shop, accounts: ["111122223333"]}',
    elsewhere=_elsewhere,
)

ENVIRONMENT: Final = Record(
    noun="an environment",
    keys=(
        Key(
            name="region",
            kind=Text(
                "an AWS region such as `eu-central-1`",
                "eu-central-1",
                pattern=r"[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}",
                mistaken=((r"-[0-9][a-z]$", "this is an availability zone: leave out its last letter"),),
            ),
            about="the AWS region",
        ),
        Key(
            name="capacity",
            kind=Choice(("fargate", "fargate-spot", "ec2")),
            about="what the tasks run on (fargate)",
        ),
        Key(name="instances", kind=INSTANCES, about="the EC2 instances of `capacity: ec2`"),
        Key(
            name="platform",
            kind=Choice(("linux/amd64", "linux/arm64")),
            about="the processors that images are built for (linux/amd64)",
        ),
        Key(
            name="network",
            kind=Either(Choice(("default", "own")), NETWORK),
            about="where the tasks stand: `default` is the default VPC, `own` a small VPC of the app's own "
            "(the first where there is one)",
        ),
        Key(
            name="registry",
            kind=Text(
                "a registry such as `ghcr.io/acme`",
                "ghcr.io/acme",
                pattern=r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*",
                mistaken=(("://", "write a registry's address without `https://`"),),
            ),
            about="where images are pushed (ECR, in repositories of the app's own)",
        ),
        Key(
            name="bus",
            kind=Either(
                Text(
                    "the name of an event bus, or the ARN of another account's",
                    "orders",
                    pattern=r"[A-Za-z0-9/._-]{1,256}|arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9/._-]{1,256}",
                ),
                BUS,
            ),
            about="the event bus that `event` triggers listen on: one that exists, by name or ARN, or with "
            "`{name, accounts}` one of the environment's own (default)",
        ),
        Key(
            name="buckets",
            kind=MapOf(names.BUCKET, Name(names.BUCKET, "acme-uploads"), "{user-uploads: acme-uploads}"),
            about="names on AWS for buckets of this file (APP-ENV-BUCKET-ACCOUNT-REGION)",
        ),
        Key(
            name="alerts",
            kind=OneOrMany(
                Either(
                    Text(
                        "an e-mail address, an `https://` URL or the ARN of an SNS topic",
                        "ops@example.com",
                        pattern=r"[^@\s:/]+@[^@\s:/]+\.[^@\s:/]+|https://[^\s/]+\S*|http://(localhost|127\.0\.0\.1)(:[0-9]+)?(/\S*)?|arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w.-]+",
                        mistaken=(("^http://", "failures are not sent in the clear: use `https://`"),),
                    ),
                    ALERT,
                ),
                "addresses",
            ),
            about="where failures are reported: e-mail addresses, https URLs, SNS topics, commands (`local` only)",
        ),
        Key(
            name="dashboard",
            kind=Boolean(),
            about="whether CloudWatch has a page of graphs (false); the first three of an account cost nothing",
        ),
        Key(
            name="aws",
            kind=Choice(("inherit",)),
            about="`inherit`: jobs get the caller's own AWS configuration (`local` only)",
        ),
        Key(name="keep", kind=KEEP, about="how much history is kept; on AWS only `age` is possible, for the logs"),
    ),
    example="{region: eu-central-1}",
    elsewhere=_elsewhere,
)

JOB_FILE: Final = Record(
    noun="a job file",
    keys=(
        Key(
            name="app",
            kind=Name(names.APP, "sales-etl"),
            about="the application's name; what it creates is named after it",
            required=True,
        ),
        Key(name="defaults", kind=DEFAULTS, about="what every job has unless it says otherwise"),
        Key(
            name="buckets",
            kind=MapOf(names.BUCKET, BUCKET, "{user-uploads: {}}"),
            about="a folder here, an S3 bucket on AWS",
        ),
        Key(name="queues", kind=MapOf(names.QUEUE, QUEUE, "{work: {}}"), about="queues of messages, as in SQS"),
        Key(
            name="jobs",
            kind=MapOf(names.JOB, JOB, "{nightly: {command: [python, etl.py]}}"),
            about="what to run, and why",
        ),
        Key(
            name="environments",
            kind=MapOf(names.ENVIRONMENT, ENVIRONMENT, "{prod: {region: eu-central-1}}"),
            about="where to run; `local` is this machine",
        ),
    ),
    example="{app: sales-etl}",
    elsewhere=_elsewhere,
)
