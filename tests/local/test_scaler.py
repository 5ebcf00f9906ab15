from hypothesis import given
from hypothesis import strategies as st

from wherry.local.scaler import most_here, most_of_all, polled
from wherry.model import Job, JobFile, QueueTrigger

TRIGGERS = st.tuples(st.integers(0, 4), st.integers(1, 20), st.sampled_from(["self-polling", "managed"])).map(
    lambda drawn: QueueTrigger(
        queue="q", mode=drawn[2], min_workers=min(drawn[0], drawn[1]), max_workers=max(drawn[0], drawn[1])
    )
)


@st.composite
def jobfiles(draw) -> JobFile:
    triggers = draw(st.lists(TRIGGERS, min_size=1, max_size=6))
    jobs = {f"job{number}": Job(name=f"job{number}", triggers=(each,)) for number, each in enumerate(triggers)}
    return JobFile(path="/wherry.yaml", app="app", jobs=jobs)


@given(jobfile=jobfiles(), places=st.integers(1, 64))
def test_what_a_queue_may_have_here(jobfile, places):
    """Between `min` and `max`; and all of them leave a place, where the least that each may have is no more than its part."""
    triggers = [trigger for _, trigger in polled(jobfile)]
    for trigger in triggers:
        most = most_here(jobfile, trigger, places)
        assert max(1, trigger.min_workers) <= most <= trigger.max_workers
    if all(max(1, trigger.min_workers) <= (places - 1) // len(triggers) for trigger in triggers):
        assert most_of_all(jobfile, places) < places


def test_a_single_queue_leaves_one_place():
    trigger = QueueTrigger(queue="q", mode="self-polling", max_workers=8)
    jobfile = JobFile(path="/wherry.yaml", app="app", jobs={"poller": Job(name="poller", triggers=(trigger,))})
    assert [most_here(jobfile, trigger, places) for places in (1, 2, 4, 9, 100)] == [1, 1, 3, 8, 8]
    assert most_of_all(JobFile(path="/wherry.yaml", app="app"), 4) == 0
