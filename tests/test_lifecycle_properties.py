"""The life of runs under everything that may happen to them: the real store, the pure decisions, time as an argument."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wherry import lifecycle
from wherry.lifecycle import FIRING_GRACE, START_BUDGET, Admission
from wherry.local.database import Database
from wherry.local.history import History
from wherry.local.runs import Queued, Runs
from wherry.model import Attempt, Ending, Job, Outcome, Retry, Status, new_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT = new_event("shop", "order placed", {"order": 7}, now=NOW)
MILLISECOND = timedelta(milliseconds=1)
#: The store keeps milliseconds: a time may have moved by half of one.
ROUNDING = MILLISECOND / 2

durations = st.sampled_from([timedelta(0), *(timedelta(seconds=seconds) for seconds in (0.25, 1, 7, 60, 3600, 86400))])
chances = st.floats(0, 1)
retries = st.builds(
    Retry,
    attempts=st.integers(1, 4),
    backoff=durations,
    factor=st.sampled_from([1.0, 1.5, 2.0, 100.0]),
    cap=durations,
    jitter=st.sampled_from([0.0, 0.5, 1.0]),
    exit_codes=st.none() | st.frozensets(st.sampled_from([1, 75, 137]), min_size=1),
)
jobs = st.builds(
    Job,
    name=st.just("job"),
    retry=retries,
    timeout=st.none() | durations,
    deadline=st.none() | st.sampled_from([timedelta(seconds=seconds) for seconds in (1, 30, 3600)]),
    overlap=st.sampled_from(["allow", "wait", "skip"]),
    concurrency=st.none() | st.integers(1, 3),
)
unstarted = st.builds(
    Outcome, ending=st.just(Ending.COULD_NOT_START), reason=st.sampled_from(["", "because"]), passing=st.booleans()
)
failures = st.one_of(
    st.builds(Outcome, ending=st.just(Ending.EXITED), exit_code=st.sampled_from([1, 2, 75, 137, 255])),
    st.sampled_from([Outcome(ending=Ending.OUT_OF_MEMORY), Outcome(ending=Ending.LOST)]),
    st.just(Outcome(ending=Ending.TIMED_OUT, reason="it ran longer than `timeout: 1s`")),
    unstarted,
)
passing = st.just(Outcome(ending=Ending.COULD_NOT_START, passing=True))
outcomes = st.one_of(
    failures, st.sampled_from([Outcome(ending=Ending.EXITED, exit_code=0), Outcome(ending=Ending.STOPPED, reason="s")])
)


def could_not_start(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.ending is Ending.COULD_NOT_START


def longest_wait(retry: Retry, attempts_used: int) -> float:
    """In seconds, by the words of the manual; without its loop."""
    wait = retry.backoff.total_seconds() * retry.factor ** min(attempts_used - 1, 50)
    return min(wait, retry.cap.total_seconds())


def round_of(outcomes_so_far: list[Outcome]) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(number=number, started_at=NOW, ended_at=NOW, outcome=outcome)
        for number, outcome in enumerate(outcomes_so_far, start=1)
    )


# ------------------------------------------------------------------------------------------------- the pure decisions


@settings(deadline=None)
@given(retries, st.lists(failures, min_size=1, max_size=30), chances, st.none() | durations)
def test_another_attempt_is_due_when_the_policy_says_and_before_the_deadline(retry, ends, chance, left):
    deadline_at = None if left is None else NOW + left
    decision = lifecycle.after_attempt(round_of(ends), ends[-1], retry, now=NOW, chance=chance, deadline_at=deadline_at)
    assert decision.reason
    assert (decision.due_at is not None) == (decision.status is Status.QUEUED)
    unbegun = could_not_start(ends[-1])
    budget = START_BUDGET if unbegun else retry
    used = sum(could_not_start(end) is unbegun for end in ends)
    if decision.due_at is None:
        assert decision.status is (Status.TIMED_OUT if ends[-1].ending is Ending.TIMED_OUT else Status.FAILED)
        return
    assert used < budget.attempts
    longest = longest_wait(budget, used)
    waited = (decision.due_at - NOW).total_seconds()
    assert longest * (1 - budget.jitter) - 1e-5 <= waited <= longest + 1e-5
    assert deadline_at is None or decision.due_at < deadline_at


@settings(deadline=None)
@given(retries, st.lists(failures, min_size=1, max_size=30), chances)
def test_without_a_deadline_a_run_ends_only_when_a_budget_is_used_up_or_it_is_hopeless(retry, ends, chance):
    decision = lifecycle.after_attempt(round_of(ends), ends[-1], retry, now=NOW, chance=chance)
    last = ends[-1]
    if could_not_start(last):
        goes_on = last.passing and sum(map(could_not_start, ends)) < START_BUDGET.attempts
    else:
        hopeless = last.ending is Ending.EXITED and not (retry.exit_codes is None or last.exit_code in retry.exit_codes)
        goes_on = not hopeless and sum(not could_not_start(end) for end in ends) < retry.attempts
    assert (decision.status is Status.QUEUED) == goes_on


@given(retries, st.lists(failures, max_size=5), st.sampled_from([Ending.EXITED, Ending.STOPPED]), chances)
def test_success_and_a_stop_end_a_run_whatever_was_before(retry, before, ending, chance):
    last = Outcome(ending=ending, exit_code=0)
    decision = lifecycle.after_attempt(round_of([*before, last]), last, retry, now=NOW, chance=chance)
    assert decision.status is (Status.SUCCEEDED if ending is Ending.EXITED else Status.STOPPED)
    assert decision.due_at is None


@given(jobs, st.integers(0, 5), st.booleans())
def test_a_run_is_admitted_exactly_while_there_is_room(job, active, patient):
    limit = job.concurrency or (None if job.overlap == "allow" else 1)
    admission = lifecycle.admit(job, active=active, patient=patient)
    assert lifecycle.limit_of(job) == limit
    assert (admission is Admission.GO) == (limit is None or active < limit)
    assert admission is not Admission.SKIP or (job.overlap == "skip" and not patient)
    assert admission is not Admission.WAIT or job.overlap != "skip" or patient


@given(jobs, st.timedeltas(timedelta(0), timedelta(days=2)))
def test_an_attempt_ends_by_its_timeout_and_by_the_deadline_whichever_is_first(job, waited):
    started_at = NOW + waited
    bound = lifecycle.bound_of(job, asked_at=NOW, started_at=started_at)
    ends = [started_at + job.timeout] if job.timeout is not None else []
    ends += [max(NOW + job.deadline, started_at)] if job.deadline is not None else []
    assert (bound is None) == (not ends)
    if bound:
        assert bound.length >= timedelta(0)
        assert started_at + bound.length == min(ends)
        name = bound.said.partition(":")[0]
        assert bound.said == f"{name}: {lifecycle.duration(getattr(job, name))}"


late_by = st.one_of(
    st.timedeltas(timedelta(0), timedelta(days=3)),
    st.sampled_from([timedelta(0), FIRING_GRACE, FIRING_GRACE + timedelta(microseconds=1)]),
)
firings = st.lists(late_by, max_size=20, unique=True).map(lambda found: [NOW - late for late in sorted(found)][::-1])


@given(st.sampled_from(["none", "latest", "all"]), firings)
def test_each_due_firing_is_either_taken_or_missed_and_in_order(policy, due):
    taken, missed = lifecycle.catch_up(policy, iter(due), now=NOW)
    assert missed + taken == due
    assert not [moment for moment in missed if NOW - moment <= FIRING_GRACE]


@given(firings)
def test_what_catch_up_takes_beyond_the_grace_is_nothing_the_latest_or_all(due):
    timely = [moment for moment in due if NOW - moment <= FIRING_GRACE]
    assert lifecycle.catch_up("none", due, now=NOW)[0] == timely
    assert lifecycle.catch_up("latest", due, now=NOW)[0] == (timely or due[-1:])
    assert lifecycle.catch_up("all", due, now=NOW) == (due, [])


@given(st.integers(1, 10**7))
def test_a_duration_reads_as_the_length_that_it_is(seconds):
    from wherry.jobfile.values import parse_duration

    length = timedelta(seconds=seconds)
    assert parse_duration(lifecycle.duration(length)) == length


# ------------------------------------------------------------------------------------------------------- whole lives


@dataclass
class Known:
    """What the test knows of a run."""

    id: str
    job: str
    cause: str
    asked_at: datetime
    due_at: datetime
    status: Status = Status.QUEUED
    #: The outcomes of all attempts, None for the open one; and those of earlier rounds.
    ends: list[Outcome | None] = field(default_factory=list)
    earlier: int = 0
    #: Who may claim it or executes it; None: anybody may.
    owner: str | None = None
    admitted: bool = False
    is_stop_wanted: bool = False
    is_dead_letter: bool = False

    @property
    def is_active(self) -> bool:
        return self.admitted and not self.status.ended

    def is_letter_when(self, status: Status) -> bool:
        """Whether it is a dead letter when it ends so; a stop has not dealt with what had failed before."""
        again = self.earlier > 0 and status is Status.STOPPED
        return status in (Status.FAILED, Status.TIMED_OUT) or again

    @property
    def is_executing(self) -> bool:
        return self.status in (Status.STARTING, Status.RUNNING)


class Lives(RuleBasedStateMachine):
    """Two owners, two jobs, a few causes, one clock."""

    OWNERS = ("1:1", "2:2")

    @initialize(first=jobs, second=jobs)
    def open(self, first, second):
        self.jobs = {
            "a": dataclasses.replace(first, name="a"),
            "b": dataclasses.replace(second, name="b"),
        }
        self.folder = tempfile.mkdtemp()
        self.database = Database(f"{self.folder}/wherry.db")
        self.runs, self.history = Runs(self.database), History(self.database)
        self.now = NOW
        self.known: dict[str, Known] = {}
        self.succeeded = {}

    def teardown(self):
        if hasattr(self, "database"):
            self.database.close()
            shutil.rmtree(self.folder)

    def some(self, data, condition) -> Known | None:
        """One of the runs of which that is true, or None when there is none."""
        ids = sorted(known.id for known in self.known.values() if condition(known))
        return self.known[data.draw(st.sampled_from(ids))] if ids else None

    # --------------------------------------------------------------------------------------------- coming into being

    @rule(job=st.sampled_from(["a", "b"]), cause=st.integers(1, 4), owner=st.sampled_from([None, None, *OWNERS]))
    def add(self, job, cause, owner):
        cause = f"backfill: {cause}" if cause == 4 else f"event:{cause}"
        queued = self.database.write(
            lambda tx: self.runs.add(tx, job=job, trigger="event", cause=cause, event=EVENT, now=self.now, owner=owner)
        )
        queued = queued and Queued.of(queued)
        is_new = not [known for known in self.known.values() if (known.job, known.cause) == (job, cause)]
        assert (queued is not None) == is_new
        if queued:
            assert queued.patient == cause.startswith("backfill")
            self.known[queued.id] = Known(queued.id, job, cause, self.now, self.now, owner=owner)

    @rule(data=st.data())
    def ask_at_the_door(self, data):
        known = self.some(
            data, lambda known: known.status is Status.QUEUED and not known.admitted and known.owner is None
        )
        if known is None:
            return
        queued = next(queued for queued in self.runs.queued() if queued.id == known.id)
        job = self.jobs[known.job]

        def work(transaction):
            active = self.runs.active(transaction, queued)
            admission = lifecycle.admit(job, active=active, patient=queued.patient)
            if admission is Admission.GO:
                self.runs.admit(transaction, known.id)
            if admission is Admission.SKIP:
                assert self.runs.close(transaction, known.id, Status.SKIPPED, "busy", self.now)
            return active, admission

        active, admission = self.database.write(work)
        assert active == sum(other.is_active for other in self.known.values() if other.job == known.job)
        known.admitted = admission is Admission.GO
        if admission is Admission.SKIP:
            known.status = Status.SKIPPED

    @rule(data=st.data(), owner=st.sampled_from(OWNERS))
    def claim(self, data, owner):
        known = self.some(data, lambda known: known.admitted or lifecycle.limit_of(self.jobs[known.job]) is None)
        if known is None:
            return
        run = self.database.write(lambda tx: self.runs.claim(tx, known.id, owner, self.now))
        may = known.status is Status.QUEUED and known.owner in (None, owner)
        assert (run is not None) == (may and known.due_at <= self.now and not known.is_stop_wanted)
        if run:
            assert (run.status, run.id) == (Status.STARTING, known.id)
            known.status, known.owner, known.admitted = Status.STARTING, owner, True
            known.ends.append(None)

    @rule(data=st.data())
    def start(self, data):
        known = self.some(data, lambda known: known.is_executing)
        if known:
            run = self.history.get(known.id)
            self.database.write(lambda tx: self.runs.started(tx, run, "4711:99"))
            known.status = Status.RUNNING

    # --------------------------------------------------------------------------------------------------------- ends

    @precondition(lambda self: any(known.is_executing for known in self.known.values()))
    @rule(data=st.data(), outcome=outcomes, chance=chances)
    def end(self, data, outcome, chance):
        self.decide(self.some(data, lambda known: known.is_executing), outcome, chance)

    @rule(data=st.data(), owner=st.sampled_from(OWNERS), ends=st.lists(failures | passing, min_size=2, max_size=15))
    def fail_again_and_again(self, data, owner, ends):
        known = self.some(data, lambda known: known.is_executing)
        for outcome in ends if known else ():
            self.decide(known, outcome, 0.5)
            self.now = max(self.now, known.due_at)
            run = self.database.write(lambda tx: self.runs.claim(tx, known.id, owner, self.now))
            assert (run is not None) == (known.status is Status.QUEUED and not known.is_stop_wanted)
            if run is None:
                return
            known.status, known.owner = Status.STARTING, owner
            known.ends.append(None)

    @precondition(lambda self: any(known.owner for known in self.known.values()))
    @rule(data=st.data(), was_started=st.booleans(), chance=chances)
    def crash(self, data, was_started, chance):
        known = self.some(data, lambda known: known.owner is not None and not known.status.ended)
        if known is None:
            return
        old, other = known.owner, self.OWNERS[known.owner == self.OWNERS[0]]
        assert (known.id, old) in [(owned.run_id, owned.owner) for owned in self.runs.owned()]
        assert not self.runs.adopt(known.id, old_owner=other, owner=old)
        assert self.runs.adopt(known.id, old_owner=old, owner=other)
        assert not self.runs.adopt(known.id, old_owner=old, owner=other)
        if known.is_executing:
            known.owner = other
            unbegun = Outcome(ending=Ending.COULD_NOT_START, reason="killed before", passing=True)
            self.decide(known, Outcome(ending=Ending.LOST) if was_started else unbegun, chance)
        else:
            self.runs.release(known.id, other)
            known.owner = None

    def decide(self, known, outcome, chance):
        """As the floor does it, with the bounds of the times held against the job's words."""
        job = self.jobs[known.job]
        run = self.history.get(known.id)
        ended = dataclasses.replace(run.attempts[-1], ended_at=self.now, outcome=outcome)
        run = dataclasses.replace(run, attempts=(*run.attempts[:-1], ended))
        deadline_at = lifecycle.deadline_of(job, run.asked_at)
        decision = lifecycle.after_attempt(
            run.attempts[run.earlier_attempts :],
            outcome,
            job.retry,
            now=self.now,
            chance=chance,
            deadline_at=deadline_at,
        )
        self.database.write(lambda tx: self.runs.decide(tx, run, outcome, decision, now=self.now))
        known.ends[-1] = outcome
        known.status, known.owner = decision.status, None
        known.is_dead_letter = known.is_letter_when(decision.status)
        if decision.status is Status.QUEUED:
            budget = START_BUDGET if could_not_start(outcome) else job.retry
            used = sum(could_not_start(end) is could_not_start(outcome) for end in known.ends[known.earlier :])
            longest = timedelta(seconds=longest_wait(budget, used))
            known.due_at = self.history.get(known.id).due_at
            waits = known.due_at - self.now
            assert longest * (1 - budget.jitter) - MILLISECOND <= waits <= longest + MILLISECOND
            assert deadline_at is None or known.due_at <= deadline_at + ROUNDING

    @rule(data=st.data(), is_engine_quick=st.booleans())
    def stop(self, data, is_engine_quick):
        known = self.some(data, lambda _: True)
        if known is None:
            return
        assert self.runs.request_stop(known.id) == (not known.status.ended)
        if not known.status.ended:
            known.is_stop_wanted = True
            assert (known.id, known.status) in self.runs.stop_requests()
        if is_engine_quick:
            self.close(known, Status.STOPPED)

    @rule()
    def look_for_passed_deadlines(self):
        for known in self.known.values():
            deadline_at = lifecycle.deadline_of(self.jobs[known.job], known.asked_at)
            if known.status is Status.QUEUED and deadline_at is not None and deadline_at <= self.now:
                self.close(known, Status.TIMED_OUT)

    def close(self, known, status):
        run = self.database.write(lambda tx: self.runs.close(tx, known.id, status, "because", self.now))
        assert (run is not None) == (known.status is Status.QUEUED)
        if run:
            known.status, known.owner = status, None
            known.is_dead_letter = known.is_letter_when(status)

    # ------------------------------------------------------------------------------------------------ people and time

    @rule(data=st.data(), owner=st.sampled_from([None, None, *OWNERS]))
    def give_another_round(self, data, owner):
        known = self.some(data, lambda _: True)
        if known is None:
            return
        given = self.database.write(lambda tx: self.runs.another_round(tx, known.id, self.now, owner))
        assert given == (known.status.ended and known.status is not Status.SUCCEEDED)
        if given:
            self.known[known.id] = Known(
                known.id,
                known.job,
                known.cause,
                self.now,
                self.now,
                ends=known.ends,
                earlier=len(known.ends),
                owner=owner,
            )

    @rule(data=st.data())
    def bury(self, data):
        known = self.some(data, lambda _: True)
        if known:
            self.runs.bury([known.id])
            known.is_dead_letter = False

    @rule(seconds=st.sampled_from([0.001, 1, 29, 3600]))
    def pass_time(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule()
    def pass_time_until_something_is_due(self):
        due = [known.due_at for known in self.known.values() if known.status is Status.QUEUED]
        self.now = max(self.now, min(due, default=self.now))

    # --------------------------------------------------------------------------------------------------- always true

    @invariant()
    def the_store_is_what_happened(self):
        runs = {run.id: run for run in self.history.listing(limit=-1)}
        assert runs.keys() == self.known.keys()
        assert max(Counter((run.job, run.cause) for run in runs.values()).values(), default=1) == 1
        for run_id, run in runs.items():
            known = self.known[run_id]
            assert (run.status, run.asked_at, run.due_at) == (known.status, known.asked_at, known.due_at)
            assert [attempt.outcome for attempt in run.attempts] == known.ends
            assert run.earlier_attempts == known.earlier
            assert (run.ended_at is not None) == run.status.ended

    @invariant()
    def an_attempt_is_open_exactly_while_a_run_executes(self):
        for run in self.history.listing(limit=-1):
            assert [attempt.number for attempt in run.attempts] == list(range(1, len(run.attempts) + 1))
            open_attempts = [attempt.number for attempt in run.attempts if attempt.ended_at is None]
            is_executing = run.status in (Status.STARTING, Status.RUNNING)
            assert open_attempts == ([len(run.attempts)] if is_executing else [])
            assert all((attempt.outcome is None) == (attempt.ended_at is None) for attempt in run.attempts)

    @invariant()
    def no_round_exceeds_its_budgets(self):
        for run in self.history.listing(limit=-1):
            ends = [attempt.outcome for attempt in run.attempts[run.earlier_attempts :]]
            unbegun = sum(map(could_not_start, ends))
            assert unbegun <= START_BUDGET.attempts
            assert len(ends) - unbegun <= self.jobs[run.job].retry.attempts

    @invariant()
    def success_is_for_ever(self):
        for run in self.history.listing(limit=-1):
            assert self.succeeded.get(run.id, run) == run
            if run.status is Status.SUCCEEDED:
                assert run.attempts[-1].outcome.succeeded
                self.succeeded[run.id] = run

    @invariant()
    def dead_letters_are_the_failures_that_nobody_dealt_with(self):
        letters = {known.id for known in self.known.values() if known.is_dead_letter}
        assert {run.id for run in self.history.dead()} == letters
        assert self.history.dead_count() == len(letters)

    @invariant()
    def each_run_is_one_owners_or_waits_for_anybody(self):
        owned = [(known.id, known.owner) for known in self.known.values() if known.owner and not known.status.ended]
        assert [(one.run_id, one.owner) for one in self.runs.owned()] == sorted(owned)
        free = [known.id for known in self.known.values() if known.status is Status.QUEUED and known.owner is None]
        assert sorted(queued.id for queued in self.runs.queued()) == sorted(free)

    @invariant()
    def no_more_runs_are_active_than_may_overlap(self):
        active = Counter(known.job for known in self.known.values() if known.is_active)
        for name, job in self.jobs.items():
            limit = lifecycle.limit_of(job)
            assert limit is None or active[name] <= limit


Lives.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestWhateverHappensToRuns = Lives.TestCase
