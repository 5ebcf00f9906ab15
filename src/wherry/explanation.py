"""Why a run ended as it did, and what to change: from its outcome, its limits and the end of its log. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from wherry import lifecycle, messages, reasons
from wherry.lifecycle import DROPPED
from wherry.model import Attempt, Ending, Job, Outcome, QueueTrigger, Run, Status

_MEGABYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """In plain words."""

    #: What happened, in one sentence.
    what: str
    #: What else is known that bears on it.
    facts: tuple[str, ...]
    #: What to change, the likeliest first.
    advice: tuple[str, ...]


#: Exit codes that shells and `timeout` give a meaning.
_CODES = {
    2: "many programs mean by it that they were called wrongly (an unknown option, a missing argument)",
    126: "the shell found the program, but it is not executable",
    127: "the shell did not find the program",
}

#: What the end of a log gives away: pattern -> advice; groups of the pattern may be used.
_SIGNS: Sequence[tuple[str, str]] = (
    (
        r"(?:ModuleNotFoundError|ImportError): No module named '([\w.]+)'",
        "the Python that ran it lacks the package `{0}`: install it, or name the right interpreter in `command`",
    ),
    (
        r"KeyError: '([A-Z][A-Z0-9_]+)'",
        "the environment variable `{0}` is not set: add it to the job's `env` or `secrets`; nothing leaks in by itself",
    ),
    (r"MemoryError|std::bad_alloc|Cannot allocate memory|JavaScript heap out of memory", "give it more `memory`"),
    (r"No space left on device", "the disk is full: `wherry status` shows what is taken; `keep:` bounds the history"),
    (
        r"Connection refused|ECONNREFUSED|Name or service not known|Could not resolve host|Temporary failure in name",
        "a service it needs did not answer: if that passes, `retry: {{attempts: 3, backoff: 30s}}` rides it out",
    ),
    (
        r"(?:Throttling|SlowDown|TooManyRequests|Rate exceeded|429 Too Many)",
        "a service asks for fewer calls: `retry` with `backoff` and `jitter` waits, `concurrency` runs fewer at once",
    ),
    (
        r"FileNotFoundError: \[Errno 2\] No such file or directory: '([^']+)'",
        "`{0}` is not there: the command starts in the `build` folder, else beside the job file",
    ),
    (r"PermissionError: \[Errno 13\] Permission denied: '([^']+)'", "it may not touch `{0}`: `ls -l` shows who may"),
    (r"NoSuchKey", "the object it wants is not in the bucket: was it deleted, or is its key encoded (`+`, `%20`)?"),
    (r"NoSuchBucket", "the bucket is not one of the job file's: declare it under `buckets`"),
    (r"syntax error|SyntaxError|IndentationError", "the program itself cannot be read: run it by hand"),
)


def explain(run: Run, job: Job | None, log: Sequence[str], *, on_aws: bool = False) -> Explanation:
    """Explain a run; `job` is what the job file says of it now, `log` the last lines of its last attempt.

    `on_aws`: why it could not start is said in AWS's words, which have a meaning of their own.
    """
    last = run.attempts[-1] if run.attempts else None
    outcome = last.outcome if last else None
    said = _said_by_aws(run, outcome) if on_aws else ""
    meaning = reasons.meaning(said, run.job) if said else None
    advice = [meaning.remedy] if meaning else _advice(run, job, outcome, log, on_aws=on_aws)
    is_unseen = on_aws and _may_not_have_begun(run, last, log)
    if is_unseen or (on_aws and reasons.never_began(outcome)):
        advice.append("`wherry verify` checks what tasks need: the way out, images, secrets, roles, quotas")
    if run.status in (Status.FAILED, Status.TIMED_OUT, Status.STOPPED):
        advice.append(_again(run, on_aws=on_aws))
    what, facts = _what(run, last), _facts(run, job, last)
    if is_unseen:
        facts.append("nothing was written, and the start is in that time: did it ever begin?")
    if meaning and outcome:
        what = f"the job was never begun: {meaning.what}" if outcome.exit_code is None else meaning.what
        if outcome.ending is Ending.TIMED_OUT:
            facts.append(outcome.reason.removesuffix(f": {said}"))
        facts.append(f"AWS says: {said}")
    return Explanation(what=what, facts=tuple(facts), advice=tuple(advice))


def _again(run: Run, *, on_aws: bool) -> str:
    """How it is done once more, when what was wrong is mended."""
    retry = f"then `wherry retry {run.id}` goes on with this run"
    if not (on_aws and messages.queue_of(run.cause)):
        return f"{retry}, `wherry replay {run.id}` makes a new one of it"
    # there a run has no message but that which its worker has received
    replay = f"`wherry replay {run.id} --here` runs its event on this machine"
    return f"its message is gone, but {replay}" if DROPPED in run.reason else f"{retry}, {replay}"


def _said_by_aws(run: Run, outcome: Outcome | None) -> str:
    """AWS's words for a run that failed because it could not start, or not in time."""
    if outcome is None or not reasons.never_began(outcome):
        return ""
    if outcome.ending is Ending.TIMED_OUT:
        return outcome.reason.partition(reasons.OVER)[2] if run.status is Status.TIMED_OUT else ""
    return outcome.reason if run.status is Status.FAILED else ""


def _may_not_have_begun(run: Run, last: Attempt | None, log: Sequence[str]) -> bool:
    """Whether a task on AWS ran out of time that nobody has seen begin: the start is in it, and ECS forgets."""
    if last is None or last.outcome is None or reasons.never_began(last.outcome):
        return False
    is_seen = last.usage is not None and last.usage.exact
    is_silent = not log and messages.queue_of(run.cause) is None
    return last.outcome.ending is Ending.TIMED_OUT and is_silent and not is_seen


def _what(run: Run, last: Attempt | None) -> str:
    if run.status is Status.SUCCEEDED and run.reason:
        return f"it succeeded: {run.reason}"
    if run.status is Status.SUCCEEDED:
        return f"it succeeded{f' with attempt {last.number}' if last and last.number > 1 else ''}: exit code 0"
    if not run.status.ended:
        return _what_it_does(run, last)
    if run.status in (Status.SKIPPED, Status.STOPPED) or last is None or last.outcome is None:
        return run.reason
    if run.status is Status.TIMED_OUT and last.outcome.ending is not Ending.TIMED_OUT:
        return run.reason  # not in an attempt: while it waited for the next one
    return _what_ended(last.outcome)


def _what_it_does(run: Run, last: Attempt | None) -> str:
    if run.status is not Status.QUEUED:
        return "it runs"
    if last is not None:
        return f"it waits for its next attempt; {run.reason}" if run.reason else "it waits for its next attempt"
    return "it waits: for a free place, or another run of the job to end (`wherry status` says whether an engine runs)"


def _what_ended(outcome: Outcome) -> str:
    code = outcome.exit_code
    if outcome.ending is Ending.EXITED and code is not None and (name := _signal_name(code - 128)):
        return f"a signal ended the process: {name}, which nobody here sent"
    if reasons.never_began(outcome):
        return f"the job was never begun: {outcome.reason}"
    return {
        Ending.EXITED: f"the job itself said that it failed: exit code {code}",
        Ending.TIMED_OUT: f"it was killed, because {outcome.reason}",
        Ending.OUT_OF_MEMORY: f"it was killed for memory: {outcome.reason}",
        Ending.LOST: f"nobody knows how it ended: {outcome.reason}",
        Ending.STOPPED: outcome.reason or "somebody stopped it",
        Ending.DISMISSED: outcome.reason or "it was not wanted any more",
    }[outcome.ending]


def _facts(run: Run, job: Job | None, last: Attempt | None) -> list[str]:
    facts = []
    if len(run.attempts) > 1:
        ends = [lifecycle.describe(attempt.outcome) for attempt in run.attempts if attempt.outcome]
        same = len(set(ends)) == 1
        facts.append(
            f"{len(run.attempts)} attempts, all the same"
            if same
            else f"{len(run.attempts)} attempts: {'; '.join(ends)}"
        )
    queue = messages.queue_of(run.cause)
    if queue and run.status in (Status.FAILED, Status.TIMED_OUT, Status.STOPPED) and DROPPED not in run.reason:
        facts.append(f"its message went to the dead letters of queue `{queue}`, and comes back with a retry")
    if last and "the deadline leaves no time" in run.reason:
        facts.append("the deadline left no time for another attempt")
    if last and last.outcome and last.outcome.exit_code in _CODES and last.outcome.ending is Ending.EXITED:
        facts.append(f"exit code {last.outcome.exit_code}: {_CODES[last.outcome.exit_code]}")
    if last and last.peak_memory and job and job.memory:
        facts.append(f"its process took up to {last.peak_memory // _MEGABYTE} of {job.memory // _MEGABYTE} MB")
    if last and last.outcome and last.outcome.reason and last.outcome.ending is Ending.EXITED:
        facts += [part.strip() for part in last.outcome.reason.split(";")]
    return facts


def _advice(run: Run, job: Job | None, outcome: Outcome | None, log: Sequence[str], *, on_aws: bool) -> list[str]:
    if run.status is Status.SKIPPED and "overlap" not in run.reason:
        return []
    if run.status is Status.SKIPPED:
        return ["`overlap: wait` would have run it afterwards; `concurrency: N` lets N go on at once"]
    if outcome is None or outcome.succeeded or run.status in (Status.STOPPED, Status.SUCCEEDED):
        return []
    ending = _by_ending_on_aws(run, outcome) if on_aws else ""
    named = [advice.replace("{job}", run.job) for advice in _by_log(log, reasons.LOG_SIGNS)] if on_aws else []
    found = [advice for advice in (ending or _by_ending(job, outcome), *named, *_by_log(log, _SIGNS)) if advice]
    if found or outcome.ending is not Ending.EXITED:
        return found
    found.append("read the end of the log; the job's own words say more than its exit code")
    queue = messages.queue_of(run.cause)
    if queue is not None:
        found.append(f"if another receive might end better: raise `max_receives` of queue `{queue}`")
    elif job and job.retry.attempts == 1 and outcome.exit_code not in _CODES:
        found.append("if another attempt might end better: `retry: {attempts: 3, backoff: 10s}`")
    return found


def _by_ending(job: Job | None, outcome: Outcome) -> str:
    name = job.name if job else "JOB"
    if outcome.ending is Ending.EXITED:
        refused = any(key in outcome.reason for key in ("reads", "writes", "sends", "emits"))
        return "add to the job what the gateway names above; the next attempt has it" if refused else ""
    limit = re.search(r"`(timeout|deadline): ", outcome.reason)
    if limit and job and any(isinstance(each, QueueTrigger) and not each.is_managed for each in job.triggers):
        return f"`{limit[1]}` bounds the whole life of a worker that polls by itself: leave it out of job `{name}`"
    return {
        Ending.TIMED_OUT: f"if it rightly takes that long, raise `{limit[1] if limit else 'timeout'}` of job `{name}`; "
        "else look where the log stops",
        Ending.OUT_OF_MEMORY: f"raise `memory` of job `{name}`, or have it read its input in parts",
        Ending.LOST: "the engine and its keeper were killed (memory? power?); `retry` in the job file would try again",
        Ending.COULD_NOT_START: "mend what is named above",
    }.get(outcome.ending, "")


def _by_ending_on_aws(run: Run, outcome: Outcome) -> str:
    if outcome.ending is Ending.LOST:
        return reasons.LOST
    if outcome.ending is Ending.TIMED_OUT and reasons.never_began(outcome):
        return reasons.LATE.format(job=run.job)
    is_own = outcome.ending is Ending.EXITED and outcome.exit_code is not None
    return reasons.CODES.get(outcome.exit_code or 0, "").format(job=run.job) if is_own else ""


def _by_log(log: Sequence[str], signs: Sequence[tuple[str, str]]) -> list[str]:
    text = "\n".join(log)
    found = []
    for sign, advice in signs:
        match = re.search(sign, text)
        if match:
            found.append(advice.format(*match.groups()))
    return found


def _signal_name(number: int) -> str:
    """The name of a signal, empty where there is none of that number."""
    return signal.Signals(number).name if number in set(signal.Signals) else ""
