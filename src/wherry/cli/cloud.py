"""Finds the environment on AWS that a command line means, and the way to it: shared by the verbs that deploy."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from wherry.cli import output
from wherry.cli.context import LOCAL, jobfile_path, load_jobfile
from wherry.errors import NotFound, UserError
from wherry.model import Environment, JobFile, did_you_mean

if TYPE_CHECKING:
    from wherry.aws.survey import Site


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say where."""
    parser.add_argument("--env", metavar="ENV", help="the environment (default: the only one on AWS)")
    parser.add_argument("--region", metavar="REGION", help="another region than the job file's")


def add_yes(parser: argparse.ArgumentParser) -> None:
    """The option that answers the question."""
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where there is no terminal")


def environment_of(arguments: argparse.Namespace) -> tuple[JobFile, Environment]:
    """The job file, and its environment that is meant; raises UserError."""
    jobfile = load_jobfile(jobfile_path(arguments))
    known = {name: environment for name, environment in jobfile.environments.items() if name != LOCAL}
    region = getattr(arguments, "region", None)
    if arguments.env is None:
        if len(known) == 1:
            return jobfile, _with_region(next(iter(known.values())), region)
        if known:
            names = ", ".join(f"`--env {name}`" for name in sorted(known))
            raise UserError("which environment is meant?", hint=f"one of {names}")
    elif arguments.env in known:
        return jobfile, _with_region(known[arguments.env], region)
    elif arguments.env != LOCAL and known:
        raise NotFound(
            f"there is no environment `{arguments.env}` in the job file", hint=did_you_mean(arguments.env, known)
        )
    what = "environment `local` is this machine" if arguments.env == LOCAL else "the job file has no environment on AWS"
    raise UserError(what, hint="write `environments: {prod: {region: eu-central-1}}` into it, then `--env prod`")


def open_site(arguments: argparse.Namespace, *, checked: bool = True) -> Site:
    """The environment's place in the account that the caller's configuration means.

    `checked`: what AWS cannot run is refused first.
    """
    jobfile, environment = environment_of(arguments)
    from wherry.aws.client import Aws
    from wherry.aws.survey import check, site_of

    if checked:
        check(jobfile, environment)
    return site_of(Aws(region=environment.region, tell=output.note), jobfile, environment)


def require_answer(arguments: argparse.Namespace) -> None:
    """Refuse at once what would have to be asked where nobody can answer; raises UserError."""
    if not arguments.yes and not sys.stdin.isatty():
        raise UserError(f"`wherry {arguments.verb}` asks first, and there is no terminal here", hint="add `--yes`")


def ask(question: str) -> str:
    """Ask a person; the question goes to stderr."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _with_region(environment: Environment, region: str | None) -> Environment:
    return replace(environment, region=region) if region else environment
