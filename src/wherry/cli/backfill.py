"""`wherry backfill JOB --from TIME --to TIME`."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from wherry import intervals
from wherry.cli import output
from wherry.cli.context import add_environment, add_executor, jobfile_path, load_jobfile, open_target
from wherry.errors import UserError
from wherry.intervals import Interval
from wherry.model import Job, Run, ScheduleTrigger, Status
from wherry.target import Target, Wish

_PULSE = 0.05
#: How often it is looked whether somebody still executes what is under way, in seconds.
_LOOK = 1.0
_INTERRUPTED = 130
_MOST = 100_000


class Plan(NamedTuple):
    """What is to be done about one interval."""

    interval: Interval
    cause: str
    #: Its run so far.
    run: Run | None
    #: Nothing: a run has succeeded.
    is_done: bool


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "The same command goes on where it was interrupted: an interval that has succeeded is not run twice, one that "
        "failed is tried again. To run everything once more, give it another --tag."
    )
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("--from", dest="since", metavar="TIME", required=True, help="2026-03-01 or 2026-03-01T10:00")
    parser.add_argument("--to", dest="until", metavar="TIME", required=True, help="up to, not including")
    parser.add_argument("--every", metavar="LENGTH", help="the intervals' length: 1h, 1d (default: the job's schedule)")
    parser.add_argument("--parallel", metavar="N", type=int, default=1, help="at most so many at once (1)")
    parser.add_argument(
        "--only-missing", action="store_true", help="leave out what any run has done, also a scheduled one"
    )
    parser.add_argument("--tag", metavar="NAME", default="", help="a name for doing it all over again")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    add_environment(parser)
    add_executor(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run the job once for each interval; 1 when some have failed."""
    if arguments.parallel < 1:
        raise UserError("`--parallel` must be at least 1")
    if not re.fullmatch(r"[\w.-]{0,64}", arguments.tag):
        raise UserError("`--tag` is a word: letters, digits, `-`, `_`, `.`")
    job = load_jobfile(jobfile_path(arguments)).job(arguments.job)
    trigger = _schedule_of(job, has_length=arguments.every is not None)
    found = _intervals(arguments, trigger)
    with open_target(arguments) as target:
        plans = _plans(target, job.name, trigger, found, arguments)
        todo = [plan for plan in plans if not plan.is_done]
        output.note(f"{output.count(len(plans), 'interval')}, {len(plans) - len(todo)} done, {len(todo)} to do")
        if arguments.dry_run:
            for plan in plans:
                output.say(f"{plan.interval}  {_prospect(plan)}")
            return 0
        return _Backfill(target, job.name, trigger, todo, arguments.parallel).run()


def _schedule_of(job: Job, *, has_length: bool) -> ScheduleTrigger | None:
    """The one schedule of a job, which says what its intervals are."""
    triggers = [trigger for trigger in job.triggers if isinstance(trigger, ScheduleTrigger)]
    if len(triggers) == 1:
        return triggers[0]
    if has_length:
        return None
    what = f"has {len(triggers)} schedules" if triggers else "has no schedule"
    raise UserError(f"job `{job.name}` {what}, so that its intervals are not known", hint="give `--every 1d`")


def _intervals(arguments: argparse.Namespace, trigger: ScheduleTrigger | None) -> list[Interval]:
    zone = ZoneInfo(trigger.timezone) if trigger else None
    since, until = _moment(arguments.since, zone), _moment(arguments.until, zone)
    if since >= until:
        raise UserError("`--from` must be before `--to`")
    if arguments.every is not None:
        from wherry.jobfile.values import parse_duration

        try:
            length = parse_duration(arguments.every)
        except ValueError as error:
            raise UserError(f"`--every` {error}", hint="write 1h, 90m, 1d") from None
        if length.total_seconds() < 1:
            raise UserError("`--every` must be at least a second")
        source = intervals.every(length, since, until)
    elif trigger is None:
        raise AssertionError("a job without a schedule was refused before")
    else:
        source = intervals.of_schedule(trigger, since, until)
    found = []
    for interval in source:
        found.append(interval)
        if len(found) > _MOST:
            raise UserError(f"these are more than {_MOST:,} intervals", hint="choose a shorter span of time")
    return found


def _moment(text: str, zone: tzinfo | None) -> datetime:
    """A time in the schedule's zone, else in this machine's, unless it names one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"`{text}` is not a time", hint="write 2026-03-01 or 2026-03-01T10:00") from None
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC)


def _plans(
    target: Target,
    job: str,
    trigger: ScheduleTrigger | None,
    found: Sequence[Interval],
    arguments: argparse.Namespace,
) -> list[Plan]:
    causes = {interval: intervals.cause(interval, arguments.tag) for interval in found}
    runs = target.of_causes(job, list(causes.values()))
    done = {interval for interval in found if _has_succeeded(runs.get(causes[interval]))}
    if arguments.only_missing:
        others = {interval: _other_causes(trigger, interval) for interval in found if interval not in done}
        theirs = target.of_causes(job, [cause for each in others.values() for cause in each])
        done |= {interval for interval, each in others.items() if any(_has_succeeded(theirs.get(one)) for one in each)}
    return [Plan(interval, cause, runs.get(cause), interval in done) for interval, cause in causes.items()]


def _other_causes(trigger: ScheduleTrigger | None, interval: Interval) -> list[str]:
    """Under what else an interval may have been run: by a backfill without a tag, or by the schedule itself."""
    plain = intervals.cause(interval, "")
    return [plain] if trigger is None else [plain, intervals.firing_cause(trigger, interval)]


def _has_succeeded(run: Run | None) -> bool:
    return run is not None and run.status is Status.SUCCEEDED


def _prospect(plan: Plan) -> str:
    if plan.is_done:
        return "done"
    if plan.run is None:
        return "would run"
    return f"would be tried again: {plan.run.status}" if plan.run.status.ended else f"goes on: {plan.run.status}"


class _Backfill:
    """Keeps up to `parallel` intervals under way until all have ended."""

    def __init__(
        self, target: Target, job: str, trigger: ScheduleTrigger | None, todo: Sequence[Plan], parallel: int
    ) -> None:
        self._target = target
        self._job = job
        self._trigger = trigger
        self._todo = list(reversed(todo))
        self._total = len(todo)
        self._parallel = parallel
        self._under_way: dict[str, Plan] = {}
        self._look_at = 0.0
        self._ended: list[tuple[Plan, Run]] = []

    def run(self) -> int:
        try:
            while self._todo or self._under_way:
                while self._todo and len(self._under_way) < self._parallel and self._start(self._todo[-1]):
                    self._todo.pop()
                time.sleep(_PULSE)
                self._collect()
        except KeyboardInterrupt:
            left = len(self._todo) + len(self._under_way)
            output.note(f"interrupted, {output.count(left, 'interval')} to go; the same command goes on with them")
            return _INTERRUPTED
        return self._conclude()

    def _start(self, plan: Plan) -> bool:
        """Have an interval under way; False when another backfill has begun it and its run is not to be seen yet."""
        if plan.run is None:
            event = intervals.event(self._job, self._trigger, plan.interval)
            wish = Wish(job=self._job, trigger="schedule", cause=plan.cause, event=event)
            run_id = self._target.start(wish) or self._id_of(plan)
            if run_id is None:
                return False
        else:
            run_id = plan.run.id
            if plan.run.status.ended:
                self._try_again(plan.run)
        self._under_way[run_id] = plan
        self._target.go_on(run_id)
        return True

    def _id_of(self, plan: Plan) -> str | None:
        run = self._target.of_causes(self._job, [plan.cause]).get(plan.cause)
        return None if run is None else run.id

    def _try_again(self, planned: Run) -> None:
        """Give a run another round, unless somebody else has done so since the plan was made: then it is theirs."""
        try:
            self._target.retry(planned.id)
        except UserError:
            if self._target.find(planned.id).asked_at == planned.asked_at:
                raise

    def _collect(self) -> None:
        is_time = time.monotonic() >= self._look_at
        if is_time:
            self._look_at = time.monotonic() + _LOOK
        for run_id, plan in list(self._under_way.items()):
            run = self._target.find(run_id)
            if not run.status.ended:
                if is_time:
                    self._target.go_on(run_id)
                continue
            del self._under_way[run_id]
            self._ended.append((plan, run))
            first = run.attempts[run.earlier_attempts].started_at if len(run.attempts) > run.earlier_attempts else None
            took = output.length(run.ended_at - first) if run.ended_at and first else "-"
            reason = f": {run.reason}" if run.reason else ""
            count = f"[{len(self._ended)}/{self._total}]"
            output.say(f"{count}  {plan.interval}  {run.id}  {output.status(run.status)} in {took}{reason}")

    def _conclude(self) -> int:
        failed = [run for _, run in self._ended if run.status is not Status.SUCCEEDED]
        if failed:
            output.note(f"{output.count(len(failed), 'interval')} of {self._total} did not succeed")
            output.note(f"  `wherry explain {failed[0].id}` says why; the same command tries them again")
        return 1 if failed else 0
