"""Lists executions of the run machines: which runs there are, without what is in them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import NamedTuple

from wherry.aws.client import AwsError
from wherry.aws.names import round_of
from wherry.aws.site import Site
from wherry.model import Status

#: What Step Functions calls the runs of a status; runs of several statuses have the same name there.
_THEIRS: dict[Status, tuple[str, ...]] = {
    Status.QUEUED: ("RUNNING",),
    Status.STARTING: ("RUNNING",),
    Status.RUNNING: ("RUNNING",),
    Status.SUCCEEDED: ("SUCCEEDED",),
    Status.SKIPPED: ("SUCCEEDED",),
    Status.FAILED: ("FAILED",),
    Status.TIMED_OUT: ("FAILED", "TIMED_OUT"),
    Status.STOPPED: ("FAILED", "ABORTED"),
}
_LARGEST_PAGE = 1000


class Row(NamedTuple):
    """One execution of a listing: a round of a run."""

    job: str
    run_id: str
    round_number: int
    #: In Step Functions' words: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED.
    status: str
    started_at: datetime
    stopped_at: datetime | None

    @property
    def place(self) -> datetime:
        """Step Functions lists what runs by its start and the rest by its end, the latest first."""
        return self.stopped_at or self.started_at


def rows(
    site: Site,
    jobs: Iterable[str],
    *,
    statuses: Sequence[Status] | None = None,
    since: datetime | None = None,
    page: int = _LARGEST_PAGE,
) -> Iterator[Row]:
    """The executions of these jobs that may have one of the statuses, latest `place` first, read as they are wanted.

    The first pages are asked for at once. Raises UserError when none of the jobs is deployed.
    """
    _ = site.names  # asked for once, not by each of those who then ask at once
    theirs = sorted({name for status in statuses for name in _THEIRS[status]}) if statuses is not None else [""]
    listings = [_Listing(site, job, status, since, min(page, _LARGEST_PAGE)) for job in jobs for status in theirs]
    beginnings = site.aws.together(_Listing.begin, listings)
    found = [rest for rest in beginnings if rest is not None]
    if listings and not found:
        raise site.not_deployed()
    return heapq.merge(*found, key=lambda row: -row.place.timestamp())


class _Listing:
    """The executions of one machine."""

    def __init__(self, site: Site, job: str, status: str, since: datetime | None, page: int) -> None:
        self._site = site
        self._job = job
        self._status = {"statusFilter": status} if status else {}
        self._since = since
        self._page = page

    def begin(self) -> Iterator[Row] | None:
        """Read the first page; None when there is no such machine."""
        listing = self._rows()
        try:
            first = next(listing, None)
        except AwsError as error:
            if error.code == "StateMachineDoesNotExist":
                return None
            raise
        return listing if first is None else chain([first], listing)

    def _rows(self) -> Iterator[Row]:
        for one in self._site.aws.pages(
            "stepfunctions",
            "list_executions",
            "executions",
            stateMachineArn=self._site.names.machine_arn(self._job),
            PaginationConfig={"PageSize": self._page},
            **self._status,
        ):
            stopped = one.get("stopDate")
            run_id, round_number = round_of(one["name"])
            row = Row(
                job=self._job,
                run_id=run_id,
                round_number=round_number,
                status=one["status"],
                started_at=one["startDate"].astimezone(UTC),
                stopped_at=stopped and stopped.astimezone(UTC),
            )
            if self._since and row.place < self._since:
                return
            if not self._since or row.started_at >= self._since:
                yield row
