"""What of a run is bound to the place where it ran: names of buckets and queues, and the objects that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from wherry import causes, messages
from wherry.model import LOCAL_ACCOUNT, LOCAL_REGION, Job, Run

#: So many texts of an event are looked at, and so many characters has a key at most.
_MOST = 50
_LONGEST_KEY = 1024
_URL = re.compile(r"s3://([^/\s]+)/(\S+)")
_BUCKET = re.compile(r"(?<=s3://)[^/\s]+|(?<=:::)[^/\s]+")
#: SQS Developer Guide, "Queue and message identifiers".
_QUEUE_URL = re.compile(r"https?://[^/\s]+/\d{12}/([\w-]+(?:\.fifo)?)")
_QUEUE_ARN = re.compile(r"arn:[\w-]+:sqs:[\w-]+:\d{12}:([\w-]+(?:\.fifo)?)")


class Names(NamedTuple):
    """What buckets and queues are called there -> what they are called here."""

    buckets: Mapping[str, str]
    queues: Mapping[str, str]
    #: Where clients of SQS look for queues here, and the region that these are said to be in.
    endpoint: str = "http://localhost"
    region: str = LOCAL_REGION

    def of_url(self, found: re.Match[str]) -> str:
        """The URL that a queue has here, of its URL there."""
        return f"{self.endpoint}/{LOCAL_ACCOUNT}/{self.queues[found[1]]}" if found[1] in self.queues else found[0]

    def of_arn(self, found: re.Match[str]) -> str:
        """The same of its ARN."""
        known = found[1] in self.queues
        return f"arn:aws:sqs:{self.region}:{LOCAL_ACCOUNT}:{self.queues[found[1]]}" if known else found[0]


def renamed(value: Any, names: Names) -> Any:
    """A JSON value with buckets and queues called as they are here.

    A name counts where it is the whole of a text, and in `s3://NAME/...`, `arn:aws:s3:::NAME`, a queue's URL or ARN.
    """
    match value:
        case str():
            if value in names.buckets or value in names.queues:
                return names.buckets.get(value) or names.queues[value]
            text = _BUCKET.sub(lambda found: names.buckets.get(found[0], found[0]), value)
            return _QUEUE_ARN.sub(names.of_arn, _QUEUE_URL.sub(names.of_url, text))
        case Mapping():
            return {key: renamed(each, names) for key, each in value.items()}
        case list() | tuple():
            return [renamed(each, names) for each in value]
    return value


def kept(env: Mapping[str, str], job: Job) -> dict[str, str]:
    """The variables that a run had there without those that only the place where it runs can fill in.

    A queue's URL and the bus would lead back there, and the file of a message is where it was unpacked.
    """
    bound = {name for name, text in job.env.items() if causes.refers_to(text, "queue", "bus", "file")}
    if messages.QUEUE_URL not in job.env:
        bound.add(messages.QUEUE_URL)
    return {name: text for name, text in env.items() if name not in bound}


def named(run: Run, buckets: Mapping[str, str]) -> dict[str, list[str]]:
    """Bucket of the job file -> keys that a run may mean; `buckets` are those that it reads, with their names there.

    A message tells of one object, and an `s3://` URL names its bucket. Any other text of the event, the environment or
    the command may be a key in each.
    """
    texts = list(dict.fromkeys(_texts([run.event.detail, dict(run.env), list(run.command)])))
    there = {name: bucket for bucket, name in buckets.items()}
    found: dict[str, list[str]] = {bucket: [] for bucket in buckets}
    for told in _told(run):
        if told.bucket in there:
            found[there[told.bucket]].append(told.key)
    for text in texts[:_MOST]:
        for name, key in _URL.findall(text):
            if name in there:
                found[there[name]].append(key)
        if 0 < len(text.encode()) <= _LONGEST_KEY and not text.endswith("/") and text not in there:
            for bucket in buckets:
                found[bucket].append(text)
    return {bucket: list(dict.fromkeys(keys)) for bucket, keys in found.items()}


def _told(run: Run) -> Iterator[messages.ObjectName]:
    """The objects that a run's event, or the messages in it, tell of: of S3's own notifications, with decoded keys."""
    several = run.event.detail.get("messages")
    bodies = [each.get("body") for each in several if isinstance(each, Mapping)] if isinstance(several, list) else []
    for document in (run.event.document, *bodies):
        if isinstance(document, Mapping) and (told := messages.object_in(document)):
            yield told


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for each in value.values():
                yield from _texts(each)
        case list() | tuple():
            for each in value:
                yield from _texts(each)
