"""What runs of messages write: their lines among those of other runs, which the same task has worked on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from wherry.aws.logs import Stream
from wherry.aws.recorded import Place, places_of
from wherry.aws.recordings import Recordings
from wherry.aws.site import Site
from wherry.errors import NotFound
from wherry.model import Run

_PULSE = 1.0
#: CloudWatch shows what was written a little later: the mark of the end is waited for so long, in seconds.
_LATE = 5.0
#: The clocks of a task and of whoever reads its lines may differ so much.
_SPARE = timedelta(seconds=30)


class Excerpts:
    """Reads the lines of one run."""

    def __init__(self, site: Site, recordings: Recordings) -> None:
        self._site = site
        self._recordings = recordings

    def log(self, run: Run, attempt: int, helper: str = "", *, last: int | None = None) -> Iterator[bytes]:
        """What one attempt, or a helper while it went on, has written so far; of it the `last` bytes. Raises NotFound.

        Helpers live as long as their worker: nothing but the time says what of a helper's log is a run's.
        """
        record = self._recordings.record(run.id) or {}
        if attempt not in [each.number for each in run.attempts]:
            raise NotFound(f"run {run.id} has no attempt {attempt}", hint=f"it has {len(run.attempts)} so far")
        place = places_of(record).get(attempt)
        if place is None:
            return
        chunks = self._meanwhile(place, helper) if helper else _Excerpt(self._site, place).more()
        if last is None:
            yield from chunks
        else:
            yield b"".join(chunks)[-last:]

    def follow(self, run_id: str, *, after: int = 0) -> Iterator[bytes]:
        """What the run writes as it is written, all attempts but the first `after`, until it has ended."""
        excerpts: dict[int, _Excerpt] = {}
        patient_until: float | None = None
        while True:
            record: Mapping[str, Any] = self._recordings.record(run_id) or {}
            has_ended = not record or self._recordings.runs_of([record])[0].status.ended
            for number, place in sorted(places_of(record).items()):
                if number > after:
                    yield from excerpts.setdefault(number, _Excerpt(self._site, place)).more()
            if has_ended:
                patient_until = patient_until or time.monotonic() + _LATE
                if all(each.has_heard_all for each in excerpts.values()) or time.monotonic() > patient_until:
                    return
            yield b""
            time.sleep(_PULSE)

    def _meanwhile(self, place: Place, helper: str) -> Iterator[bytes]:
        name = place.stream_of(helper)
        return Stream(self._site.aws, place.group, name, since=place.began_at, until=place.ended_at).more()


class _Excerpt:
    """The lines between the marks of one attempt."""

    def __init__(self, site: Site, place: Place) -> None:
        self._place = place
        self._has_begun = False
        self.has_heard_all = False
        self._stream = Stream(site.aws, place.group, place.stream, since=place.began_at - _SPARE)

    def more(self) -> Iterator[bytes]:
        """What was not read before."""
        chunks = self._stream.more()
        # what the task has written after the run's end may be weeks of other runs
        while not self.has_heard_all and (chunk := next(chunks, None)) is not None:
            lines = list(self._between(chunk.decode(errors="replace").splitlines()))
            if lines:
                yield "".join(f"{line}\n" for line in lines).encode()

    def _between(self, lines: list[str]) -> Iterator[str]:
        for line in lines:
            self.has_heard_all = self.has_heard_all or line.startswith(self._place.end)
            if self._has_begun and not self.has_heard_all:
                yield line
            self._has_begun = self._has_begun or line.startswith(self._place.begin)
