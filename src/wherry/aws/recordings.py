"""Reads the records of runs of messages from the work bucket: the newest are listed first, by their keys."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

from wherry.agent import records
from wherry.aws.client import AwsError
from wherry.aws.recorded import run_of
from wherry.aws.site import Site
from wherry.aws.tasks import has_worker
from wherry.errors import NotFound, UserError
from wherry.model import Run, Status

#: S3 lists so many keys at once.
_PAGE = 1_000
#: The beginning of an id is looked for among so many of the latest runs of each job, a whole id among more.
_LOOKED_THROUGH, _LOOKED_FOR = 2_000, 100_000
_ID = 26
_OPEN = frozenset((Status.QUEUED, Status.STARTING, Status.RUNNING))


class Entry(NamedTuple):
    """A record as a listing tells it."""

    job: str
    known: records.Known
    #: How the run stands: `records.OPEN`, or how it has ended.
    state: str

    @property
    def sent_at(self) -> datetime:
        """When its message was sent."""
        return datetime.fromtimestamp(self.known.sent / 1000, UTC)


class Recordings:
    """The runs of messages of one environment."""

    def __init__(self, site: Site) -> None:
        self._site = site
        #: Whose run it is, as far as that is known, and when its message was sent.
        self._seen: dict[str, Entry] = {}

    @property
    def jobs(self) -> list[str]:
        """The jobs that have such runs."""
        return [job.name for job in self._site.jobfile.jobs.values() if has_worker(job)]

    def knows(self, run_id: str) -> bool:
        """True for a run of a message that was found before."""
        return run_id in self._seen

    def listing(
        self, *, job: str | None, statuses: Sequence[Status] | None, since: datetime | None, limit: int
    ) -> list[Run]:
        """The runs of the newest messages; one call a run, and one for each thousand listed."""
        jobs = [name for name in self.jobs if job in (None, name)]
        found: list[Run] = []
        wanted = self.entries(jobs, statuses=statuses, since=since)
        while len(found) < limit and (some := list(islice(wanted, limit - len(found)))):
            runs = [run_of(record) for record in self.read_all(some) if record]
            found += [run for run in runs if statuses is None or run.status in statuses]
        return found

    def entries(
        self, jobs: Iterable[str], *, statuses: Sequence[Status] | None = None, since: datetime | None = None
    ) -> Iterator[Entry]:
        """What there is, newest first, read as it is wanted; `since` is about when messages were sent."""
        for entry in heapq.merge(*(self._entries(job) for job in jobs), key=lambda entry: -entry.known.sent):
            if since is not None and entry.sent_at < since:
                return
            if statuses is None or _fits(entry.state, statuses):
                yield entry

    def find(self, reference: str) -> Run | None:
        """The run of an id, or of the beginning of one; None when there is none. Raises NotFound for several."""
        wanted = reference.lower()
        if wanted not in self._seen:
            most = (_LOOKED_FOR if len(wanted) == _ID else _LOOKED_THROUGH) * len(self.jobs)
            found = {
                entry.known.run_id: entry
                for entry in islice(self.entries(self.jobs), most)
                if entry.known.run_id.startswith(wanted)
            }
            if len(found) > 1:
                several = ", ".join(list(found)[:10])
                raise NotFound(f"`{reference}` is the beginning of several runs: {several}", hint="type more of the id")
            if not found:
                return None
            wanted = next(iter(found))
            self._seen[wanted] = found[wanted]
        record = self.record(wanted)
        return run_of(record) if record else None

    def record(self, run_id: str) -> Mapping[str, Any] | None:
        """The record of a run that was found before, as it is now."""
        return self.read(self._seen[run_id])

    def stop(self, run_id: str) -> None:
        """Leave word that a run is to end: its worker looks for that every few seconds, and before each attempt.

        Its message becomes a dead letter. Raises UserError for a run that has ended.
        """
        entry, record = self._seen[run_id], self.record(run_id)
        if record is None or run_of(record).status.ended:
            raise UserError(f"run {run_id} has ended already", hint=f"`wherry show {run_id}`")
        key = records.stop_key(entry.job, run_id)
        self._site.aws.call("s3", "put_object", Bucket=self._site.names.work_bucket, Key=key, Body=b"")

    def of_message(self, job: str, queue: str, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The record of a message's run; None where no worker has written one."""
        known = records.known_of(job, queue, message)
        return self.read(Entry(job, known, records.ENDED[1]))

    def read_all(self, entries: Sequence[Entry]) -> list[Mapping[str, Any] | None]:
        """The records of a listing."""
        return self._site.aws.together(self.read, entries)

    def read(self, entry: Entry) -> Mapping[str, Any] | None:
        """A record, in whichever state it is by now; None when it is gone."""
        self._seen[entry.known.run_id] = entry
        others = [state for state in (records.OPEN, *records.ENDED) if state != entry.state]
        for state in (entry.state, *others):
            key = entry.known.key(entry.job, state)
            try:
                body = b"".join(self._site.aws.download(self._site.names.work_bucket, key))
            except AwsError as error:
                if error.code == "NoSuchKey":
                    continue
                if error.code == "NoSuchBucket":
                    return None
                raise
            found: Mapping[str, Any] = json.loads(body)
            return found
        return None

    def _entries(self, job: str) -> Iterator[Entry]:
        """One job's, one a run: for a moment a run that has ended is listed in two states, one after the other."""
        listed = self._site.aws.pages(
            "s3",
            "list_objects_v2",
            "Contents",
            Bucket=self._site.names.work_bucket,
            Prefix=records.prefix_of(job),
            PaginationConfig={"PageSize": _PAGE},
        )
        last: Entry | None = None
        try:
            for one in listed:
                known, state = records.read_key(one["Key"])
                entry = Entry(job, known, state)
                if last is not None and last.known.run_id == known.run_id:
                    last = last if state == records.OPEN else entry
                    continue
                if last is not None:
                    yield last
                last = entry
        except AwsError as error:
            if error.code != "NoSuchBucket":
                raise
        if last is not None:
            yield last


def _fits(state: str, statuses: Sequence[Status]) -> bool:
    return bool(_OPEN.intersection(statuses)) if state == records.OPEN else Status(state) in statuses
