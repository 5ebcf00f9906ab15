"""`wherry check [FILE]`."""

from __future__ import annotations

import argparse

from wherry.cli import output
from wherry.cli.context import jobfile_path, load_jobfile
from wherry.jobfile.doubts import doubts


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("path", nargs="?", metavar="FILE", help="the job file (default: the nearest wherry.yaml)")


def execute(arguments: argparse.Namespace) -> int:
    """Exit code 0 when the file is right, 2 with every problem when it is not; doubts change neither."""
    arguments.file = arguments.path or arguments.file
    path = jobfile_path(arguments)
    jobfile = load_jobfile(path)
    if jobfile.environments.keys() - {"local"}:
        from wherry.aws.refusals import refuse_anywhere

        refuse_anywhere(jobfile)
    output.doubts(doubts(jobfile))
    counts = [
        output.count(len(jobfile.jobs), "job"),
        output.count(len(jobfile.buckets), "bucket"),
        output.count(len(jobfile.queues), "queue"),
    ]
    output.say(f"{output.paint('ok', 'green')}: {jobfile.app}: {', '.join(counts)}")
    return 0
