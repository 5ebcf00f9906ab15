"""Finds the job file and opens the environment that a command line means: the factory of the command line."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wherry.errors import UserError, WherryError
from wherry.model import JobFile

if TYPE_CHECKING:
    from wherry.aws.remote import Remote
    from wherry.local.crew import Host
    from wherry.local.worker import AccessFor
    from wherry.local.workspace import Workspace
    from wherry.target import Target

JOBFILE = "wherry.yaml"
LOCAL = "local"


def add_environment(parser: argparse.ArgumentParser) -> None:
    """The option that says where."""
    parser.add_argument("--env", metavar="ENV", default=LOCAL, help="the environment (default: local)")
    parser.add_argument("--region", metavar="REGION", help="on AWS: another region than the job file's")


def add_executor(parser: argparse.ArgumentParser) -> None:
    """The option that says what attempts become."""
    parser.add_argument(
        "--executor",
        choices=("process", "docker"),
        help="what attempts become: processes of this machine (default), or containers",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option for other programs."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def jobfile_path(arguments: argparse.Namespace) -> str:
    """The job file that is meant: `-f FILE`, else the nearest wherry.yaml, here or further up; raises UserError."""
    if arguments.file:
        path = os.path.join(arguments.file, JOBFILE) if os.path.isdir(arguments.file) else arguments.file
        if not os.path.isfile(path):
            raise UserError(f"there is no file `{path}`")
        return os.path.abspath(path)
    folder = os.getcwd()
    while True:
        path = os.path.join(folder, JOBFILE)
        if os.path.isfile(path):
            return path
        if folder == os.path.dirname(folder):
            raise UserError(
                f"there is no {JOBFILE} here or in a folder above", hint="`wherry init` makes one; `-f FILE` names one"
            )
        folder = os.path.dirname(folder)


def load_jobfile(path: str) -> JobFile:
    """The checked job file; raises JobFileError. Places are named as a person here would type the path."""
    from wherry import jobfile

    relative = os.path.relpath(path)
    return jobfile.load(path if relative.startswith("..") else relative)


def open_workspace(arguments: argparse.Namespace) -> Workspace:
    """The local environment of the job file that is meant."""
    from wherry.local.workspace import Workspace

    path = jobfile_path(arguments)
    return Workspace(path, lambda: load_jobfile(path), executor=getattr(arguments, "executor", None))


@contextlib.contextmanager
def open_target(arguments: argparse.Namespace) -> Iterator[Target]:
    """The environment that is meant; raises UserError for one that is not there."""
    from wherry.cli import output

    output.speak_of("" if arguments.env == LOCAL else arguments.env)
    if arguments.env != LOCAL:
        yield open_remote(arguments)
        return
    from wherry.local.desk import Desk

    workspace = open_workspace(arguments)
    desk = Desk(workspace, _serve, _variables, _tell)
    try:
        yield desk
    finally:
        desk.close()
        workspace.close()


def open_remote(arguments: argparse.Namespace) -> Remote:
    """The environment on AWS that is meant; raises UserError."""
    jobfile = load_jobfile(jobfile_path(arguments))
    known = jobfile.environments
    if arguments.env not in known:
        names = ", ".join(f"`{name}`" for name in sorted({LOCAL, *known}))
        raise UserError(f"there is no environment `{arguments.env}` in the job file", hint=f"known: {names}")
    # boto3 is half a second that a verb for this machine need not pay
    from wherry.aws.client import Aws
    from wherry.aws.remote import Remote
    from wherry.aws.site import Site
    from wherry.cli import output
    from wherry.local.clock import system_clock

    environment = known[arguments.env]
    aws = Aws(region=arguments.region or environment.region, tell=output.note)
    return Remote(Site(jobfile=jobfile, environment=environment, aws=aws, clock=system_clock))


def _tell(error: BaseException) -> None:
    """Say what went wrong and is tried again."""
    from wherry.cli import output

    if isinstance(error, WherryError):
        output.error(error)
    else:
        output.note(f"this is a bug in wherry: {error!r}")


@contextlib.contextmanager
def _serve(workspace: Workspace, host: Host) -> Iterator[AccessFor]:
    from wherry.cli.serving import serve

    with serve(workspace, host) as serving:
        yield serving.access_for


def _variables(workspace: Workspace, endpoint: str) -> dict[str, str]:
    from wherry.cli.serving import owner_variables

    return owner_variables(workspace, endpoint)
