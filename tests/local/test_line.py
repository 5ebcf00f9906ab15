"""The waiting line against a slow and simple one, and what the floor makes of it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.local.hall import Hall
from wherry.local.line import Line
from wherry.local.runs import Queued
from wherry.model import Job, JobFile, Status

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DEADLINES = {"door": 60 * SECOND, "free": 90 * SECOND}


def rules(queued):
    """Jobs whose name begins with `door` have one."""
    length = DEADLINES.get(queued.job)
    return queued.job.startswith("door"), None if length is None else queued.asked_at + length


def a_run(number, job="free job", due_at=NOW, asked_at=NOW, admitted=False):
    return Queued(due_at, f"{number:06}", job, asked_at, admitted=admitted, patient=False)


def take_all(line, places=10**6):
    """Everything that is ready, each run ended at once."""
    taken = []
    while chosen := line.choose(places):
        taken += chosen
        for queued in chosen:
            line.ended(queued.job)
    return taken


# ---------------------------------------------------------------------------------------------------- any interleaving


class Interleavings(RuleBasedStateMachine):
    """The line and a model of it: a run waits for its due time, at a door, or for a place."""

    @initialize()
    def open(self):
        self.line = Line(rules)
        self.now = NOW
        self.number = 0
        self.waiting = {}
        #: Of those that wait: for what, once they were due.
        self.at_door, self.ready = set(), set()
        self.shut = set()
        self.taken = {}
        self.told = set()

    @rule(
        job=st.sampled_from(["door", "door 2", "free", "free 2"]),
        wait=st.sampled_from([-1, 0, 0, 5, 50]),
        admitted=st.booleans(),
    )
    def add(self, job, wait, admitted):
        self.number += 1
        self.enter(a_run(self.number, job, self.now + wait * SECOND, self.now, admitted))

    def enter(self, queued):
        self.line.add(queued)
        self.waiting[queued.id] = queued
        self.told.discard(queued.id)

    def leave(self, run_id):
        del self.waiting[run_id]
        self.at_door.discard(run_id)
        self.ready.discard(run_id)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), wait=st.sampled_from([-1, 0, 5]))
    def add_what_waits_already(self, data, wait):
        queued = self.waiting[data.draw(st.sampled_from(sorted(self.waiting)))]
        self.line.add(queued._replace(due_at=self.now + wait * SECOND, admitted=False))

    @rule(seconds=st.sampled_from([0, 1, 5, 60]))
    def advance(self, seconds):
        self.now += seconds * SECOND
        self.line.advance(self.now)
        for queued in self.waiting.values():
            if queued.due_at <= self.now and queued.id not in self.at_door | self.ready:
                needs_door = queued.job.startswith("door") and not queued.admitted
                (self.at_door if needs_door else self.ready).add(queued.id)

    @rule(data=st.data())
    def ask_at_the_doors(self, data):
        asked = self.line.at_the_doors()
        waiting_at = {self.waiting[run_id].job for run_id in self.at_door}
        assert sorted(queued.job for queued in asked) == sorted(waiting_at - self.shut)
        for queued in asked:
            assert queued == self.waiting[queued.id]
            assert queued.id in self.at_door
            match data.draw(st.sampled_from(["admit", "admit", "block", "remove", "nothing"])):
                case "admit":
                    self.line.admit(queued)
                    self.waiting[queued.id] = queued._replace(admitted=True)
                    self.at_door.discard(queued.id)
                    self.ready.add(queued.id)
                case "block":
                    self.line.block(queued.job)
                    self.shut.add(queued.job)
                case "remove":
                    self.line.remove(queued.id)
                    self.leave(queued.id)

    @rule(job=st.sampled_from(["door", "door 2", None]))
    def unblock(self, job):
        self.line.unblock(job)
        self.shut -= {job} if job else set(self.shut)

    @rule(places=st.integers(0, 6))
    def choose(self, places):
        chosen = self.line.choose(places)
        assert len(chosen) == min(places, len(self.ready))
        for queued in chosen:
            assert queued == self.waiting[queued.id]
            assert queued.id in self.ready
            self.leave(queued.id)
            self.taken[queued.id] = queued

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), what=st.sampled_from(["end", "end", "try again later", "put back"]))
    def end(self, data, what):
        queued = self.taken.pop(data.draw(st.sampled_from(sorted(self.taken))))
        if what == "put back":
            self.line.put_back(queued)
            self.enter(queued)
            return
        self.line.ended(queued.job)
        if what == "try again later":
            self.enter(queued._replace(due_at=self.now + 5 * SECOND, admitted=True))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), comes_back=st.booleans())
    def stop_and_perhaps_ask_again(self, data, comes_back):
        queued = self.waiting[data.draw(st.sampled_from(sorted(self.waiting)))]
        self.line.remove(queued.id)
        self.leave(queued.id)
        if comes_back:
            self.enter(queued._replace(due_at=self.now, asked_at=self.now, admitted=False))

    @rule(job=st.sampled_from(["door", "free", "free 2"]))
    def take_over_an_attempt(self, job):
        self.line.began(job)
        self.number += 1
        self.taken[f"{self.number:06}"] = a_run(self.number, job, self.now, self.now)

    @rule()
    def look_for_passed_deadlines(self):
        expired = {queued.id for queued in self.line.expired(self.now)}
        deadlines = {run_id: rules(queued)[1] for run_id, queued in self.waiting.items()}
        passed = {run_id for run_id, deadline in deadlines.items() if deadline is not None and deadline <= self.now}
        assert expired | self.told >= passed >= expired
        self.told |= expired

    @invariant()
    def nothing_is_lost_and_nothing_appears(self):
        assert len(self.line) == len(self.waiting)
        assert all(run_id in self.line for run_id in self.waiting)
        assert not any(run_id in self.line for run_id in self.taken)

    @invariant()
    def the_next_time_is_not_after_the_next_thing_that_time_alone_brings(self):
        times = [queued.due_at for queued in self.waiting.values() if queued.id not in self.at_door | self.ready]
        times += [rules(q)[1] for q in self.waiting.values() if rules(q)[1] is not None and q.id not in self.told]
        next_time = self.line.next_time()
        assert not times or next_time <= min(times)

    def teardown(self):
        """In the end everything comes out, once."""
        if not hasattr(self, "line"):
            return
        for queued in self.taken.values():
            self.line.ended(queued.job)
        self.line.unblock()
        self.line.advance(datetime.max.replace(tzinfo=UTC))
        while doors := self.line.at_the_doors():
            for queued in doors:
                self.line.admit(queued)
        assert sorted(queued.id for queued in take_all(self.line, places=3)) == sorted(self.waiting)
        assert len(self.line) == 0


Interleavings.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestNothingIsLostOrGivenTwice = Interleavings.TestCase


# ---------------------------------------------------------------------------------------------------------- whose turn


@given(st.lists(st.integers(-50, 0), max_size=40), st.integers(1, 5), st.randoms(use_true_random=False))
def test_within_a_job_the_first_that_is_due_is_the_first_to_go(dues, places, chance):
    waiting = [a_run(number, due_at=NOW + due * SECOND) for number, due in enumerate(dues)]
    line = Line(rules)
    for queued in chance.sample(waiting, len(waiting)):
        line.add(queued)
    line.advance(NOW)
    assert take_all(line, places) == sorted(waiting)


@given(st.lists(st.integers(-50, 0), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_at_a_door_the_first_that_is_due_is_the_first_to_be_asked(dues, chance):
    waiting = [a_run(number, "door", NOW + due * SECOND) for number, due in enumerate(dues)]
    line = Line(rules)
    for queued in chance.sample(waiting, len(waiting)):
        line.add(queued)
    line.advance(NOW)
    asked = []
    while doors := line.at_the_doors():
        asked += doors
        line.admit(doors[0])
    assert asked == sorted(waiting)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.lists(st.integers(1, 10), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
def test_jobs_that_want_more_have_equal_parts_of_the_places(lengths, places, chance):
    names = [job for number, length in enumerate(lengths) for job in [f"job {number}"] * length]
    chance.shuffle(names)
    line = Line(rules)
    for number, job in enumerate(names):
        line.add(a_run(number, job))
    line.advance(NOW)
    under_way, left = Counter(), Counter(names)
    for some in places:
        for queued in line.choose(some):
            under_way[queued.job] += 1
            left[queued.job] -= 1
        wanting = [under_way[job] for job in left if left[job]]
        assert not wanting or max(wanting) - min(wanting) <= 1
        assert not wanting or max(under_way.values()) <= min(wanting) + 1


def test_a_job_with_one_run_does_not_stand_behind_a_job_with_thousands():
    line = Line(rules)
    for number in range(5000):
        line.add(a_run(number, "many"))
    line.advance(NOW)
    first = line.choose(4)
    line.add(a_run(5000, "one"))
    line.advance(NOW)
    line.ended(first[0].job)
    assert [queued.job for queued in line.choose(1)] == ["one"]


def test_nobody_passes_a_shut_door():
    line = Line(rules)
    for number in range(3):
        line.add(a_run(number, "door"))
    line.add(a_run(3, "door", admitted=True))
    line.advance(NOW)
    line.block("door")
    assert line.at_the_doors() == []
    assert [queued.id for queued in line.choose(9)] == ["000003"]  # it was admitted for an attempt before
    line.unblock("door")
    assert [queued.id for queued in line.at_the_doors()] == ["000000"]


def test_a_stopped_run_that_is_asked_for_again_stands_at_its_door_once():
    line = Line(rules)
    line.add(a_run(1, "door"))
    line.advance(NOW)
    line.remove("000001")
    line.add(a_run(1, "door"))
    line.advance(NOW)
    line.admit(line.at_the_doors()[0])
    assert line.at_the_doors() == []


def test_a_run_waits_for_a_place_also_when_an_attempt_of_its_job_is_taken_over():
    line = Line(rules)
    line.add(a_run(1))
    line.advance(NOW)
    line.began("free job")
    assert [queued.id for queued in line.choose(1)] == ["000001"]


@given(st.lists(st.tuples(st.sampled_from(["free", "door", "free job"]), st.integers(-200, 0)), max_size=20))
def test_exactly_what_waits_beyond_its_deadline_has_expired(asked):
    line = Line(rules)
    for number, (job, age) in enumerate(asked):
        line.add(a_run(number, job, asked_at=NOW + age * SECOND))
    line.advance(NOW)
    taken = {queued.id for queued in line.choose(2)}
    expected = {
        f"{number:06}"
        for number, (job, age) in enumerate(asked)
        if job in DEADLINES and age * SECOND + DEADLINES[job] <= timedelta(0)
    }
    assert {queued.id for queued in line.expired(NOW)} == expected - taken


def test_a_run_that_is_asked_for_again_has_a_fresh_deadline():
    line = Line(rules)
    line.add(a_run(1, "free"))
    line.remove("000001")
    line.add(a_run(1, "free", NOW + 80 * SECOND, asked_at=NOW + 80 * SECOND))
    assert line.expired(NOW + 90 * SECOND) == []
    assert [queued.id for queued in line.expired(NOW + 170 * SECOND)] == ["000001"]


# --------------------------------------------------------------------------------------------------------------- sizes


def run_through(line, job, count, places):
    """So many runs of a job, one after the other; gives the most entries that the line held of anything."""
    for number in range(count):
        line.add(a_run(number, job))
    line.advance(NOW)
    under_way, most, done = line.choose(places), 0, 0
    while under_way:
        line.ended(under_way.pop().job)
        under_way += line.choose(places - len(under_way))
        most = max(most, len(line._turns))
        done += 1
    assert done == count
    return most


def test_a_hundred_thousand_runs_leave_nothing_behind():
    line = Line(rules)
    assert run_through(line, "free job", 100_000, places=4) <= 200
    assert not len(line)
    assert not line._later
    assert not line._ready
    assert not line._under_way


def test_runs_that_have_gone_through_leave_no_deadlines_behind():
    line = Line(rules)
    for number in range(10_000):
        line.add(a_run(number, "free"))
        line.advance(NOW)
        line.ended(line.choose(1)[0].job)
    assert len(line._deadlines) <= 200
    line.add(a_run(10_000, "free"))
    assert [queued.id for queued in line.expired(NOW + DEADLINES["free"])] == ["010000"]


def test_stopped_runs_leave_nothing_at_a_shut_door():
    line = Line(rules)
    line.block("door 2")
    for number in range(10_000):
        line.add(a_run(number, "door 2"))
        line.advance(NOW)
        line.remove(f"{number:06}")
    line.unblock()
    assert line.at_the_doors() == []
    assert not line._doors


# --------------------------------------------------------------------------------------------------------- on the floor


@pytest.fixture
def hall(tmp_path):
    halls = []

    def hall(places=1, **job):
        halls.append(
            Hall(
                tmp_path,
                JobFile(
                    path=str(tmp_path / "wherry.yaml"),
                    app="test",
                    jobs={"job": Job(name="job", command=("true",), **job)},
                ),
                places,
            )
        )
        return halls[-1]

    yield hall
    for one in halls:
        one.close()


def test_a_run_whose_deadline_passes_while_it_waits_has_timed_out(hall):
    hall = hall(places=0, deadline=timedelta(minutes=1))
    run_id = hall.ask_for("job")
    hall.turn()
    hall.now += timedelta(minutes=1)
    hall.turn()
    run = hall.history.get(run_id)
    assert (run.status, run.reason) == (Status.TIMED_OUT, "`deadline: 1m` passed while it waited")
    assert len(hall.floor.line) == 0


def test_another_round_has_a_deadline_of_its_own(hall):
    hall = hall(places=0, deadline=timedelta(minutes=1))
    run_id = hall.ask_for("job")
    hall.turn()
    hall.floor.stop(run_id)
    hall.now += timedelta(seconds=50)
    assert hall.intake.again(run_id)
    hall.turn()
    hall.now += timedelta(seconds=10)
    hall.turn()
    assert hall.history.get(run_id).status is Status.QUEUED
    hall.now += timedelta(seconds=50)
    hall.turn()
    assert hall.history.get(run_id).status is Status.TIMED_OUT


def test_a_passed_deadline_is_not_forgotten_when_the_store_refuses_it_once(hall, monkeypatch):
    hall = hall(places=0, deadline=timedelta(minutes=1))
    run_id = hall.ask_for("job")
    hall.turn()
    hall.now += timedelta(minutes=1)
    hall.fail_a_turn(monkeypatch)
    hall.turn()
    assert hall.history.get(run_id).status is Status.TIMED_OUT


def test_what_the_store_refuses_to_claim_is_claimed_the_next_time(hall, monkeypatch):
    hall = hall(overlap="skip")
    run_id = hall.ask_for("job")
    hall.fail_a_turn(monkeypatch)
    hall.turn()
    hall.turn()
    assert hall.idle.began == [run_id]


def test_a_run_that_somebody_else_has_ended_does_not_stay_at_the_door(hall):
    hall = hall(places=9, overlap="skip")
    first, second = hall.ask_for("job"), hall.ask_for("job")
    hall.turn()
    hall.turn()
    assert hall.idle.began == [first]
    assert hall.history.get(second).status is Status.SKIPPED
    third = hall.ask_for("job")
    hall.database.write(lambda tx: hall.runs.close(tx, third, Status.STOPPED, "by another process", hall.now))
    hall.turn()
    assert third not in hall.floor.line
    assert hall.floor.line.at_the_doors() == []


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_the_line_gives_every_run_to_exactly_one_place(chance, places):
    line = Line(rules)
    names = [chance.choice(["free", "free 2", "door"]) for _ in range(200)]
    for number, job in enumerate(names):
        line.add(a_run(number, job, NOW + chance.randrange(5) * SECOND))
    seen, under_way, now = [], [], NOW
    while len(seen) < len(names):
        now += SECOND
        line.advance(now)
        for queued in line.at_the_doors():
            line.admit(queued)
        chosen = line.choose(places - len(under_way))
        under_way += chosen
        seen += chosen
        assert len(under_way) <= places
        chance.shuffle(under_way)
        line.ended(under_way.pop().job)
    assert sorted(queued.id for queued in seen) == [f"{number:06}" for number in range(len(names))]


def test_a_run_that_was_let_in_does_not_wait_for_the_next_alarm(hall):
    """At its door it was admitted; it takes a free place in the very next turn."""
    floor = hall(overlap="wait")
    run_id = floor.ask_for("job")
    floor.turn()
    slept = []
    floor.floor._poll.close()
    floor.floor._poll = SimpleNamespace(poll=lambda seconds: slept.append(seconds) or [], close=lambda: None)
    floor.floor.sleep(10.0)
    assert slept == [0.0]
    floor.turn()
    assert floor.idle.began == [run_id]
    floor.floor.sleep(10.0)
    assert slept[1] > 0
