"""What is worked on together, and in which order."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from wherry.agent.batches import next_turn
from wherry.agent.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STANDARD = Settings(job="j", queue="q", url="https://sqs/1/q", batch=10, deadline=timedelta(hours=1))
FIFO = Settings(job="j", queue="q.fifo", url="https://sqs/1/q.fifo", batch=10, deadline=timedelta(hours=1))


def message(name, *, receives=1, group="g", minutes=0, again=False):
    first = int((NOW - timedelta(minutes=minutes)).timestamp() * 1000)
    system = {"ApproximateReceiveCount": str(receives), "ApproximateFirstReceiveTimestamp": str(first)}
    system |= {"SentTimestamp": str(first), "MessageGroupId": group}
    attributes = {"wherry-run": {"StringValue": "f00d 1"}} if again else {}
    return {"MessageId": name, "Body": "", "Attributes": system, "MessageAttributes": attributes}


def turns(waiting, settings, apart=()):
    found = []
    while waiting:
        turn = next_turn(waiting, settings, now=NOW, apart=apart)
        found.append([each["MessageId"] for each in turn])
        waiting = [each for each in waiting if each not in turn]
    return found


def test_what_comes_again_and_what_is_over_is_no_part_of_a_batch():
    waiting = [message("a", receives=2), message("b"), message("c", minutes=60), message("d", again=True), message("e")]
    assert turns(waiting, STANDARD) == [["b", "e"], ["a"], ["c"], ["d"]]


def test_what_could_not_be_started_together_is_alone():
    assert turns([message("a"), message("b"), message("c")], STANDARD, {"a", "b"}) == [["c"], ["a"], ["b"]]


def test_nothing_overtakes_what_is_before_it_in_its_group():
    waiting = [message("a", receives=2), message("b"), message("c", group="h"), message("d")]
    assert turns(waiting, FIFO) == [["c"], ["a"], ["b", "d"]]
    assert turns(waiting, STANDARD) == [["b", "c", "d"], ["a"]]


messages = st.lists(
    st.builds(dict, receives=st.integers(1, 2), group=st.sampled_from("gh"), minutes=st.sampled_from([0, 59, 61])),
    max_size=10,
).map(lambda drawn: [message(str(number), **each) for number, each in enumerate(drawn)])


@given(messages, st.sampled_from([STANDARD, FIFO]), st.sets(st.integers(0, 9).map(str)))
def test_all_get_their_turn_and_batches_are_of_what_is_fresh(waiting, settings, apart):
    found = turns(waiting, settings, apart)
    known = {each["MessageId"]: each for each in waiting}
    assert sorted(name for turn in found for name in turn) == sorted(known)
    for turn in found:
        system = [known[name]["Attributes"] for name in turn]
        assert len(turn) == 1 or all(each["ApproximateReceiveCount"] == "1" for each in system)
        assert len(turn) == 1 or not apart.intersection(turn)
    if settings is FIFO:
        for group in "gh":
            order = [name for turn in found for name in turn if known[name]["Attributes"]["MessageGroupId"] == group]
            assert order == sorted(order)
    else:
        assert all(len(turn) == 1 for turn in found[1:])
