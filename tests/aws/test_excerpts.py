"""The lines of one run among those of all that its task has worked on."""

import itertools

from tests.aws.scripted import NOW, Scripted, site
from wherry.aws.excerpts import _Excerpt
from wherry.aws.recorded import Place


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
