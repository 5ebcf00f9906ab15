"""Brings a run of an environment on AWS here: its event, its values, the objects it names, with leave its secrets."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from wherry import causes
from wherry.cli import output
from wherry.cli.cloud import ask
from wherry.cli.context import LOCAL, open_remote, open_workspace
from wherry.cli.cp import bucket_and_key
from wherry.cli.relocation import Names, kept, named, renamed
from wherry.errors import NotFound, UserError
from wherry.model import Event, Job, Overrides, Run

if TYPE_CHECKING:
    from wherry.aws.objects import Entry
    from wherry.aws.remote import Remote
    from wherry.local.buckets import Buckets
    from wherry.local.workspace import Workspace

#: What is larger than this altogether is asked for first, in bytes.
_LARGE = 100_000_000


def bring(arguments: argparse.Namespace) -> Run:
    """A run of `--env` as it is to be run here; what it needs is copied first. Raises UserError."""
    remote = open_remote(arguments)
    output.speak_of(arguments.env)
    run = remote.find(arguments.run)
    output.speak_of("")
    workspace = open_workspace(arguments)
    try:
        move = _Move(remote, workspace, arguments)
        job = workspace.jobfile.job(run.job)
        move.fetch_secrets(job)
        move.fetch_objects(job, run)
        return move.translated(run)
    finally:
        workspace.close()


class _Copy(NamedTuple):
    """One object that is to be copied."""

    bucket: str
    there: Entry
    #: Another object has its place here.
    replaces: bool

    def __str__(self) -> str:
        size = output.bytes_of(self.there.size)
        return f"s3://{self.bucket}/{self.there.key}  {size}{', in the place of another one' if self.replaces else ''}"


class _Move:
    """From an environment to the workspace."""

    def __init__(self, remote: Remote, workspace: Workspace, arguments: argparse.Namespace) -> None:
        self._remote = remote
        self._workspace = workspace
        self._environment: str = arguments.env
        self._more: list[str] = arguments.objects
        self._yes: bool = arguments.yes
        #: Bucket of the job file -> its name there.
        self._names = {
            bucket: name for bucket, name in remote.bucket_names().items() if bucket in workspace.jobfile.buckets
        }

    def translated(self, run: Run) -> Run:
        """The run with its buckets and queues called as they are here, and with the values that it had there."""
        from wherry.local.wake import engine_info

        jobfile = self._workspace.jobfile
        queues = {there: name for name, there in self._remote.queue_names().items()}
        names = Names({name: self._here(bucket) for bucket, name in self._names.items()}, queues)
        if engine := engine_info(self._workspace.home):
            names = names._replace(endpoint=engine.endpoint)
        if (local := jobfile.environments.get(LOCAL)) and local.region:
            names = names._replace(region=local.region)
        overrides = run.overrides
        command = None if overrides.command is None else tuple(renamed(overrides.command, names))
        env = renamed({**kept(run.env, jobfile.job(run.job)), **overrides.env}, names)
        return dataclasses.replace(
            run,
            event=Event(document=renamed(run.event.document, names)),
            overrides=Overrides(command=command, args=tuple(renamed(overrides.args, names)), env=env),
        )

    def fetch_secrets(self, job: Job) -> None:
        """What the job needs and is not set here is asked for: no secret comes silently."""
        secrets = self._workspace.secrets
        missing = [name for name in dict.fromkeys(job.secrets.values()) if secrets.get(name) is None]
        commands = " and ".join(f"`wherry secrets set {name}`" for name in missing)
        refused = UserError(
            f"job `{job.name}` needs secrets that are not set here: {', '.join(f'`{name}`' for name in missing)}",
            hint=f"{commands}; on a terminal it is asked whether to fetch them from {self._environment}",
        )
        for name in missing:
            question = f"the secret `{name}` is not set here; fetch it from {self._environment}? [y/N] "
            if not sys.stdin.isatty() or not _agrees(question):
                raise refused
            secrets.set(name, self._remote.secret(name))

    def fetch_objects(self, job: Job, run: Run) -> None:
        """Copy what the run names in buckets that the job reads, and what is asked for besides."""
        from wherry.local.buckets import Buckets
        from wherry.local.objects import Attributes

        names = [bucket.local_name for bucket in self._workspace.jobfile.buckets.values()]
        # what is copied is no upload: nothing is announced, and it starts no run
        here = Buckets(self._workspace.home, self._workspace.database, names, self._workspace.clock, lambda *_: None)
        copies = list(self._copies(here, job, run))
        self._tell(copies)
        for copy in copies:
            with here.receive(self._here(copy.bucket), copy.there.key) as incoming:
                for chunk in self._remote.get(copy.bucket, copy.there.key):
                    incoming.write(chunk)
                incoming.commit(Attributes())

    def _copies(self, here: Buckets, job: Job, run: Run) -> Iterator[_Copy]:
        """What is there and not here."""
        from wherry.local.objects import ObjectError

        for bucket, keys in self._wanted(job, run):
            for entry in self._remote.objects(bucket, keys):
                try:
                    info = here.head(self._here(bucket), entry.key)
                except ObjectError:
                    yield _Copy(bucket, entry, replaces=False)
                    continue
                if (info.size, info.etag) != (entry.size, entry.etag):
                    yield _Copy(bucket, entry, replaces=True)

    def _wanted(self, job: Job, run: Run) -> Iterator[tuple[str, list[str]]]:
        """Buckets and keys, whether they are there or not."""
        jobfile = self._workspace.jobfile
        # what feeds its queue a job reads without saying so
        readable = [name for name in self._names if name in job.reads or causes.is_fed(jobfile, job, name)]
        yield from named(run, {bucket: self._names[bucket] for bucket in readable}).items()
        for url in self._more:
            name, key = bucket_and_key(url)
            bucket = next((bucket for bucket, there in self._names.items() if name in (bucket, there)), None)
            if bucket is None:
                raise NotFound(f"there is no bucket `{name}` in the job file")
            if not self._remote.objects(bucket, [key]):
                raise NotFound(f"there is no object `{url}` in {self._environment}")
            yield bucket, [key]

    def _tell(self, copies: list[_Copy]) -> None:
        """Say what is copied; ask when it is large, or takes the place of something. Raises UserError."""
        for copy in copies:
            output.note(f"from {self._environment}: {copy}")
        total = sum(copy.there.size for copy in copies)
        if self._yes or (total <= _LARGE and not any(copy.replaces for copy in copies)):
            return
        what = f"{output.count(len(copies), 'object')}, {output.bytes_of(total)}"
        if not sys.stdin.isatty():
            raise UserError(f"{what} would be copied, and there is no terminal to ask", hint="add `--yes`")
        if not _agrees(f"copy {what}? [y/N] "):
            raise UserError("nothing was copied")

    def _here(self, bucket: str) -> str:
        return self._workspace.jobfile.buckets[bucket].local_name


def _agrees(question: str) -> bool:
    return ask(question).lower() in ("y", "yes")
