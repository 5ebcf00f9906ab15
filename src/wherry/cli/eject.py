"""`wherry eject [DIR]`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.cli import output
from wherry.cli.cloud import environment_of
from wherry.errors import UserError

if TYPE_CHECKING:
    from wherry.model import JobFile


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", metavar="DIR", nargs="?", help="an empty folder, or a new one (default: APP-ENV)")
    parser.add_argument("--env", metavar="ENV", help="the environment (default: the only one on AWS)")
    parser.add_argument("--region", metavar="REGION", help="another region than the job file's")


def execute(arguments: argparse.Namespace) -> int:
    """Write it; neither AWS nor Docker is asked."""
    from wherry.aws.ejected import ejected
    from wherry.aws.handbook import WORKER, dockerfile, example_input, handbook
    from wherry.aws.tasks import has_worker
    from wherry.aws.template import to_yaml
    from wherry.executors import agent

    jobfile, environment = environment_of(arguments)
    folder = Path(arguments.folder or f"{jobfile.app}-{environment.name}")
    _refuse_what_is_there(folder)
    made = ejected(jobfile, environment)
    jobs = [jobfile.jobs[name] for name in made.images]
    sources = _write_sources(jobfile, [job.name for job in jobs if job.image is None], folder)
    files = {"base.yaml": to_yaml(made.base), "stack.yaml": to_yaml(made.main)}
    files |= {f"runs/{job.name}.json": example_input(job) for job in jobfile.jobs.values()}
    files["README.md"] = handbook(jobfile, environment, made, sources)
    contents = {name: text.encode() for name, text in files.items()}
    if any(map(has_worker, jobs)):
        contents |= {f"{WORKER}/Dockerfile": dockerfile().encode(), f"{WORKER}/worker.zip": agent.zipped()}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in [*contents, *sorted(set(sources.values()))]:
        output.say(f"made {folder / name}")
    output.note(f"{folder / 'README.md'} says what to do with them, without wherry")
    return 0


def _refuse_what_is_there(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"`{folder}` is there already", hint="name an empty folder, or a new one: `wherry eject DIR`")


def _write_sources(jobfile: JobFile, jobs: list[str], folder: Path) -> dict[str, str]:
    """Copy what images are built of, once for each folder: job -> its copy, below the ejected folder."""
    from wherry.executors import images

    root = os.path.dirname(os.path.abspath(jobfile.path))
    copies: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in jobs:
        source = os.path.normpath(os.path.join(root, jobfile.jobs[name].build or "."))
        if source not in copies:
            copies[source] = f"images/{name}"
            images.copy_context(source, os.path.join(folder, copies[source]))
        found[name] = copies[source]
    return found
