"""How messages get workers: as places and `workers.max` allow, beside other jobs, at no cost while there are none."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.local.hall import Hall
from wherry.errors import WherryError
from wherry.local.queue_records import NewMessage
from wherry.model import Job, JobFile, Queue, QueueTrigger, Retry, Status

SECOND = timedelta(seconds=1)


def taker(name, queue, workers, **more):
    trigger = QueueTrigger(queue=queue, max_workers=workers)
    return Job(name=name, command=("true",), triggers=(trigger,), **more)


@pytest.fixture
def hall(tmp_path):
    halls = []

    def hall(places, *jobs, queues=("work",)):
        jobfile = JobFile(
            path=str(tmp_path / "wherry.yaml"),
            app="test",
            jobs={job.name: job for job in jobs},
            queues={name: Queue(name=name) for name in queues},
        )
        halls.append(Hall(tmp_path, jobfile, places))
        return halls[-1]

    yield hall
    for one in halls:
        assert one.errors == []
        one.close()


def send(hall, queue, count=1, **more):
    hall.queues.send(queue, [NewMessage(body=str(number), **more) for number in range(count)])


def jobs_under_way(hall):
    return [run.job for run in hall.idle.under_way]


def test_a_worker_takes_one_message_and_the_others_wait(hall):
    hall = hall(10, taker("job", "work", 3))
    send(hall, "work", 1000)
    hall.turn()
    assert jobs_under_way(hall) == ["job"] * 3
    assert len(hall.history.listing(limit=-1)) == 3
    assert hall.queues.counts("work")[:2] == (997, 3)
    hall.end(hall.idle.began[0])
    hall.turn()
    # In the same transaction: what ended is finished, and its worker has taken the next one.
    assert len(hall.idle.began) == 4
    assert hall.queues.counts("work")[:2] == (996, 3)


def test_a_failed_message_comes_back_to_a_free_worker_alone(hall):
    """Between its attempts a message keeps no worker; when it is due it waits for one, before new messages."""
    hall = hall(10, taker("job", "work", 1, retry=Retry(backoff=SECOND)))
    send(hall, "work", 3)
    hall.turn()
    (first,) = hall.idle.began
    hall.end(first, 1)
    hall.turn()
    assert len(hall.idle.began) == 2  # the second message is worked on meanwhile
    second = hall.idle.began[1]
    hall.now += SECOND
    hall.turn()
    hall.turn()
    assert hall.history.get(first).status is Status.QUEUED
    assert len(hall.idle.began) == 2
    assert hall.floor.line.has_ready is False  # nothing that could have a place: the floor sleeps
    hall.end(second)
    hall.turn()
    assert hall.idle.began[2] == first


def test_queues_and_other_jobs_share_the_places(hall):
    """Whoever has least under way is next, however much waits."""
    hall = hall(4, taker("a", "one", 9), taker("b", "two", 9), Job(name="c", command=("true",)), queues=("one", "two"))
    send(hall, "one", 50)
    for _ in range(50):
        hall.ask_for("c")
    hall.turn()
    assert sorted(jobs_under_way(hall)) == ["a", "a", "c", "c"]
    send(hall, "two", 50)
    for _ in range(30):
        hall.end(hall.idle.under_way[0].id)
        hall.turn()
        assert len(hall.idle.under_way) == 4
    under_way = jobs_under_way(hall)
    assert {under_way.count(job) for job in "abc"} <= {1, 2}


def test_a_turn_without_messages_costs_nothing(hall, monkeypatch):
    hall = hall(4, taker("job", "work", 2))
    send(hall, "work")
    hall.turn()
    hall.end(hall.idle.began[0])
    hall.turn()
    hall.turn()
    asked = []
    monkeypatch.setattr(hall.queues, "has_waiting", asked.append)
    monkeypatch.setattr(hall.database, "write", lambda *_: asked.append("write"))
    for _ in range(10):
        hall.turn()
    assert asked == []


def test_what_is_delayed_is_taken_when_it_is_due(hall):
    hall = hall(4, taker("job", "work", 2))
    send(hall, "work", delay=10 * SECOND)
    hall.turn()
    assert hall.idle.began == []
    assert 9 < hall.floor._seconds_to_next() <= 10
    hall.now += 10 * SECOND
    hall.turn()
    assert len(hall.idle.began) == 1


def test_what_is_due_while_no_place_is_free_waits_without_a_stir(hall):
    """The floor sleeps until a place is free, or for ever when the engine ends: it does not look again and again."""
    hall = hall(1, taker("job", "work", 2), Job(name="long", command=("true",)))
    hall.ask_for("long")
    hall.turn()
    send(hall, "work", delay=10 * SECOND)
    hall.turn()
    hall.floor.look_at_queues()
    hall.turn()
    hall.now += 11 * SECOND
    hall.turn()
    assert jobs_under_way(hall) == ["long"]
    assert hall.floor._seconds_to_next() > 60
    hall.floor.draining = True
    hall.turn()
    assert hall.floor._seconds_to_next() > 60
    hall.floor.draining = False
    hall.end(hall.idle.began[0])
    hall.turn()
    assert jobs_under_way(hall) == ["job"]


def test_a_store_that_cannot_be_read_loses_nothing_of_the_turn(hall, monkeypatch):
    hall = hall(2, taker("job", "work", 1), Job(name="other", command=("true",)))
    other = hall.ask_for("other")
    hall.turn()
    send(hall, "work")
    hall.end(hall.idle.began[0])

    def broken(queue):
        raise WherryError("no descriptor is left")

    with monkeypatch.context() as patch:
        patch.setattr(hall.queues, "has_waiting", broken)
        hall.turn()
    assert [error.message for error in hall.errors] == ["no descriptor is left"]
    hall.errors.clear()
    assert hall.floor._is_resting()  # it does not ask again at once
    assert hall.history.get(other).status is Status.SUCCEEDED
    hall.turn()
    assert jobs_under_way(hall) == ["job"]


def test_nothing_is_taken_twice_or_forgotten_when_the_store_refuses_a_turn(hall, monkeypatch):
    hall = hall(2, taker("job", "work", 2))
    send(hall, "work", 4)
    hall.turn()
    for run_id in list(hall.idle.began):
        hall.end(run_id)
    hall.fail_a_turn(monkeypatch)
    hall.errors.clear()
    assert hall.queues.counts("work")[:2] == (2, 2)
    hall.turn()
    assert hall.queues.counts("work")[:2] == (0, 2)
    for run_id in hall.idle.began[2:]:
        hall.end(run_id)
    hall.turn()
    hall.turn()
    assert hall.floor.is_idle
    assert hall.queues.counts("work")[:2] == (0, 0)
    assert [run.status for run in hall.history.listing(limit=-1)] == [Status.SUCCEEDED] * 4


def test_a_draining_floor_takes_nothing(hall):
    hall = hall(2, taker("job", "work", 2))
    hall.floor.draining = True
    send(hall, "work")
    hall.turn()
    assert hall.idle.began == []
    assert hall.queues.counts("work").waiting == 1


def test_more_workers_are_there_as_soon_as_the_job_file_says_so(hall):
    hall = hall(9, taker("job", "work", 1, retry=Retry(backoff=SECOND)))
    send(hall, "work", 5)
    hall.turn()
    hall.end(hall.idle.began[0], 1)
    hall.turn()
    hall.now += SECOND
    hall.turn()  # the failed one waits for the only worker
    assert len(hall.idle.under_way) == 1
    hall.jobfile = replace(hall.jobfile, jobs={"job": taker("job", "work", 3)})
    hall.floor.line.unblock()
    hall.floor.look_at_queues()
    hall.turn()
    assert len(hall.idle.under_way) == 3
    assert hall.idle.began[0] in [run.id for run in hall.idle.under_way]


def test_a_message_that_no_run_can_be_made_of_stops_nobody(hall, monkeypatch):
    hall = hall(2, taker("job", "work", 2))
    make = hall.holding._begin

    def stumble(transaction, run_id, job, trigger, work, owner, now):
        if work[0].body == "0":
            raise RecursionError("too deep")
        return make(transaction, run_id, job, trigger, work, owner, now)

    monkeypatch.setattr(hall.holding, "_begin", stumble)
    send(hall, "work", 2)
    hall.turn()
    assert [run.event.detail["body"] for run in hall.idle.under_way] == [1]
    assert hall.queues.counts("work-dead-letters").waiting == 1
    assert [type(error) for error in hall.errors] == [RecursionError]
    hall.errors.clear()


def waits(hall):
    return [run for run in hall.history.listing(limit=-1) if run.status is Status.QUEUED]


def stumble_for(hall, seconds):
    """For so long no attempt can start; gives after how many seconds one was tried."""
    tried, start = [], hall.now
    while hall.now - start < seconds * SECOND:
        hall.floor.line.unblock()  # as the engine does each second
        hall.turn()
        while hall.idle.under_way:
            tried.append((hall.now - start).total_seconds())
            for run in hall.idle.under_way:
                hall.end_unstarted(run.id)
            hall.turn()
        hall.now += SECOND
    return tried


def test_one_mistake_does_not_use_up_a_queue(hall):
    """Its messages wait, and one alone is tried now and then: none becomes a dead letter, however long that lasts."""
    hall = hall(10, taker("job", "work", 3))
    send(hall, "work", 1000)
    tried = stumble_for(hall, 3600)
    assert tried[:6] == [0, 1, 3, 7, 15, 31]
    assert all(290 < second - first < 310 for first, second in pairwise(tried[9:]))
    assert hall.queues.counts("work-dead-letters").waiting == 0
    assert hall.history.dead() == []
    assert sum(hall.queues.counts("work")[:2]) == 1000
    assert len(waits(hall)) < 30
    assert not hall.floor.worker.under_way
    # It is said once.
    assert [error.message for error in hall.errors] == [
        "the workers of queue `work` could not start: there is no program `x` on PATH"
    ]
    hall.errors.clear()
    # The first attempt that begins lets all the others begin as well.
    hall.now += 600 * SECOND
    hall.floor.line.unblock()
    hall.turn()
    assert len(hall.idle.under_way) == 1
    hall.end(hall.idle.under_way[0].id)
    hall.turn()
    assert len(hall.idle.under_way) == 3


def test_a_queue_that_rests_keeps_nobody_busy(hall):
    hall = hall(10, taker("job", "work", 3))
    send(hall, "work", 10)
    hall.turn()
    for run in hall.idle.under_way:
        hall.end_unstarted(run.id)
    hall.turn()
    hall.errors.clear()
    assert not hall.floor.line.has_ready
    assert not hall.floor._takers.wants_turn(hall.floor.line.under_way)


def test_one_message_that_cannot_start_does_not_hold_up_the_others(hall):
    hall = hall(10, taker("job", "work", 1))
    send(hall, "work", 3)
    hall.turn()
    (bad,) = hall.idle.began
    hall.end_unstarted(bad)
    hall.turn()
    hall.now += SECOND
    hall.floor.line.unblock()
    hall.turn()
    assert len(hall.idle.began) == 2
    assert hall.idle.began[1] != bad
    hall.errors.clear()


def test_what_the_event_lacks_is_the_messages_own_fault(hall):
    hall = hall(10, taker("job", "work", 1))
    send(hall, "work", 2)
    hall.turn()
    hall.end_unstarted(hall.idle.began[0], unfit=True)
    hall.turn()
    assert hall.queues.counts("work-dead-letters").waiting == 1
    assert len(hall.idle.began) == 2


def failed_once(hall):
    """The run of a message that waits for its second attempt."""
    send(hall, "work")
    hall.turn()
    (run_id,) = hall.idle.began
    hall.end(run_id, 1)
    hall.turn()
    assert hall.history.get(run_id).status is Status.QUEUED
    return run_id


def come_due(hall):
    hall.now += SECOND
    hall.turn()
    hall.turn()


def polling(job):
    return replace(job, triggers=(replace(job.triggers[0], mode="self-polling"),))


@pytest.mark.parametrize(
    "after",
    [polling(taker("job", "work", 1)), replace(taker("job", "work", 1), triggers=()), taker("other", "work", 1)],
    ids=["polls by itself", "no trigger", "another job"],
)
def test_a_run_ends_whose_job_takes_its_queues_messages_no_more(hall, after):
    hall = hall(4, taker("job", "work", 1, retry=Retry(backoff=SECOND)))
    run_id = failed_once(hall)
    hall.jobfile = replace(hall.jobfile, jobs={after.name: after})
    come_due(hall)
    run = hall.history.get(run_id)
    said = "job `job` does not take the messages of queue `work` one by one any more: given back"
    assert (run.status, run.reason, len(run.attempts)) == (Status.SKIPPED, said, 1)
    assert hall.history.dead() == []
    assert hall.idle.began.count(run_id) == 1
    taken = [run.job for run in hall.idle.under_way]
    assert taken == (["other"] if after.name == "other" else [])
    (message,) = hall.queues.peek("work", 10)
    assert (message.state, message.receives) == (("in flight", 2) if taken else ("waiting", 1))


def test_a_message_that_was_given_back_has_its_run_again(hall):
    hall = hall(4, taker("job", "work", 1, retry=Retry(backoff=SECOND)))
    run_id = failed_once(hall)
    managed, hall.jobfile = hall.jobfile, replace(hall.jobfile, jobs={"job": polling(taker("job", "work", 1))})
    come_due(hall)
    assert hall.history.get(run_id).status is Status.SKIPPED
    hall.jobfile = managed
    hall.floor.look_at_queues()
    hall.turn()
    for queued in hall.runs.queued():  # as the engine reads the store
        hall.floor.line.add(queued)
    hall.turn()
    assert hall.idle.began == [run_id] * 2
    hall.end(run_id)
    hall.turn()
    assert hall.history.get(run_id).status is Status.SUCCEEDED
    assert hall.queues.counts("work")[:2] == (0, 0)


def test_a_run_ends_whose_message_was_purged(hall):
    hall = hall(4, taker("job", "work", 1, retry=Retry(backoff=SECOND)))
    run_id = failed_once(hall)
    assert hall.queues.purge("work") == 1
    come_due(hall)
    run = hall.history.get(run_id)
    assert (run.status, run.reason) == (
        Status.SKIPPED,
        "its message is not in queue `work` any more: it was purged or deleted",
    )
    assert hall.history.dead() == []
    assert hall.idle.began == [run_id]
    assert hall.floor.is_idle


def test_a_retry_by_hand_needs_no_message(hall):
    hall = hall(4, taker("job", "work", 1, retry=Retry(backoff=SECOND)))
    send(hall, "work")
    hall.turn()
    (run_id,) = hall.idle.began
    hall.end_unstarted(run_id, unfit=True)
    hall.turn()
    assert hall.queues.purge("work-dead-letters") == 1
    hall.database.write(lambda transaction: hall.runs.another_round(transaction, run_id, hall.now))
    hall.floor.offer(hall.history.get(run_id))
    hall.turn()
    hall.end(run_id, 1)
    hall.turn()
    come_due(hall)
    assert hall.idle.began == [run_id] * 3


def test_what_fails_without_its_message_is_no_dead_letter(hall):
    """Purged while it was worked on: there is nothing that anybody could deal with."""
    hall = hall(4, taker("job", "work", 1))
    send(hall, "work")
    hall.turn()
    (run_id,) = hall.idle.began
    assert hall.queues.purge("work") == 1
    hall.end_unstarted(run_id, unfit=True)
    hall.turn()
    assert hall.history.get(run_id).status is Status.FAILED
    assert hall.history.dead() == []


@pytest.mark.parametrize("end", ["ended", "dismissed"])
def test_a_run_that_is_over_takes_no_message_with_it(hall, end):
    """Its last request may be read when its process is gone already."""
    hall = hall(1, Job(name="poller", command=("true",)))
    run_id = hall.ask_for("poller")
    hall.turn()
    send(hall, "work", 2)
    assert len(hall.queues.receive("work", receiver=run_id)) == 1
    if end == "ended":
        hall.end(run_id)
        hall.turn()
    else:
        assert hall.database.write(lambda transaction: hall.runs.dismiss(transaction, run_id))
    assert hall.queues.receive("work", receiver=run_id) == []
    assert len(hall.queues.receive("work", receiver="")) == 1


def test_a_run_that_could_not_be_added_keeps_no_place(hall, monkeypatch):
    hall = hall(1, Job(name="job", command=("true",)))
    monkeypatch.setattr(hall, "reserve", hall.floor.reserve)
    monkeypatch.setattr(hall, "release", hall.floor.release, raising=False)
    monkeypatch.setattr(hall, "begin", hall.floor.begin, raising=False)

    def full(transaction, **more):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(hall.runs, "add", full)
        with pytest.raises(OSError, match="full"):
            hall.ask_for("job")
    assert hall.floor.is_idle
    hall.ask_for("job")
    hall.turn()
    assert jobs_under_way(hall) == ["job"]
