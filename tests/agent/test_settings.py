import json
import re
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from wherry.agent.settings import Settings, read
from wherry.aws.agents import settings_text
from wherry.model import Job, Queue, QueueTrigger

seconds = st.integers(1, 43_200).map(lambda n: timedelta(seconds=n))
codes = st.frozensets(st.integers(1, 255))
settings = st.builds(
    Settings,
    job=st.text(),
    queue=st.text(),
    url=st.text(),
    command=st.lists(st.text()).map(tuple) | st.text(),
    env=st.dictionaries(st.text(), st.text()),
    batch=st.integers(1, 10),
    visibility=seconds,
    timeout=seconds | st.none(),
    drop=codes,
    give_back=codes,
)


@given(settings)
def test_settings_come_back_as_they_were(given):
    assert read(json.dumps(given.document())) == given


def test_what_is_no_settings_is_refused():
    for text in ("", "[]", '{"job": "a"}', '{"job": "a", "queue": "q", "url": "u", "other": 1}'):
        try:
            read(text)
        except ValueError:
            continue
        raise AssertionError(text)


def filled(value, known):
    """What CloudFormation makes of `Fn::Sub`; a literal `${!`, whose end is not documented, is never there."""
    return re.sub(r"\$\{([^}]*)\}", lambda m: known[m[1]], value["Fn::Sub"])


def test_the_compiler_tells_a_worker_what_the_job_file_says():
    job = Job(
        name="tiles",
        command=("./tile", "${event.file}", "$${HOME}", "$${A:-$${B}}", "\\u0024{x} \\$${y}"),
        env={"OUT": "s3://${bucket.results}/x", "BUS": "${bus}", "PRICE": "$5", "ODD$${": "$${B:-$${C:-}}"},
        timeout=timedelta(hours=1),
    )
    trigger = QueueTrigger(queue="geo", drop=frozenset({65}))
    text = settings_text(
        job,
        trigger,
        Queue(name="geo"),
        buckets={"results": "app-results-${AWS::AccountId}", "unused": "x"},
        queues={"geo": "${QueueGeo}", "other": "${QueueOther}"},
        bus="shop",
        work_bucket="app-wherry-${AWS::AccountId}",
    )
    read_back = read(filled(text, {"AWS::AccountId": "111122223333", "QueueGeo": "https://sqs/1/geo"}))
    assert read_back == Settings(
        job="tiles",
        queue="geo",
        url="https://sqs/1/geo",
        command=job.command,
        env=job.env,
        buckets={"results": "app-results-111122223333"},
        bus="shop",
        drop=frozenset({65}),
        timeout=timedelta(hours=1),
        work_bucket="app-wherry-111122223333",
    )
