"""`wherry build [JOB...]`."""

from __future__ import annotations

import argparse
import os

from wherry.cli import output
from wherry.cli.cloud import environment_of
from wherry.cli.progress import Progress
from wherry.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="these jobs alone (default: all that are built)")
    parser.add_argument("--env", metavar="ENV", help="the environment (default: the only one on AWS)")


def execute(arguments: argparse.Namespace) -> int:
    """Build what is not built yet, and print each image's local name."""
    from wherry.aws.tasks import builds_image, has_worker
    from wherry.executors import images, layer

    jobfile, environment = environment_of(arguments)
    root = os.path.dirname(os.path.abspath(jobfile.path))
    for job in [jobfile.job(name) for name in arguments.jobs] or list(jobfile.jobs.values()):
        if builds_image(job):
            folder, show = os.path.join(root, job.build or "."), Progress().output
            if job.image is not None:
                tag = layer.extend(images.pinned(job.image) or job.image, environment.platform, show)
            else:
                tag = (layer.build if has_worker(job) else images.build)(folder, environment.platform, show)
            output.say(f"{job.name}  {tag}")
        elif arguments.jobs:
            raise UserError(f"job `{job.name}` names its image: there is nothing to build")
    return 0
