"""What no value alone can tell of queues and of the jobs that take their messages.

Sources: SQS API Reference, CreateQueue; S3 User Guide, "Supported event destinations".
"""

from __future__ import annotations

from datetime import timedelta

from wherry.jobfile.convert import Values
from wherry.jobfile.names import QUEUE
from wherry.jobfile.nodes import shorten
from wherry.jobfile.references import check_reference
from wherry.jobfile.report import Spot
from wherry.model import Queue

#: Keys of `from` that speak of uploads alone.
_OF_UPLOADS = ("prefix", "suffix", "format")
#: Keys of a queue trigger that mean nothing to a command that polls by itself.
_OF_MANAGED = ("batch", "exit_codes")


def check(values: Values, root: Spot) -> None:
    """All queues of a file, and who takes from them."""
    names = values.get("queues", {})
    letters = {Queue(name=name).dead_letters: name for name in names}
    for name, queue in names.items():
        spot = root.at(f"queues.{name}")
        _check_name(name, letters, spot)
        if "content_deduplication" in queue and not name.endswith(".fifo"):
            spot.problem(
                spot.key("content_deduplication").place,
                "only FIFO queues know messages again",
                f"call the queue `{name}.fifo`, or delete `content_deduplication`",
            )
        if queue.get("from") is not None:
            _check_feed(name, queue["from"], spot.key("from"))
    _check_takers(values, root)


def check_trigger(value: Values, spot: Spot) -> None:
    """A queue trigger's own keys."""
    workers = value.get("workers", {})
    if "min" in workers and "max" in workers and workers["min"] > workers["max"]:
        spot.problem(
            spot.key("workers").key("min").value_place,
            f"`min` ({workers['min']}) is more than `max` ({workers['max']})",
            "`min` workers are always there, up to `max` come with the messages",
        )
    if value.get("mode") == "self-polling":
        for key in _OF_MANAGED:
            if key in value:
                said = f"`{key}` is for wherry's own worker, and with `mode: self-polling` the command itself receives"
                spot.problem(spot.key(key).place, said, f"delete `{key}`, or `mode`")
    codes = value.get("exit_codes", {})
    for code in sorted({*codes.get("drop", ())} & {*codes.get("give_back", ())}):
        said = f"exit code {code} is in `drop` as well as in `give_back`"
        spot.problem(spot.key("exit_codes").place, said, "keep it in one of them")


def _check_name(name: str, letters: dict[str, str], spot: Spot) -> None:
    if name in letters:
        said = f"`{name}` is what the dead letters of queue `{letters[name]}` are called"
        spot.problem(spot.place, said, "call it otherwise")
    own = Queue(name=name).dead_letters
    if QUEUE.objection(name) is None and QUEUE.objection(own):
        most = QUEUE.max_length - len(own) + len(name)
        said = f"the queue name `{shorten(name)}` is too long"
        spot.problem(spot.place, said, f"at most {most} characters, so that `NAME{own[len(name) :]}` is a name, too")


def _check_feed(name: str, feed: Values, spot: Spot) -> None:
    sources = [key for key in ("bucket", "event") if spot.has(key)]
    if not sources:
        spot.problem(
            spot.place, "`from` needs a `bucket` or an `event` pattern", "for example `{bucket: user-uploads}`"
        )
    elif len(sources) > 1:
        said = "a queue is fed from uploads or from events, and this one has `bucket` and `event`"
        spot.problem(spot.key("event").place, said, "keep one of them; an upload is an event, too")
    if "bucket" in feed:
        check_reference("bucket", feed["bucket"], spot.key("bucket"))
    elif sources == ["event"]:
        for key in _OF_UPLOADS:
            if key in feed:
                said = f"`{key}` is for uploads, and these messages come from events"
                spot.problem(spot.key(key).place, said, "delete it; an event pattern can say the same")
    if feed.get("format") == "s3" and name.endswith(".fifo"):
        said = "`format: s3` is not possible: S3 sends no notifications to FIFO queues"
        spot.problem(spot.key("format").place, said, "delete `format`: then EventBridge brings the messages")


def _check_takers(values: Values, root: Spot) -> None:
    """Two jobs at one queue would take each other's messages; a worker needs a time in which to work."""
    takers: dict[str, str] = {}
    for job, value in values.get("jobs", {}).items():
        for number, trigger in enumerate(value.get("on", ())):
            queue = trigger.get("queue") if trigger else None
            if queue is None:
                continue
            spot = root.at(f"jobs.{job}.on.{number}").key("queue")
            if takers.setdefault(queue, job) != job:
                said = f"jobs `{takers[queue]}` and `{job}` would take each other's messages of queue `{queue}`"
                spot.problem(spot.value_place, said, "a message is for one job: make a queue for each")
            visibility = values.get("queues", {}).get(queue, {}).get("visibility")
            if visibility == timedelta(0):
                said = f"queue `{queue}` hides a message that is worked on for no time (`visibility: 0s`)"
                spot.problem(spot.value_place, said, "at least `1s`; wherry's worker prolongs it while the job runs")
