"""The `.wherry` folder beside a job file: everything the local environment keeps.

::

    .wherry/
      wherry.db          runs, attempts, events, the index of objects (SQLite)
      buckets/NAME/KEY   the objects, plain files
      runs/ID/N.log      what attempt N of run ID wrote, N.HELPER.log what a helper did; event.json, the event of a run
                         that is too long for an environment variable; N.end, how an attempt ended without an engine
      files/ID/          the file that a message came as (`${event.file}`), while an attempt of the run works on it
      keepers.log        what keepers complain of: normally nothing
      keepers/PID:START  which keeper makes the processes of that engine, and what it holds when the engine has died
      secrets/NAME       one file a secret, readable by the owner alone
      spool/             objects while they are being received; same file system as buckets/, so that a rename is enough
      kept/BUCKET/HASH   objects whose key cannot be a path of this file system
      key                the random key from which credentials are derived, readable by the owner alone
      engine.lock        held while an engine runs on this folder
      engine.json        where that engine answers
      wake               a named pipe: a byte in it makes the engine look at the store
"""

from __future__ import annotations

import os
from dataclasses import dataclass

FOLDER = ".wherry"


@dataclass(frozen=True)
class Home:
    """The paths inside one `.wherry` folder."""

    #: The `.wherry` folder itself, absolute.
    root: str

    @property
    def database(self) -> str:
        """The SQLite file."""
        return f"{self.root}/wherry.db"

    @property
    def buckets(self) -> str:
        """The folder of buckets."""
        return f"{self.root}/buckets"

    @property
    def kept(self) -> str:
        """The folder of objects whose key cannot be a path."""
        return f"{self.root}/kept"

    @property
    def spool(self) -> str:
        """The folder of objects being received."""
        return f"{self.root}/spool"

    @property
    def runs(self) -> str:
        """The folder of runs."""
        return f"{self.root}/runs"

    @property
    def files(self) -> str:
        """The folder of the files that messages come as."""
        return f"{self.root}/files"

    @property
    def secrets(self) -> str:
        """The folder of secrets."""
        return f"{self.root}/secrets"

    @property
    def lock(self) -> str:
        """The file that a running engine holds locked."""
        return f"{self.root}/engine.lock"

    @property
    def engine(self) -> str:
        """Where the running engine says how it is reached (JSON)."""
        return f"{self.root}/engine.json"

    @property
    def wake(self) -> str:
        """The named pipe that wakes the running engine."""
        return f"{self.root}/wake"

    @property
    def keepers(self) -> str:
        """The folder of keepers."""
        return f"{self.root}/keepers"

    def log(self, run_id: str, attempt: int, helper: str = "") -> str:
        """The log file of one attempt, or of a helper in it."""
        return f"{self.runs}/{run_id}/{attempt}{f'.{helper}' if helper else ''}.log"

    def key(self) -> bytes:
        """The secret from which credentials are derived; made at the first call."""
        path = f"{self.root}/key"
        try:
            return _read(path)
        except FileNotFoundError:
            pass
        # Written aside and linked, so that of two processes that come first together one wins and both agree.
        aside = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(32))
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(aside)
        return _read(path)


def open_home(folder: str) -> Home:
    """The home in a folder, made when it is not there yet; it ignores itself in git."""
    home = Home(os.path.join(os.path.abspath(folder), FOLDER))
    if not os.path.isfile(f"{home.root}/.gitignore"):
        for path in (home.root, home.buckets, home.kept, home.spool, home.runs, home.keepers):
            os.makedirs(path, exist_ok=True)
        os.makedirs(home.secrets, mode=0o700, exist_ok=True)
        with open(f"{home.root}/.gitignore", "w", encoding="ascii") as file:
            file.write("*\n")
    return home


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
