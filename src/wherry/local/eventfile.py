"""The file that a message comes as (`${event.file}`): a copy of the object that it tells of, or its body.

Each attempt has a copy of its own, in a folder of its run's: it may write into it, and nobody else's file is changed.
The folder goes when the attempt has ended; what a killed engine left of it, when the next one starts.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from wherry import causes, messages
from wherry.errors import MissingValue
from wherry.local.buckets import Buckets
from wherry.local.objects import ObjectError
from wherry.messages import ObjectName, queue_of
from wherry.model import JobFile, QueueTrigger, Run

#: The file of one message that tells of no object, and of a batch.
_BODY, _BATCH = "message", "messages.jsonl"
#: A copy is made in pieces of at most so many bytes.
_PIECE = 1 << 30
#: What the system says where it cannot copy from this file to that one without our help.
_NOT_POSSIBLE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class NotTogether(MissingValue):
    """Some of the objects that a batch tells of are there, and some are not.

    The run goes on with those messages that fare as the one it is known by (its cause), and gives the others back
    (`apart`): these get a run of their own, and all find their way in a few rounds.
    """

    def __init__(self, missing: MissingValue, apart: frozenset[str], *, is_hopeless: bool) -> None:
        super().__init__(missing.message, hint=missing.hint if is_hopeless else "its batch is tried without it")
        #: What the first of the missing ones is about.
        self.missing = missing
        self.apart = apart
        #: The message of the cause lacks its object: what the run keeps will never start.
        self.is_hopeless = is_hopeless


class Held(Protocol):
    """Knows the messages that a run holds."""

    def documents(self, run_id: str, now: datetime) -> list[dict[str, Any]]:
        """As SQS's ReceiveMessage gives them; none for a run that holds nothing, as a replayed one."""
        ...


class EventFiles:
    """Makes and removes the files of attempts; from any thread."""

    def __init__(self, jobfile: Callable[[], JobFile], folder: str, buckets: Buckets, held: Held) -> None:
        self._jobfile = jobfile
        self._folder = folder
        self._buckets = buckets
        self._held = held

    def folder_of(self, run_id: str) -> str:
        """The folder of a run's files."""
        return f"{self._folder}/{run_id}"

    def make(self, run: Run, now: datetime, shown: str | None = None) -> str | None:
        """Make the file of an attempt; gives its name in the run's folder, None when the run has no message.

        `shown` is where a container sees that folder. Raises MissingValue when the object is not there (NotTogether
        when others of a batch are), OSError when the copy cannot be made.
        """
        held = self._held.documents(run.id, now)
        is_batch = run.event.source == messages.SOURCE and run.event.detail_type == messages.MANY
        documents = held or _told(run)
        if not documents:
            return None
        folder = self.folder_of(run.id)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        if is_batch:
            try:
                return self._make_batch(run, documents, folder, shown or folder)
            except NotTogether as error:
                if held:
                    raise
                raise error.missing from None  # a run that holds nothing has nothing to give back
        named = messages.object_in(run.event.document)
        if named is None:
            _write(f"{folder}/{_BODY}", str(documents[0]["Body"]))
            return _BODY
        name = messages.file_name(named)
        self._copy(run.job, named, f"{folder}/{name}")
        return name

    def is_there(self, run_id: str) -> bool:
        """True when something of a run's files is there."""
        return os.path.isdir(self.folder_of(run_id))

    def remove(self, run_id: str) -> None:
        """The attempt has ended."""
        shutil.rmtree(self.folder_of(run_id), ignore_errors=True)

    def remove_all_but(self, run_ids: set[str]) -> None:
        """Remove the files of all other runs: what engines that were killed have left."""
        with contextlib.suppress(FileNotFoundError):
            for name in set(os.listdir(self._folder)) - run_ids:
                self.remove(name)

    def _make_batch(self, run: Run, documents: Sequence[Mapping[str, Any]], folder: str, shown: str) -> str:
        files, missing = {}, {}
        for number, document in enumerate(documents, start=1):
            named = messages.object_of(document["Body"])
            if named is not None:
                name = f"{number}/{messages.file_name(named)}"  # two keys may end in the same name
                os.mkdir(f"{folder}/{number}")
                try:
                    self._copy(run.job, named, f"{folder}/{name}")
                except MissingValue as error:
                    missing[str(document["MessageId"])] = error
                files[document["MessageId"]] = f"{shown}/{name}"
        if missing:
            raise _parted(run, [str(document["MessageId"]) for document in documents], missing)
        _write(f"{folder}/{_BATCH}", messages.lines_of(documents, files))
        return _BATCH

    def _copy(self, job: str, named: ObjectName, path: str) -> None:
        self._check(job, named)
        try:
            opened = self._buckets.open(named.bucket, named.key)
        except ObjectError as error:
            if error.code == "NoSuchKey":
                raise MissingValue(
                    f"there is no object `{named.key}` in bucket `{named.bucket}`: it was deleted after the message "
                    "was sent (NoSuchKey)",
                    hint="put it there again and retry the run, or let it go: `wherry dead-letters purge RUN`",
                ) from None
            raise MissingValue(f"the object `{named.key}` cannot be fetched: {error.message}") from None
        with opened, open(path, "wb") as target:
            os.fchmod(target.fileno(), 0o644)  # a container's user is another one
            _copy_bytes(opened.descriptor, target.fileno(), opened.info.size)

    def _check(self, name: str, named: ObjectName) -> None:
        """Raise MissingValue for an object that the job may not read: whoever sends a message may name any."""
        jobfile = self._jobfile()
        job, bucket = jobfile.jobs.get(name), jobfile.bucket_by_local_name(named.bucket)
        if job is None or bucket is None or bucket.name in job.reads:
            return
        if not causes.is_fed(jobfile, job, bucket.name, named.key):
            said = f"job `{name}` may not read bucket `{bucket.name}`, and its message names `{named.key}` there"
            advice = f"add `{bucket.name}` to its `reads`" if job.reads else f"add `reads: [{bucket.name}]`"
            raise MissingValue(f"{said}: {advice} ({jobfile.place(f'jobs.{name}.reads')})")


def _copy_bytes(source: int, target: int, size: int) -> None:
    """Copy a whole file, inside the kernel where that can be: on some file systems nothing is even copied."""
    done = 0
    try:
        while done < size:
            copied = os.copy_file_range(source, target, min(_PIECE, size - done), offset_src=done)
            if not copied:
                return  # somebody has just shortened the file by hand
            done += copied
    except OSError as error:
        if error.errno not in _NOT_POSSIBLE:
            raise
    while done < size:
        copied = os.sendfile(target, source, done, min(_PIECE, size - done))
        if not copied:
            return
        done += copied


def _parted(run: Run, message_ids: Sequence[str], missing: Mapping[str, MissingValue]) -> MissingValue:
    """What to raise about a batch when the objects of some of its messages are missing."""
    error = next(iter(missing.values()))
    queue = queue_of(run.cause) or ""
    # Not the oldest one: which was received first depends on when they became visible.
    first = next((one for one in message_ids if messages.cause_of(queue, one) == run.cause), message_ids[0])
    is_hopeless = first in missing
    apart = frozenset(one for one in message_ids if (one in missing) is not is_hopeless)
    return NotTogether(error, apart, is_hopeless=is_hopeless) if apart else error


def _told(run: Run) -> list[dict[str, Any]]:
    """The messages that an event was made of, as far as it tells: for a run that holds none, as a replayed one."""
    event = run.event
    if event.source == messages.SOURCE and event.detail_type == messages.MANY:
        found = event.detail.get("messages")
        return [_document(one) for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    if event.source == messages.SOURCE and event.detail_type == messages.ONE:
        return [_document(event.detail)]
    if run.trigger == QueueTrigger.kind or messages.object_in(event.document) is not None:
        return [{"MessageId": event.id, "Body": messages.body_of(event.document)}]
    return []


def _document(detail: Mapping[str, Any]) -> dict[str, Any]:
    body = detail.get("body", "")
    attributes = detail.get("attributes")
    given = {name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()}
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return {"MessageId": str(detail.get("message-id", "")), "Body": text, "MessageAttributes": given}


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
