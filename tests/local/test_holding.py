"""Messages and their runs under everything that may happen to both: the real store, time as an argument."""

from __future__ import annotations

import json
import shutil
import tempfile
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wherry import messages
from wherry.lifecycle import is_receive
from wherry.local.database import Database
from wherry.local.history import History
from wherry.local.holding import Holding
from wherry.local.queue_records import NewMessage
from wherry.local.queues import Queues
from wherry.local.runs import Queued, Runs
from wherry.model import Ending, Job, JobFile, Outcome, Queue, QueueTrigger, Status

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ME = "1:1"
TEST = messages.body_of(messages.test_of("b", request_id="R", now=NOW))

ends = st.sampled_from(
    [
        *[Outcome(ending=Ending.EXITED, exit_code=code) for code in (0, 1, 1, 65, 75)],
        Outcome(ending=Ending.LOST),
        Outcome(ending=Ending.STOPPED, reason="stopped on request"),
        Outcome(ending=Ending.COULD_NOT_START, reason="no such value", unfit=True),
        Outcome(ending=Ending.COULD_NOT_START, reason="no such program"),
        Outcome(ending=Ending.COULD_NOT_START, passing=True),
    ]
)
bodies = st.sampled_from(["one", '{"n": 1}', TEST])


class Work(RuleBasedStateMachine):
    """One queue, standard or FIFO, a job that takes from it singly or in batches, and clients of SQS beside it."""

    @initialize(batch=st.sampled_from([1, 1, 3]), fifo=st.booleans(), receives=st.integers(1, 3))
    def open(self, batch, fifo, receives):
        self.queue = Queue(name="q.fifo" if fifo else "q", max_receives=receives)
        trigger = QueueTrigger(
            queue=self.queue.name, batch=batch, drop=frozenset({65}), give_back=frozenset({75}), max_workers=3
        )
        self.job = Job(name="job", command=("true",), triggers=(trigger,))
        jobfile = JobFile(
            path="/wherry.yaml", app="a", queues={self.queue.name: self.queue}, jobs={self.job.name: self.job}
        )
        self.folder = tempfile.mkdtemp()
        self.now = NOW
        self.database = Database(f"{self.folder}/wherry.db")
        self.runs, self.history = Runs(self.database), History(self.database)
        self.queues = Queues(self.database, jobfile.queues, lambda: self.now, lambda _: None)
        self.holding = Holding(lambda: jobfile, self.database, self.queues, self.runs)
        self.sent: set[str] = set()
        #: What was deleted, and by whom: it is not there any more.
        self.gone: dict[str, str] = {}
        self.errors: list[BaseException] = []
        self.number = 0

    def teardown(self):
        if hasattr(self, "database"):
            assert self.errors == []
            self.database.close()
            shutil.rmtree(self.folder)

    def write(self, work):
        return self.database.write(work)

    def rows(self):
        with self.database.reading() as connection:
            return {row["id"]: row for row in connection.execute("select * from messages")}

    def some_run(self, data, *statuses):
        ids = sorted(run.id for run in self.history.listing(limit=-1) if run.status in statuses)
        return self.history.get(data.draw(st.sampled_from(ids))) if ids else None

    def held_by(self, run):
        return {row["id"] for row in self.rows().values() if row["holder"] == run.id}

    # --------------------------------------------------------------------------------------------------- messages

    @rule(body=bodies, group=st.sampled_from("ab"))
    def send(self, body, group):
        self.number += 1
        fifo = {"group": group, "deduplication_id": str(self.number)} if self.queue.is_fifo else {}
        (sent,) = self.queues.send(self.queue.name, [NewMessage(body=body, **fifo)])
        self.sent.add(sent.id)

    @rule(dead=st.booleans(), what=st.sampled_from(["delete", "keep", "give back"]))
    def a_client_receives(self, dead, what):
        name = self.queue.dead_letters if dead else self.queue.name
        for received in self.queues.receive(name, 1, visibility=timedelta(seconds=5)):
            assert self.rows()[received.id]["holder"] is None
            if what == "delete":
                assert self.queues.delete(name, [received.receipt]) == [None]
                self.gone[received.id] = "client"
            elif what == "give back":
                self.queues.change_visibility(name, [(received.receipt, timedelta(0))])

    @rule()
    def redrive(self):
        for moved in self.queues.move(self.queue.dead_letters):
            self.gone[moved.old_id] = "moved"
            self.sent.add(moved.new_id)

    @rule()
    def purge_the_dead_letters(self):
        letters = {name for name, row in self.rows().items() if row["queue"] == self.queue.dead_letters}
        assert self.queues.purge(self.queue.dead_letters) == len(letters)
        self.gone |= dict.fromkeys(letters, "purged")

    @rule()
    def purge(self):
        there = {name for name, row in self.rows().items() if row["queue"] == self.queue.name}
        assert self.queues.purge(self.queue.name) == len(there)
        self.gone |= dict.fromkeys(there, "purged")

    @rule(seconds=st.sampled_from([1, 6, 1000]))
    def time_goes_by(self, seconds):
        self.now += timedelta(seconds=seconds)

    # ------------------------------------------------------------------------------------------------------- runs

    @rule()
    def take(self):
        before = set(self.rows())
        run = self.write(lambda tx: self.holding.take(tx, self.queue.name, ME, self.now, self.errors.append))
        self.gone |= dict.fromkeys(before - set(self.rows()), "a test, or worked off before")
        if run is None:
            return
        held = self.held_by(run)
        trigger = self.job.triggers[0]
        assert 1 <= len(held) <= trigger.batch
        assert run.status is Status.STARTING
        assert (run.event.detail_type == messages.MANY) == (trigger.batch > 1)

    @precondition(lambda self: hasattr(self, "job"))
    @rule(data=st.data(), outcome=ends)
    def end(self, data, outcome):
        run = self.some_run(data, Status.STARTING)
        if run is None:
            return
        last = run.attempts[-1]
        run = _with(run, attempts=(*run.attempts[:-1], _with(last, ended_at=self.now, outcome=outcome)))
        decision = self.holding.judge(run, outcome, self.job, self.now, 0.0, None)
        held = self.held_by(run)

        def work(transaction):
            self.runs.decide(transaction, run, outcome, decision, now=self.now)
            self.holding.settle(transaction, run.id, decision.fate, self.now)

        self.write(work)
        if decision.status is Status.SUCCEEDED or outcome.exit_code == 65:
            self.gone |= dict.fromkeys(held, "worked off")

    @rule(data=st.data(), is_hopeless=st.booleans())
    def end_in_parts(self, data, is_hopeless):
        """Some of a batch's objects are missing: the run gives back those that do not fare as the one of its cause."""
        run = self.some_run(data, Status.STARTING)
        held = self.held_by(run) if run else set()
        others = sorted(name for name in held if messages.cause_of(self.queue.name, name) != run.cause)
        if len(held) < 2:
            return
        apart = data.draw(st.sets(st.sampled_from(others), min_size=1, max_size=len(held) - 1))
        outcome = Outcome(ending=Ending.COULD_NOT_START, reason="no object", unfit=True, passing=not is_hopeless)
        last = _with(run.attempts[-1], ended_at=self.now, outcome=outcome)
        decision = self.holding.judge(
            _with(run, attempts=(*run.attempts[:-1], last)), outcome, self.job, self.now, 0.0, None
        )
        before = {name: row["receives"] for name, row in self.rows().items()}

        def work(transaction):
            self.runs.decide(transaction, run, outcome, decision, now=self.now)
            self.holding.part(transaction, run.id, apart, self.now)
            self.holding.settle(transaction, run.id, decision.fate, self.now)

        self.write(work)
        rows = self.rows()
        assert all(rows[name]["holder"] is None and rows[name]["letter_of"] is None for name in apart)
        assert all(rows[name]["receives"] == before[name] - 1 for name in apart)
        kept = held - apart
        assert {rows[name]["letter_of" if decision.status.ended else "holder"] for name in kept} == {run.id}
        assert decision.status is (Status.FAILED if is_hopeless or decision.status.ended else Status.QUEUED)
        told = {one["message-id"] for one in self.history.get(run.id).event.detail["messages"]}
        assert kept <= told
        assert not told & apart

    @rule(data=st.data())
    def another_attempt(self, data):
        run = self.some_run(data, Status.QUEUED)
        if run is None:
            return
        self.now = max(self.now, run.due_at)
        if not self.write(lambda tx: self.holding.may_begin(tx, run.id, self.queue.name, self.now)):
            return
        queued = Queued.of(run)
        if self.write(lambda tx: self.holding.obsolete(tx, queued)):
            assert not self.held_by(run)
            self.write(lambda tx: self.holding.close(tx, run.id, Status.SKIPPED, "purged", self.now))
            return
        assert self.held_by(run) or run.earlier_attempts
        receives = {name: row["receives"] for name, row in self.rows().items() if row["holder"] == run.id}

        def work(transaction):
            claimed = self.runs.claim(transaction, run.id, ME, self.now)
            assert claimed
            self.holding.again(transaction, claimed)

        self.write(work)
        further = len(run.attempts) > run.earlier_attempts and is_receive(run.attempts[-1].outcome)
        assert all(self.rows()[name]["receives"] == count + further for name, count in receives.items())

    @rule(data=st.data())
    def stop_what_waits(self, data):
        run = self.some_run(data, Status.QUEUED)
        if run:
            self.write(lambda tx: self.holding.close(tx, run.id, Status.STOPPED, "stopped", self.now))

    @rule(data=st.data())
    def give_back_what_waits(self, data):
        """As for a job that takes from the queue no more, for a while."""
        run = self.some_run(data, Status.QUEUED)
        if run:
            held = self.held_by(run)
            self.write(lambda tx: self.holding.close(tx, run.id, Status.SKIPPED, "given back", self.now))
            assert all(self.rows()[name]["holder"] is None for name in held)

    @rule(data=st.data())
    def retry(self, data):
        run = self.some_run(data, Status.FAILED, Status.STOPPED, Status.SKIPPED)
        if run is None:
            return
        letters = {name for name, row in self.rows().items() if row["letter_of"] == run.id}

        def work(transaction):
            assert self.runs.another_round(transaction, run.id, self.now)
            self.holding.hold_again(transaction, self.runs.read(transaction, run.id))

        self.write(work)
        assert self.held_by(run) == letters

    @rule(data=st.data())
    def take_off_the_list(self, data):
        dead = sorted(run.id for run in self.history.dead())
        if dead:
            chosen = data.draw(st.sampled_from(dead))
            self.gone |= dict.fromkeys(
                [name for name, row in self.rows().items() if row["letter_of"] == chosen], "taken off"
            )
            self.runs.bury([chosen])

    # -------------------------------------------------------------------------------------------------- invariants

    @invariant()
    def nothing_is_lost_and_nothing_comes_back(self):
        if hasattr(self, "database"):
            assert set(self.rows()) == self.sent - self.gone.keys()

    @invariant()
    def held_are_the_messages_of_open_runs(self):
        if not hasattr(self, "database"):
            return
        statuses = {run.id: run.status for run in self.history.listing(limit=-1)}
        for row in self.rows().values():
            if row["holder"] is not None:
                assert not statuses[row["holder"]].ended
                assert row["queue"] == self.queue.name

    @invariant()
    def a_dead_letter_is_one_for_everybody(self):
        if not hasattr(self, "database"):
            return
        letters = {row["letter_of"] for row in self.rows().values() if row["letter_of"] is not None}
        dead = {run.id for run in self.history.dead()}
        assert letters <= dead
        # A run whose messages are gone can be retried, from its event, and fail again.
        assert all(self.history.get(run_id).earlier_attempts for run_id in dead - letters)

    @invariant()
    def a_group_has_one_run_at_work(self):
        if not hasattr(self, "database") or not self.queue.is_fifo:
            return
        at_work = {run.id for run in self.history.listing(statuses=[Status.STARTING], limit=-1)}
        held = [(row["group_id"], row["holder"]) for row in self.rows().values() if row["holder"] in at_work]
        for group in "ab":
            assert len({holder for name, holder in held if name == group}) <= 1

    @invariant()
    def no_two_wait_for_each_other(self):
        """When nobody is at work, some run that waits may begin."""
        if not hasattr(self, "database") or not self.queue.is_fifo:
            return
        waiting = [run.id for run in self.history.listing(statuses=[Status.QUEUED], limit=-1)]
        busy = self.history.listing(statuses=[Status.STARTING], limit=-1) or self.clients_at_work()
        if waiting and not busy:
            may = [
                self.write(lambda tx, one=one: self.holding.may_begin(tx, one, self.queue.name, self.now))
                for one in waiting
            ]
            assert any(may)

    def clients_at_work(self):
        hidden = self.now.timestamp() * 1000
        return [row for row in self.rows().values() if row["holder"] is None and row["visible_ms"] > hidden]

    @invariant()
    def a_message_alone_has_one_run(self):
        if hasattr(self, "database"):
            told = [json.dumps(run.cause) for run in self.history.listing(limit=-1)]
            assert len(told) == len(set(told))


def _with(record, **changes):
    return type(record)(**{**vars(record), **changes})


Work.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestWork = Work.TestCase
