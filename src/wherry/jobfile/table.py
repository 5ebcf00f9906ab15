"""The job file's keys, one line each: what is read, what is checked, what editors and the JSON Schema say of it.

A new key is a new line here, and a line in `convert.py` that puts its value into the model.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from wherry.jobfile import names
from wherry.jobfile.elsewhere import elsewhere
from wherry.jobfile.environments import ENVIRONMENT
from wherry.jobfile.kinds import (
    Boolean,
    Choice,
    Cpu,
    Duration,
    Integer,
    Name,
    Number,
    Reference,
    Size,
    Text,
    Verbatim,
)
from wherry.jobfile.shapes import (
    Command,
    Key,
    ListOf,
    MapOf,
    Record,
)
from wherry.jobfile.triggers import BUCKET_NAME, QUEUE, TRIGGER

_POSITIVE: Final = 1_000_000
_BUCKETS: Final = ListOf(BUCKET_NAME, "bucket names", "[user-uploads]")
_ENV: Final = MapOf(names.VARIABLE, Verbatim(), "{LOG_LEVEL: INFO}")

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
    elsewhere=elsewhere,
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
    elsewhere=elsewhere,
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
        Key(name="emits", kind=Boolean(), about="whether it may put events on the bus (false)"),
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
    elsewhere=elsewhere,
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
    elsewhere=elsewhere,
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
    elsewhere=elsewhere,
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
    elsewhere=elsewhere,
)
