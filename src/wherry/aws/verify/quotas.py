"""Fargate's quota of vCPUs, and what the jobs may need of it at one moment.

Source: Service Quotas, service `fargate`; ECS Developer Guide, "Amazon ECS service quotas": on demand and Spot apart,
for a region; new accounts begin with few.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from wherry import lifecycle, schedule
from wherry.aws import owntask
from wherry.aws.client import AwsError
from wherry.aws.sizes import size_of
from wherry.aws.survey import Site
from wherry.aws.verify.findings import Check, Finding, ng, ok
from wherry.model import Job, JobFile, QueueTrigger, ScheduleTrigger

#: Capacity -> its quota's code and name.
_QUOTAS = {
    "fargate": ("L-3032A538", "Fargate On-Demand vCPUs"),
    "fargate-spot": ("L-36FBB829", "Fargate Spot vCPUs"),
}
#: What starts no more at once than can be told.
_BOUNDED = ScheduleTrigger | QueueTrigger
#: How far ahead schedules are looked at, and how many firings of one at most.
_AHEAD = timedelta(days=8)
_MOST = 2_000


@dataclass(frozen=True, kw_only=True)
class Need:
    """The most vCPUs at one moment."""

    vcpus: float
    #: The jobs that take them, and how many runs of each.
    jobs: Mapping[str, int]
    #: Jobs of which any number may run at once.
    endless: tuple[str, ...] = ()


def checks(site: Site, now: datetime) -> list[Check]:
    """One for the capacity that the environment uses; beside Spot also on demand, where the last attempts are made."""
    kind = site.environment.capacity or "fargate"
    if kind not in _QUOTAS:
        return []
    found = [_check(site, site.jobfile, kind, now)]
    if kind == "fargate-spot":
        found.append(_check(site, _without_workers(site.jobfile), "fargate", now, where=" where Spot is in vain"))
    return found


def _check(site: Site, jobfile: JobFile, kind: str, now: datetime, *, where: str = "") -> Check:
    code, name = _QUOTAS[kind]
    sizes = {job.name: _vcpus(jobfile, job) for job in jobfile.jobs.values()}
    asked = partial(judge, name, code, need_of(jobfile, sizes, now), where=where)
    return Check(subject=f"quota {name}", look=partial(_look, site, code), judge=asked)


def _without_workers(jobfile: JobFile) -> JobFile:
    """Workers wait for Spot; it is runs whose last attempt, and each after some starts in vain, is made on demand."""
    jobs = {
        name: replace(job, triggers=tuple(each for each in job.triggers if not isinstance(each, QueueTrigger)))
        for name, job in jobfile.jobs.items()
    }
    return replace(jobfile, jobs=jobs)


def _look(site: Site, code: str) -> float:
    """The quota's value: the account's own, else the one that every account has."""
    named = {"ServiceCode": "fargate", "QuotaCode": code}
    try:
        answer = site.aws.call("service-quotas", "get_service_quota", **named)
    except AwsError as error:
        if error.code != "NoSuchResourceException":
            raise
        answer = site.aws.call("service-quotas", "get_aws_default_service_quota", **named)
    return float(answer["Quota"]["Value"])


def judge(name: str, code: str, need: Need, quota: float, *, where: str = "") -> Iterator[Finding]:
    """Is it enough? `where` says when the jobs need it, if not always. Pure."""
    listed = ", ".join(f"{job} ({count} times)" if count > 1 else job for job, count in need.jobs.items())
    what = f"at most {need.vcpus:g} vCPUs at once ({listed}){where}" if need.jobs else "nothing"
    if need.vcpus > quota:
        more = f"`aws service-quotas request-service-quota-increase --service-code fargate --quota-code {code}"
        yield ng(
            f"quota {name}",
            f"is {quota:g}, and the jobs need {what}: what is over it does not start",
            f"{more} --desired-value {math.ceil(need.vcpus)}` asks for more; or `concurrency`, other times, less `cpu`",
        )
        return
    open_end = f"; `{'`, `'.join(need.endless)}` may need more: no `concurrency` bounds them" if need.endless else ""
    yield ok(f"quota {name}", f"is {quota:g}, and the jobs need {what}{open_end}")


def need_of(jobfile: JobFile, sizes: Mapping[str, float], now: datetime) -> Need:
    """The greatest sum of vCPUs of runs that may go on at the same time. Pure.

    A run is taken to last as long as its `deadline` or `timeout` lets it, without these until the job's next firing.
    What events and uploads start may run at any time: one run of each such job counts, or as many as `concurrency`
    says, and all workers of its queues. What only people start counts by itself.
    """
    steps: list[tuple[datetime, int, str]] = []
    always: dict[str, int] = {}
    for job in jobfile.jobs.values():
        spans = list(_spans(job, now))
        if spans:
            steps += [step for begin, end in spans for step in ((begin, 1, job.name), (end, -1, job.name))]
        if count := _always(job):
            always[job.name] = count
    most = _peak(jobfile, sizes, sorted(steps), always)
    by_hand = [{job.name: lifecycle.limit_of(job) or 1} for job in jobfile.jobs.values() if not job.triggers]
    most = max([most, *by_hand], key=partial(_sum, sizes))
    endless = tuple(
        job.name
        for job in jobfile.jobs.values()
        if lifecycle.limit_of(job) is None and any(not isinstance(trigger, _BOUNDED) for trigger in job.triggers)
    )
    vcpus = sum(sizes[name] * count for name, count in most.items())
    return Need(vcpus=vcpus, jobs=most, endless=endless)


def _always(job: Job) -> int:
    """How many tasks of a job may run at any time: its workers, and a run that something starts."""
    workers = sum(trigger.max_workers for trigger in job.triggers if isinstance(trigger, QueueTrigger))
    is_started = any(not isinstance(trigger, _BOUNDED) for trigger in job.triggers)
    return workers + (lifecycle.limit_of(job) or 1 if is_started else 0)


def _peak(
    jobfile: JobFile, sizes: Mapping[str, float], steps: list[tuple[datetime, int, str]], always: Mapping[str, int]
) -> dict[str, int]:
    """The runs that go on at the moment when they take most. What ends as another begins ends first."""
    going = dict.fromkeys(jobfile.jobs, 0)
    most = dict(always)
    highest = _sum(sizes, most)
    for _, change, name in steps:
        going[name] += change
        counted = {each: max(always.get(each, 0), _limited(jobfile.jobs[each], count)) for each, count in going.items()}
        if (total := _sum(sizes, counted)) > highest:
            most, highest = {each: count for each, count in counted.items() if count}, total
    return most


def _limited(job: Job, count: int) -> int:
    limit = lifecycle.limit_of(job)
    return count if limit is None else min(count, limit)


def _sum(sizes: Mapping[str, float], counts: Mapping[str, int]) -> float:
    return sum(sizes[name] * count for name, count in counts.items())


def _spans(job: Job, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """When runs of a job's schedules may go on."""
    longest = job.deadline or job.timeout
    for trigger in job.triggers:
        if not isinstance(trigger, ScheduleTrigger):
            continue
        firings = schedule.parse(trigger.expression).firings(now, timezone=trigger.timezone, anchor=now)
        soon = itertools.takewhile(lambda firing: firing.at < now + _AHEAD, firings)
        moments = [firing.at for firing in itertools.islice(soon, _MOST)]
        nexts = [*moments[1:], now + _AHEAD]
        for begin, following in zip(moments, nexts, strict=False):
            yield begin, begin + longest if longest else following


def _vcpus(jobfile: JobFile, job: Job) -> float:
    """A task's size, in vCPUs."""
    if job.task_definition:
        written = str(owntask.load(jobfile, job).get("cpu", 256))
        return float(written.lower().removesuffix("vcpu")) if "vcpu" in written.lower() else float(written) / 1024
    size = size_of(job)
    return size.cpu / 1024 if size else 0.25
