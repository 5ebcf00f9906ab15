"""The lines of one run among those of all that its task has worked on."""

import itertools
from datetime import timedelta

from tests.aws.scripted import NOW, Scripted, site
from wherry.aws.excerpts import Excerpts, _Excerpt
from wherry.aws.recorded import Place, run_of


def test_of_a_task_that_lives_for_weeks_only_the_run_s_own_part_is_read():
    place = Place(group="g", stream="s", run_id="r", number=1, began_at=NOW, ended_at=NOW)
    pages = itertools.count(1)
    written = {2: [place.begin, "one"], 3: ["two", place.end, "of other runs"]}

    def page(**_):
        number = next(pages)
        assert number < 5
        events = [{"message": text} for text in written.get(number, ["of other runs"])]
        return {"events": events, "nextForwardToken": str(number)}

    excerpt = _Excerpt(site(Scripted(get_log_events=page)), place)
    assert b"".join(excerpt.more()) == b"one\ntwo\n"
    assert next(pages) == 4


class Recorded:
    """One run has been written down."""

    def __init__(self, record):
        self.record = lambda _: record


def test_of_a_helper_what_it_wrote_during_the_attempt_is_read():
    ended_at = NOW + timedelta(seconds=7)
    attempt = {"number": 1, "started": NOW.isoformat(), "ended": ended_at.isoformat(), "ending": "exited", "code": 3}
    record = {
        "run": "r",
        "job": "j",
        "queue": "q",
        "status": "failed",
        "created": NOW.isoformat(),
        "messages": [{"id": "m"}],
    }
    record["attempts"] = [{**attempt, "group": "/wherry/j", "stream": "run/main/0a1b"}]
    aws = Scripted(get_log_events={"events": [{"message": "helping"}], "nextForwardToken": "same"})
    excerpts = Excerpts(site(aws), Recorded(record))
    assert next(excerpts.log(run_of(record), 1, "proxy")) == b"helping\n"
    (asked,) = aws.asked("get_log_events")
    assert (asked["logGroupName"], asked["logStreamName"]) == ("/wherry/j", "run/proxy/0a1b")
    began = int(NOW.timestamp() * 1000)
    assert (asked["startTime"], asked["endTime"]) == (began, began + 7001)
