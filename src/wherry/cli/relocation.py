"""What of a run is bound to the place where it ran: names of buckets, and the objects that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wherry.model import Run

#: So many texts of an event are looked at, and so many characters has a key at most.
_MOST = 50
_LONGEST_KEY = 1024
_URL = re.compile(r"s3://([^/\s]+)/(\S+)")


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A JSON value with buckets called as they are here; `names` are those there -> those here.

    A name counts where it is the whole of a text, and in `s3://NAME/...` and `arn:aws:s3:::NAME`.
    """
    match value:
        case str():
            if value in names:
                return names[value]
            return re.sub(r"(?<=s3://)[^/\s]+|(?<=:::)[^/\s]+", lambda found: names.get(found[0], found[0]), value)
        case Mapping():
            return {key: renamed(each, names) for key, each in value.items()}
        case list() | tuple():
            return [renamed(each, names) for each in value]
    return value


def named(run: Run, buckets: Mapping[str, str]) -> dict[str, list[str]]:
    """Bucket of the job file -> keys that a run may mean; `buckets` are those that it reads, with their names there.

    An `s3://` URL names its bucket. Any other text of the event, the environment or the command may be a key in each.
    """
    texts = list(dict.fromkeys(_texts([run.event.detail, dict(run.env), list(run.command)])))
    there = {name: bucket for bucket, name in buckets.items()}
    found: dict[str, list[str]] = {bucket: [] for bucket in buckets}
    for text in texts[:_MOST]:
        for name, key in _URL.findall(text):
            if name in there:
                found[there[name]].append(key)
        if 0 < len(text.encode()) <= _LONGEST_KEY and not text.endswith("/") and text not in there:
            for bucket in buckets:
                found[bucket].append(text)
    return {bucket: list(dict.fromkeys(keys)) for bucket, keys in found.items()}


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
