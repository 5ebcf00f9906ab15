"""Why a run ended as it did, and what to change: from its outcome, its limits and the end of its log. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from wherry import lifecycle
from wherry.model import Attempt, Ending, Job, Outcome, Run, Status

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
        "the environment variable `{0}` is not set: add it under the job's `env` or `secrets`; nothing leaks in by itself",
    ),
    (r"MemoryError|std::bad_alloc|Cannot allocate memory|JavaScript heap out of memory", "give it more `memory`"),
    (r"No space left on device", "the disk is full: `wherry status` shows what is taken; `keep:` bounds the history"),
    (
        r"(?:Connection refused|ECONNREFUSED|Name or service not known|Could not resolve host|Temporary failure in name)",
        "a service it needs did not answer: if that passes by itself, `retry: {{attempts: 3, backoff: 30s}}` rides it out",
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


def explain(run: Run, job: Job | None, log: Sequence[str]) -> Explanation:
    """Explain a run; `job` is what the job file says of it now, `log` the last lines of its last attempt."""
    last = run.attempts[-1] if run.attempts else None
    outcome = last.outcome if last else None
    advice = list(_advice(run, job, outcome, log))
    if run.status in (Status.FAILED, Status.TIMED_OUT, Status.STOPPED):
        advice.append(
            f"then `wherry retry {run.id}` goes on with this run, `wherry replay {run.id}` makes a new one of it"
        )
    return Explanation(what=_what(run, last), facts=tuple(_facts(run, job, last)), advice=tuple(advice))


def _what(run: Run, last: Attempt | None) -> str:
    match run.status:
        case Status.SUCCEEDED:
            tries = f" with attempt {last.number}" if last and last.number > 1 else ""
            return f"it succeeded{tries}: exit code 0"
        case Status.QUEUED if last is None:
            return "it waits: for a free place, or for another run of the job to end; is an engine running? (`wherry status`)"
        case Status.QUEUED:
            return f"it waits for its next attempt; {run.reason}"
        case Status.STARTING | Status.RUNNING:
            return "it runs"
        case Status.SKIPPED | Status.STOPPED:
            return run.reason
    if last is None or last.outcome is None:
        return run.reason
    outcome = last.outcome
    match outcome.ending:
        case Ending.EXITED if outcome.exit_code is not None and outcome.exit_code > 128:
            return f"a signal ended the process: {_signal_name(outcome.exit_code - 128)}, which nobody here sent"
        case Ending.EXITED:
            return f"the job itself said that it failed: exit code {outcome.exit_code}"
        case Ending.TIMED_OUT:
            return f"it was killed, because {outcome.reason}"
        case Ending.OUT_OF_MEMORY:
            return f"it was killed for memory: {outcome.reason}"
        case Ending.COULD_NOT_START:
            return f"the job was never begun: {outcome.reason}"
        case Ending.LOST:
            return f"nobody knows how it ended: {outcome.reason}"
    return run.reason


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
    if last and last.outcome and last.outcome.exit_code in _CODES and last.outcome.ending is Ending.EXITED:
        facts.append(f"exit code {last.outcome.exit_code}: {_CODES[last.outcome.exit_code]}")
    if last and last.peak_memory and job and job.memory:
        facts.append(f"its process took up to {last.peak_memory // _MEGABYTE} of {job.memory // _MEGABYTE} MB")
    if last and last.outcome and last.outcome.reason and last.outcome.ending is Ending.EXITED:
        facts += [part.strip() for part in last.outcome.reason.split(";")]
    return facts


def _advice(run: Run, job: Job | None, outcome: Outcome | None, log: Sequence[str]) -> list[str]:
    if run.status is Status.SKIPPED:
        return ["`overlap: wait` would have run it afterwards; `concurrency: N` lets N go on at once"]
    if outcome is None or outcome.succeeded or run.status in (Status.STOPPED, Status.SUCCEEDED):
        return []
    found = [advice for advice in (_by_ending(job, outcome), *_by_log(log)) if advice]
    if not found and outcome.ending is Ending.EXITED:
        found.append("read the end of the log; the job's own words say more than its exit code")
    if outcome.ending is Ending.EXITED and job and job.retry.attempts == 1 and outcome.exit_code not in _CODES:
        found.append("if another attempt might end better: `retry: {attempts: 3, backoff: 10s}`")
    return found


def _by_ending(job: Job | None, outcome: Outcome) -> str:
    name = job.name if job else "JOB"
    match outcome.ending:
        case Ending.TIMED_OUT:
            limit = re.search(r"`(\w+): ([^`]+)`", outcome.reason)
            said = limit[1] if limit else "timeout"
            return f"if it rightly takes that long, raise `{said}` of job `{name}`; else look where the log stops"
        case Ending.OUT_OF_MEMORY:
            return f"raise `memory` of job `{name}`, or have it read its input in parts"
        case Ending.LOST:
            return (
                "the engine or its keeper was killed (out of memory? power?); `retry` in the job file would try again"
            )
        case Ending.COULD_NOT_START if "is not executable" in outcome.reason or "`" not in outcome.reason:
            return ""
        case Ending.COULD_NOT_START:
            return "mend what the sentence above names"
    if "writes" in outcome.reason or "reads" in outcome.reason:
        return "add the permission that the gateway names to the job's `reads` or `writes`"
    return ""


def _by_log(log: Sequence[str]) -> list[str]:
    text = "\n".join(log)
    found = []
    for sign, advice in _SIGNS:
        match = re.search(sign, text)
        if match:
            found.append(advice.format(*match.groups()))
    return found


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"number {number}"
