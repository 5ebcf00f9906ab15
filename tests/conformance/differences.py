"""What does not hold on every backend, and why: the only place where a scenario is left out anywhere.

A name is that of a scenario, or of one of its cases: `test_name[case]`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Why a scenario cannot hold on a backend."""

    #: For a cell of a table.
    short: str
    reason: str


_ENGINE = Difference("needs an engine", "triggers, and runs that go on by themselves, need an engine")
_NO_ENGINE = Difference("no engine", "there is no engine that could be killed: Step Functions executes the runs")

#: Of scenarios that are marked as needing an engine.
WITHOUT_ENGINE = {"alone": _ENGINE}

DIFFERENCES: dict[str, dict[str, Difference]] = {
    "aws": {
        "test_an_event_makes_one_run_however_often_it_comes": Difference(
            "ids are AWS's", "EventBridge gives each event that is put on the bus an id of its own, and no engine dies"
        ),
        "test_what_was_missed_is_made_up_for_or_reported": _NO_ENGINE,
        "test_a_second_engine_becomes_a_client": _NO_ENGINE,
        "test_a_long_event_comes_as_a_file": Difference(
            "as an object", "an event that is too long for ECS comes as `WHERRY_EVENT_URI`, which the job may read"
        ),
        "test_the_log_has_both_streams_in_order": Difference(
            "each by itself", "ECS collects the two streams one by one, and promises no order among them"
        ),
        "test_event_patterns_watch_runs_without_going_round": Difference(
            "refused by name",
            "what happens to runs is not on the event bus; `after` starts a job when another has ended",
        ),
        "test_what_cannot_start_is_told_apart[program]": Difference(
            "exit code 127",
            "a container begins with an init process, which exits with 127 when there is no such program",
        ),
        "test_what_cannot_start_is_told_apart[secret]": Difference(
            "refused by name", "`wherry deploy` refuses what needs a secret that is not there"
        ),
        "test_a_missing_program_is_explained": Difference(
            "exit code 127", "the attempt has begun, and ends with 127: that is what is explained"
        ),
        "test_jobs_take_turns": Difference(
            "no places", "each task has a machine of its own: there are no places to share"
        ),
        "test_failures_are_reported": Difference(
            "by SNS",
            "alerts go by Amazon SNS, to mail addresses and `https://` URLs alone, which nothing here receives",
        ),
        "test_history_is_pruned": Difference(
            "kept by AWS", "Step Functions keeps runs for 90 days, CloudWatch their logs for `keep: {age: ...}`"
        ),
    }
}


def difference(backend: str, scenario: str, *, needs_engine: bool) -> Difference | None:
    """Why a scenario, or a case of one, is not tried on a backend; None when it is."""
    if needs_engine and backend in WITHOUT_ENGINE:
        return WITHOUT_ENGINE[backend]
    known = DIFFERENCES.get(backend, {})
    return known.get(scenario) or known.get(scenario.partition("[")[0])
