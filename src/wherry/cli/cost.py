"""`wherry cost`."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from wherry.cli import bills, output, prices, spent
from wherry.cli.cloud import environment_of
from wherry.cli.context import LOCAL, add_json, jobfile_path, load_jobfile, open_target
from wherry.cli.runs import since_of
from wherry.errors import UserError
from wherry.model import Environment, JobFile

if TYPE_CHECKING:
    from wherry.cost.deployment import Deployment

_SINCE = "30d"
#: So many runs are added up; on AWS each takes a call.
_MOST = 5_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("job", metavar="JOB", nargs="?", help="only this job")
    parser.add_argument("--env", metavar="ENV", help="the environment (default: the only one on AWS; of runs: local)")
    parser.add_argument("--region", metavar="REGION", help="the prices of another region than the job file's")
    parser.add_argument("--duration", metavar="TIME", help="how long a run takes: 90s, 10m, 1h30m")
    parser.add_argument("--runs", metavar="N", type=int, help="runs a month of jobs that no schedule starts")
    parser.add_argument("--measured", action="store_true", help="take both from the runs of the last 30 days in ENV")
    parser.add_argument("--since", metavar="WHEN", help=f"with --actual: what ran since then (default: {_SINCE})")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--run", metavar="RUN", help="what this run has cost")
    what.add_argument("--actual", action="store_true", help="what the runs of the last 30 days have cost")
    what.add_argument("--refresh", action="store_true", help="fetch the region's prices from AWS's public price list")
    add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Show what it costs, or has cost."""
    _check(arguments)
    if arguments.refresh:
        from wherry.cli import refresh

        return refresh.execute(arguments, region_of(arguments, _environment(arguments)[1]))
    if arguments.run or arguments.actual:
        return _spent(arguments)
    return _estimate(arguments)


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what would mean nothing; raises UserError."""
    if arguments.since and not arguments.actual:
        raise UserError("`--since` goes with `--actual`", hint="`wherry cost --actual --since 7d`")
    named = [name for name in ("duration", "runs", "measured") if getattr(arguments, name)]
    if named and (arguments.run or arguments.actual or arguments.refresh):
        raise UserError(f"`--{named[0]}` is for what a run would cost, not for what has run", hint="leave one out")


def _estimate(arguments: argparse.Namespace) -> int:
    from wherry.cli.lengths import given_counts, lengths_of, measure
    from wherry.cost.bill import bill
    from wherry.cost.counts import counts_of

    jobfile, environment = _environment(arguments)
    tariff = prices.table().tariff(region_of(arguments, environment))
    deployment = deployment_of(jobfile, environment)
    now = _now()
    measured = measure(arguments, jobfile, now)
    lengths = lengths_of(deployment, arguments.duration, measured)
    counts = counts_of(deployment, now, given=given_counts(deployment, arguments.runs, measured))
    made = bill(deployment, tariff, lengths, counts)
    if arguments.job:
        made = replace(made, jobs={arguments.job: made.jobs[arguments.job]})
    if arguments.json:
        output.say_json(bills.as_json(made, jobfile.app, environment.name))
    else:
        bills.show(made, jobfile.app, environment.name)
    return 0


def _spent(arguments: argparse.Namespace) -> int:
    from wherry.cost.actual import by_job, run_cost

    now = _now()
    jobfile, environment = _environment(arguments)
    tariff = prices.table().tariff(region_of(arguments, environment))
    works = deployment_of(jobfile, environment).works
    arguments.env = arguments.env or LOCAL
    with open_target(arguments) as target:
        if arguments.run:
            run = target.find(arguments.run)
            cost = run_cost(tariff, run, works.get(run.job), now)
            if arguments.json:
                output.say_json(spent.run_as_json(cost, tariff, arguments.env))
            else:
                spent.show_run(cost, tariff, arguments.env)
            return 0
        since = since_of(arguments.since or _SINCE, now)
        runs = target.runs(job=arguments.job, statuses=None, since=since, limit=_MOST)
    sums = by_job(run_cost(tariff, run, works.get(run.job), now) for run in runs)
    if arguments.json:
        output.say_json(spent.sums_as_json(sums, tariff, arguments.env, since))
    else:
        spent.show_sums(sums, tariff, arguments.env, since)
    if len(runs) == _MOST:
        output.note(f"these are the latest {_MOST:,} runs; there are more")
    return 0


def deployment_of(jobfile: JobFile, environment: Environment) -> Deployment:
    """What the job file would deploy there; nobody is asked. Raises Unsupported."""
    from wherry.aws.billing import deployment_of as of_templates
    from wherry.aws.compile import base_template, compile_template
    from wherry.aws.given import Given, GivenNetwork

    chosen = environment.network
    network = None
    if chosen.subnets:
        network = GivenNetwork(vpc="", subnets=chosen.subnets, public_ip=chosen.public_ip)
    given = Given(network=network)
    return of_templates(jobfile, compile_template(jobfile, environment, given), base_template(jobfile, environment))


def region_of(arguments: argparse.Namespace, environment: Environment) -> str:
    """The region whose prices count; raises UserError where nobody says."""
    found = (
        arguments.region or environment.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    )
    if not found:
        raise UserError("which region's prices?", hint="`--region eu-central-1` says it, or `region:` in the job file")
    return str(found)


def _environment(arguments: argparse.Namespace) -> tuple[JobFile, Environment]:
    """The environment on AWS whose prices and sizes count; without one in the job file, a plain one on Fargate."""
    jobfile = load_jobfile(jobfile_path(arguments))
    if arguments.job:
        jobfile.job(arguments.job)
    there = [name for name in jobfile.environments if name != LOCAL]
    if arguments.env == LOCAL or (arguments.env is None and (arguments.run or arguments.actual or not there)):
        # what ran here is priced as in the only environment on AWS
        only = jobfile.environments[there[0]] if len(there) == 1 else Environment(name=LOCAL)
        return jobfile, only
    return environment_of(arguments)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the edge
