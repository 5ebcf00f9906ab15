"""The local environment, opened: a job file and its `.wherry` folder with everything in it.

Any process may open it, with or without a running engine: what it accepts is on disk, and the engine is woken. Parts
are made when they are first asked for, so that `wherry runs` pays for the store and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from wherry.local.clock import Clock, system_clock
from wherry.local.database import Database, Transaction
from wherry.local.history import History
from wherry.local.home import Home, open_home
from wherry.local.runs import Runs
from wherry.local.wake import wake_engine
from wherry.model import Event, JobFile, Run

if TYPE_CHECKING:
    from wherry.local.buckets import Buckets
    from wherry.local.eventfile import EventFiles
    from wherry.local.feeding import Feeding
    from wherry.local.firings import Firings
    from wherry.local.holding import Holding
    from wherry.local.intake import Host, Intake
    from wherry.local.queues import Queues
    from wherry.local.secrets import Secrets


class Elsewhere:
    """Stands for an engine in another process, if there is one: it is woken, and finds new runs in the store."""

    me = ""

    def __init__(self, home: Home) -> None:
        self._home = home

    def offer(self, run: Run) -> None:  # noqa: ARG002 - the engine reads it from the store
        """A new run waits."""
        wake_engine(self._home)

    def reserve(self, job: str) -> bool:  # noqa: ARG002 - another process's places are its own affair
        """Nothing can begin here."""
        return False

    def begin(self, run: Run) -> None:
        """Never called: nothing was reserved."""

    def release(self) -> None:
        """Never called: nothing was reserved."""


class Workspace:
    """The parts of one local environment."""

    def __init__(
        self, jobfile_path: str, load: Callable[[], JobFile], clock: Clock = system_clock, executor: str | None = None
    ) -> None:
        self._path = os.path.abspath(jobfile_path)
        self._load = load
        self._stamp: tuple[int, int] | None = None
        self.clock = clock
        #: What executes attempts, by name; None: nobody has said.
        self.executor = executor
        self.home = open_home(os.path.dirname(os.path.abspath(jobfile_path)))
        #: Takes new runs; an engine in this process puts itself here.
        self.host: Host = Elsewhere(self.home)

    @cached_property
    def jobfile(self) -> JobFile:
        """The job file; raises JobFileError."""
        self._stamp = self._stamp_now()
        return self._load()

    def has_changed(self) -> bool:
        """True, once for each change, when the job file was written since it was read."""
        stamp = self._stamp_now()
        changed = stamp is not None and stamp != self._stamp
        self._stamp = stamp or self._stamp
        return changed

    def forget_stamp(self) -> None:
        """Take the file for changed the next time it is looked at."""
        self._stamp = None

    def load_again(self) -> JobFile:
        """The job file as it is now; raises JobFileError. `use` puts it into effect."""
        return self._load()

    def use(self, jobfile: JobFile) -> None:
        """Go on with another version of the job file; raises WherryError, and changes nothing, without the store."""
        # Writes, so it may fail: nobody must speak of a queue that is not there.
        self.queues.declare(jobfile.queues, lets_create=jobfile.lets_create_queues)
        self.buckets.declare(bucket.local_name for bucket in jobfile.buckets.values())
        self.__dict__["jobfile"] = jobfile  # where `cached_property` keeps it
        self.intake.use(jobfile)

    def _stamp_now(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None  # an editor is replacing it, or it cannot be reached just now
        return found.st_mtime_ns, found.st_ino

    @cached_property
    def database(self) -> Database:
        """The store's file."""
        return Database(self.home.database)

    @cached_property
    def runs(self) -> Runs:
        """The store of runs."""
        return Runs(self.database)

    @cached_property
    def history(self) -> History:
        """What is known of runs."""
        return History(self.database)

    @cached_property
    def firings(self) -> Firings:
        """The ledger of schedules."""
        from wherry.local.firings import Firings

        return Firings(self.database)

    @cached_property
    def me(self) -> str:
        """Who owns a run that this process executes: `pid:start time`."""
        from wherry.executors.proc import identify

        return identify(os.getpid())

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets."""
        from wherry.local.secrets import Secrets

        return Secrets(self.home.secrets)

    @cached_property
    def intake(self) -> Intake:
        """The door for events."""
        from wherry.local.intake import Intake

        self._know_queues()
        return Intake(
            self.jobfile,
            self.database,
            self.runs,
            self.clock,
            lambda: self.host,
            feeding=lambda: self.feeding,
            holding=lambda: self.holding,
        )

    @cached_property
    def feeding(self) -> Feeding:
        """What makes messages of events."""
        from wherry.local.feeding import Feeding

        return Feeding(lambda: self.jobfile, self.database, self.queues)

    @cached_property
    def holding(self) -> Holding:
        """What runs work on messages."""
        from wherry.local.holding import Holding

        return Holding(lambda: self.jobfile, self.database, self.queues, self.runs)

    @cached_property
    def buckets(self) -> Buckets:
        """The buckets; what is created in them becomes an event."""
        from wherry.local.buckets import Buckets

        self._know_queues()
        names = [bucket.local_name for bucket in self.jobfile.buckets.values()]
        return Buckets(self.home, self.database, names, self.clock, self._announce)

    @cached_property
    def queues(self) -> Queues:
        """The queues."""
        from wherry.local.queues import Queues

        jobfile = self.jobfile
        return Queues(self.database, jobfile.queues, self.clock, self._arrived, lets_create=jobfile.lets_create_queues)

    @cached_property
    def event_files(self) -> EventFiles:
        """The files that messages come as."""
        from wherry.local.eventfile import EventFiles

        return EventFiles(lambda: self.jobfile, self.home.files, self.buckets, self.holding)

    def close(self) -> None:
        """Close the store."""
        if "database" in self.__dict__:
            self.database.close()

    def _know_queues(self) -> None:
        """Declare the queues, which is a transaction, before anything of ours is asked for within another one."""
        if self.jobfile.queues:
            _ = self.queues

    def _announce(self, transaction: Transaction, event: Event) -> None:
        self.intake.accept_within(transaction, event)

    def _arrived(self, queue: str) -> None:  # noqa: ARG002 - the engine looks at all of them
        """Wake the engine; one in this process listens by itself."""
        wake_engine(self.home)
