"""What Remote asks of AWS, and what it makes of the answers."""

import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.aws.histories import ARN, START, Book, container, task
from tests.aws.scripted import JOBFILE, MISSING, NOW, Scripted, execution, site
from wherry.aws import bus, logs, runs
from wherry.aws.client import AwsError
from wherry.aws.remote import Remote
from wherry.errors import NotFound, UserError, WherryError
from wherry.messages import run_id_of
from wherry.model import Feed, Job, Overrides, Queue, QueueTrigger, Status, new_event
from wherry.target import Wish

ORDER = new_event("shop", "order placed", {"order": 7}, now=NOW, event_id="mine")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    for module, name in ((runs, "_PATIENCE"), (bus, "_PATIENCE"), (logs, "_LATE")):
        monkeypatch.setattr(module, name, 0.05)
    for module in (runs, bus, logs):
        monkeypatch.setattr(module, "_PULSE", 0.01)
    monkeypatch.setattr(runs, "_FRESH", 0)


def remote(**answers):
    aws = Scripted(**answers)
    return Remote(site(aws)), aws


def histories(**books):
    """Answers GetExecutionHistory: `job__run_id` -> book."""

    def answer(executionArn, **_):
        *_, machine, run_id = executionArn.split(":")
        book = books.get(f"{machine.removeprefix('sales-prod_')}__{run_id}")
        return MISSING if book is None else book.events

    return answer


def described(**more):
    options = {"awslogs-group": "/wherry/sales/prod/nightly", "awslogs-stream-prefix": "run"}
    logging = {"logDriver": "awslogs", "options": options}
    return {"taskDefinition": {"containerDefinitions": [{"name": "main", "logConfiguration": logging, **more}]}}


def done():
    return Book().scheduled().submitted().succeeded(task()).end()


def test_a_run_s_whole_id_is_found_without_a_look_through_the_runs_of_messages():
    counting = Job(name="count", triggers=(QueueTrigger(queue="orders"),))
    jobfile = replace(JOBFILE, queues={"orders": Queue(name="orders")}, jobs={**JOBFILE.jobs, "count": counting})
    aws = Scripted(get_execution_history=histories(nightly__abc=done()), describe_task_definition=described())
    assert Remote(replace(site(aws), jobfile=jobfile)).find("abc").job == "nightly"
    assert not aws.asked("list_objects_v2")


# ------------------------------------------------------------------------------------------------------------ starting


def test_a_run_by_hand():
    target, aws = remote(start_execution={})
    overrides = Overrides(command=("a", "b"), args=("c",), env={"X": "1"})
    run_id = target.start(Wish(job="nightly", overrides=overrides))
    [call] = aws.asked("start_execution")
    assert call["name"] == run_id
    assert len(run_id) == 16
    assert call["stateMachineArn"].endswith(":stateMachine:" + site(aws).names.machine("nightly"))
    document = json.loads(call["input"])
    assert document["job"] == "nightly"
    assert document["trigger"] == "manual"
    assert document["cause"].startswith("manual:")
    assert document["overrides"] == {"command": ["a", "b"], "args": ["c"], "env": {"X": "1"}}
    assert (document["event"]["account"], document["event"]["region"]) == ("123456789012", "eu-central-1")
    assert "patient" not in document


def test_what_needs_a_message_is_not_started_without_one():
    job = Job(
        name="count",
        command=("count", "${event.file}"),
        triggers=(QueueTrigger(queue="orders"), QueueTrigger(queue="x.fifo")),
    )
    feed = Feed(bucket="uploads", prefix="in/", suffix=".csv")
    queues = {"orders": Queue(name="orders", feed=feed), "x.fifo": Queue(name="x.fifo")}
    aws = Scripted(start_execution={})
    target = Remote(replace(site(aws), jobfile=replace(JOBFILE, queues=queues, jobs={"count": job})))
    with pytest.raises(
        UserError, match=r"job `count` works on the file of a message .*, and a run by hand has no"
    ) as caught:
        target.start(Wish(job="count"))
    ways = "`wherry cp FILE s3://uploads/in/NAME.csv` or `wherry queue send orders BODY` or `wherry queue send x.fifo --group NAME BODY`"
    assert caught.value.hint == f"send one: {ways}"
    with pytest.raises(
        UserError, match="run 01abc worked on the file of its message .*, and a replay on AWS has no"
    ) as caught:
        target.start(Wish(job="count", trigger="queue", cause="replay:01abc:1f", event=ORDER))
    assert caught.value.hint == (
        "`wherry retry 01abc` has its message tried again when it failed, `wherry replay 01abc --here` runs its event on "
        f"this machine; a new message is a new run: {ways}"
    )
    assert not aws.asked("start_execution")
    assert target.start(Wish(job="count", overrides=Overrides(command=("env",))))


def test_overrides_without_a_command_have_none():
    target, aws = remote(start_execution={})
    target.start(Wish(job="nightly", overrides=Overrides(args=("c",))))
    assert "command" not in json.loads(aws.asked("start_execution")[0]["input"])["overrides"]
    target.start(Wish(job="nightly"))
    assert "overrides" not in json.loads(aws.asked("start_execution")[1]["input"])


def test_a_cause_has_one_run():
    target, aws = remote(start_execution={})
    wish = Wish(job="nightly", cause="backfill: a/b", event=ORDER)
    assert target.start(wish) == run_id_of("nightly", "backfill: a/b")
    first, second = aws.asked("start_execution")[0]["input"], (target.start(wish), aws.asked("start_execution")[1])[1]
    assert json.loads(first)["patient"] is True
    assert json.loads(first)["event"]["id"] == "mine"
    # a second start of the same name and input would be taken for the first one, repeated
    assert first != second["input"]
    aws.answers["start_execution"] = AwsError("exists", code="ExecutionAlreadyExists")
    aws.answers["describe_execution"] = {"input": first}
    assert target.start(wish) is None
    # its own start, whose first answer was lost
    aws.answers["describe_execution"] = lambda **_: {"input": aws.asked("start_execution")[-1]["input"]}
    assert target.start(wish) == run_id_of("nightly", "backfill: a/b")


def test_nothing_is_deployed():
    gone = AwsError("no", code="StateMachineDoesNotExist")
    target, aws = remote(start_execution=gone, describe_state_machine=gone, list_executions=gone)
    with pytest.raises(UserError, match="environment `prod` is not deployed") as caught:
        target.start(Wish(job="nightly"))
    assert "wherry deploy --env prod" in caught.value.hint
    with pytest.raises(UserError, match="environment `prod` is not deployed"):
        target.runs(job=None, statuses=None, since=None, limit=5)
    aws.answers["describe_state_machine"] = {}
    with pytest.raises(UserError, match="job `nightly` is not deployed in `prod`"):
        target.start(Wish(job="nightly"))
    with pytest.raises(NotFound, match="there is no job `nightli`"):
        target.start(Wish(job="nightli"))


def test_an_input_that_is_too_long_is_refused_by_name():
    target, _ = remote()
    event = new_event("shop", "x", {"text": "ä" * 140_000}, now=NOW)
    with pytest.raises(UserError, match=r"the run's input has 280,\d+ bytes"):
        target.start(Wish(job="nightly", event=event))


def test_stopping():
    target, aws = remote(
        get_execution_history=histories(nightly__abc=Book().scheduled(), nightly__old=done()),
        stop_execution={},
        describe_task_definition=described(),
    )
    target.stop("abc")
    assert aws.asked("stop_execution")[0]["executionArn"].endswith(":abc")
    with pytest.raises(UserError, match="run old has ended already"):
        target.stop("old")
    with pytest.raises(NotFound):
        target.stop("nixda")


def test_a_retry_is_another_execution_of_the_same_run():
    books = {
        "nightly__abc": Book().scheduled().submitted().failed(task(1, container(code=3))).fail(reason="exit code 3"),
    }

    def answered(**given):
        return histories(**books)(**given)

    target, aws = remote(
        get_execution_history=answered,
        start_execution={},
        stop_execution={},
        get_queue_url=AwsError("no", code="AWS.SimpleQueueService.NonExistentQueue"),
        describe_task_definition=described(),
    )
    target.retry("abc")
    [call] = aws.asked("start_execution")
    document = json.loads(call["input"])
    assert (call["name"], document["run"], document["earlier"]) == ("abc--2", "abc", 1)
    assert (document["event"]["id"], document["cause"]) == ("e1", "event:e1")
    books["nightly__abc--2"] = Book().scheduled()
    assert target.find("abc--2").id == "abc"
    with pytest.raises(UserError, match="run abc has not ended"):
        target.retry("abc")
    target.stop("abc")
    assert aws.asked("stop_execution")[0]["executionArn"].endswith(":abc--2")
    books["nightly__abc--2"] = Book().scheduled().submitted(2).succeeded(task(2)).end(attempts=2)
    target, _ = remote(**aws.answers)
    run = target.find("abc")
    assert (run.status, run.earlier_attempts) == (Status.SUCCEEDED, 1)
    assert [attempt.outcome.exit_code for attempt in run.attempts] == [3, 0]
    with pytest.raises(UserError, match="run abc has succeeded") as caught:
        target.retry("abc")
    assert "wherry replay abc" in caught.value.hint


def test_a_backfill_takes_what_somebody_else_retries_for_theirs():
    failed = Book().scheduled().submitted().failed(task(1, container(code=3))).fail(reason="exit code 3")
    books = {"nightly__abc": failed}

    def start(**_):
        books["nightly__abc--2"] = Book()
        books["nightly__abc--2"].events[0]["timestamp"] = START + timedelta(hours=1)
        books["nightly__abc--2"].scheduled()
        return AwsError("somebody was quicker", code="ExecutionAlreadyExists")

    def answered(**given):
        return histories(**books)(**given)

    target, _ = remote(
        get_execution_history=answered,
        start_execution=start,
        describe_execution={"input": json.dumps({"asked": "theirs"})},
        get_queue_url=AwsError("no", code="AWS.SimpleQueueService.NonExistentQueue"),
        describe_task_definition=described(),
    )
    planned = target.find("abc")
    with pytest.raises(UserError, match="retried by somebody else just now"):
        target.retry("abc")
    run = target.find("abc")
    assert not run.status.ended
    assert run.asked_at > planned.asked_at


def test_a_run_that_was_retried_is_one_run_of_a_listing():
    failed = Book().scheduled().submitted().failed(task(1, container(code=3))).fail(reason="exit code 3")
    books = {"nightly__abc": failed, "nightly__abc--2": Book().scheduled(), "nightly__other": done()}
    rows = {
        None: [execution("abc--2", 1, "RUNNING"), execution("other", 5), execution("abc", 9, "FAILED")],
        "RUNNING": [execution("abc--2", 1, "RUNNING")],
        "FAILED": [execution("abc", 9, "FAILED")],
    }
    target, _ = remote(
        list_executions=lambda stateMachineArn, statusFilter=None, **_: (
            rows.get(statusFilter, []) if "nightly" in stateMachineArn else []
        ),
        get_execution_history=histories(**books),
        describe_task_definition=described(),
    )

    def listed(*statuses):
        found = target.runs(job=None, statuses=statuses or None, since=None, limit=9)
        return sorted((run.id, run.status) for run in found)

    assert listed() == [("abc", Status.STARTING), ("other", Status.SUCCEEDED)]
    assert listed(Status.STARTING) == [("abc", Status.STARTING)]
    assert listed(Status.FAILED) == []
    assert target.find("ab").id == "abc"


# -------------------------------------------------------------------------------------------------------------- finding


def test_a_run_is_found_in_whichever_job_it_is():
    target, aws = remote(
        get_execution_history=histories(report__abc=done()), describe_task_definition=described(command=["x"])
    )
    assert target.find("abc").job == "report"
    before = len(aws.calls)
    assert target.find("abc").status is Status.SUCCEEDED
    assert len(aws.calls) == before  # what has ended stays as it is


def test_the_beginning_of_an_id_is_enough():
    listed = {"nightly": [execution("abc1", 1), execution("abd2", 2)], "report": [execution("abc9", 3)]}

    def list_executions(stateMachineArn, **_):
        return next(rows for job, rows in listed.items() if stateMachineArn.endswith(job))

    target, _ = remote(
        list_executions=list_executions,
        get_execution_history=histories(nightly__abd2=done()),
        describe_task_definition=described(),
    )
    assert target.find("ABD").id == "abd2"
    with pytest.raises(NotFound, match="`abc` is the beginning of several runs: abc1, abc9"):
        target.find("abc")
    with pytest.raises(NotFound, match="there is no run `xyz`"):
        target.find("xyz")
    with pytest.raises(NotFound, match="there is no run `no such/name`"):
        target.find("no such/name")


def test_what_was_just_started_is_waited_for():
    tries = iter([MISSING, [], Book().events, Book().events])
    target, _ = remote(start_execution={}, get_execution_history=lambda **_: next(tries))
    run_id = target.start(Wish(job="nightly"))
    assert target.find(run_id).status is Status.QUEUED


def test_the_run_of_a_cause():
    run_id = run_id_of("nightly", "event:e1")
    target, _ = remote(
        get_execution_history=histories(**{f"nightly__{run_id}": done()}), describe_task_definition=described()
    )
    found = target.of_causes("nightly", ["event:e1", "event:e2"])
    assert {cause: run.id for cause, run in found.items()} == {"event:e1": run_id}


def test_a_listing_costs_one_call_a_run_shown():
    rows = [execution(f"r{number:03}", number) for number in range(300)]
    books = {f"nightly__r{number:03}": done() for number in range(300)}
    target, aws = remote(
        list_executions=lambda stateMachineArn, **_: rows if "nightly" in stateMachineArn else [],
        get_execution_history=histories(**books),
        describe_task_definition=described(),
    )
    found = target.runs(job=None, statuses=None, since=None, limit=20)
    assert len(found) == 20
    assert len(aws.asked("get_execution_history")) == 20
    assert len(aws.asked("list_executions")) == 2
    assert len(aws.asked("describe_task_definition")) <= 10  # one revision, asked for by as many as were at it


def test_statuses_that_step_functions_does_not_tell_apart():
    books = {
        "nightly__a": Book().end("skipped", "another run"),
        "nightly__b": done(),
        "nightly__c": Book().scheduled().submitted().failed(task(1, container(code=2))).fail(),
        "nightly__d": Book().fail("TimedOut", "too late"),
    }
    listed = {"SUCCEEDED": ["a", "b"], "FAILED": ["c", "d"]}

    def list_executions(stateMachineArn, statusFilter="", **_):
        names = listed.get(statusFilter, []) if "nightly" in stateMachineArn else []
        return [execution(name, 1, statusFilter) for name in names]

    target, aws = remote(
        list_executions=list_executions,
        get_execution_history=histories(**books),
        describe_task_definition=described(),
    )

    def ids(*statuses):
        return {run.id for run in target.runs(job="nightly", statuses=statuses, since=None, limit=5)}

    assert ids(Status.SKIPPED) == {"a"}
    assert ids(Status.SUCCEEDED) == {"b"}
    assert ids(Status.FAILED) == {"c"}
    assert ids(Status.TIMED_OUT, Status.STOPPED) == {"d"}
    assert {call["statusFilter"] for call in aws.asked("list_executions")[-3:]} == {"FAILED", "TIMED_OUT", "ABORTED"}


def test_what_began_before_is_not_listed():
    rows = [execution("new", 10), execution("long", 200, took=195), execution("old", 300)]
    target, aws = remote(
        list_executions=lambda stateMachineArn, **_: rows if "nightly" in stateMachineArn else [],
        get_execution_history=histories(nightly__new=done(), nightly__long=done(), nightly__old=done()),
        describe_task_definition=described(),
    )
    since = NOW.replace(hour=11)
    assert [run.id for run in target.runs(job=None, statuses=None, since=since, limit=5)] == ["new"]
    assert len(aws.asked("get_execution_history")) == 1


# ----------------------------------------------------------------------------------------------------------------- logs


def stream(*pages):
    """Answers GetLogEvents: the token is the number of the page."""

    def answer(startFromHead, nextToken=None, **_):
        number = int(nextToken or 0)
        if startFromHead:
            events = pages[number] if number < len(pages) else []
            return {
                "events": [{"message": text} for text in events],
                "nextForwardToken": str(min(number + 1, len(pages))),
            }
        number = int(nextToken or len(pages))
        events = pages[number - 1] if number else []
        return {"events": [{"message": text} for text in events], "nextBackwardToken": str(max(number - 1, 0))}

    return answer


def test_a_log_page_by_page():
    target, aws = remote(
        get_execution_history=histories(nightly__abc=done()),
        describe_task_definition=described(),
        get_log_events=stream(["a", "b"], [], ["c"]),
    )
    run = target.find("abc")
    assert b"".join(target.log(run, 1)) == b"a\nb\nc\n"
    assert aws.asked("get_log_events")[0]["logStreamName"] == "run/main/0123456789abcdef0123456789abcde1"
    assert aws.asked("get_log_events")[0]["logGroupName"] == "/wherry/sales/prod/nightly"
    assert b"".join(target.log(run, 1, last=4)) == b"b\nc\n"
    assert b"".join(target.log(run, 1, last=100)) == b"a\nb\nc\n"
    assert b"".join(target.log(run, 1, "nobody")) == b""
    with pytest.raises(NotFound):
        target.log(run, 2)


def test_a_container_that_has_written_nothing_has_no_stream():
    target, _ = remote(
        get_execution_history=histories(nightly__abc=done()),
        describe_task_definition=described(),
        get_log_events=AwsError("no stream", code="ResourceNotFoundException"),
    )
    run = target.find("abc")
    assert list(target.log(run, 1)) == []
    assert b"".join(target.log(run, 1, last=10)) == b""
    assert set(target.follow("abc")) == {b""}


def test_a_log_that_is_elsewhere_is_said_so():
    target, _ = remote(
        get_execution_history=histories(nightly__abc=done()),
        describe_task_definition=described(logConfiguration={"logDriver": "splunk", "options": {}}),
    )
    with pytest.raises(UserError, match="the log of container `main` is not in CloudWatch Logs"):
        target.log(target.find("abc"), 1)


def test_a_task_that_ran_out_of_time_is_asked_for_while_ecs_knows_it():
    book = Book().scheduled(timeout=90).submitted().add("TaskTimedOut", error="States.Timeout").fail("TimedOut")
    waits = {"taskArn": ARN.format(1), "lastStatus": "DEPROVISIONING", "stoppedReason": "ResourceInitializationError"}
    aws = Scripted(
        get_execution_history=histories(nightly__abc=book),
        describe_tasks={"tasks": [waits]},
        describe_task_definition=described(),
        get_log_events=AwsError("no stream", code="ResourceNotFoundException"),
    )
    soon = Remote(replace(site(aws), clock=lambda: START + timedelta(minutes=59)))
    assert soon.find("abc").reason == "it had not started when `timeout: 1m30s` was over: ResourceInitializationError"
    later = Remote(replace(site(aws), clock=lambda: START + timedelta(minutes=62)))
    assert later.find("abc").reason == "it ran longer than `timeout: 1m30s`"
    assert len(aws.asked("describe_tasks")) == 1
    # long after its end nobody waits for its task
    assert b"".join(later.follow("abc")) == b""


def test_following_to_the_end_and_a_little_longer():
    book = Book().scheduled().submitted()
    written = [["one"]]
    looks = []

    def look(**_):
        looks.append(1)
        if len(looks) == 3:
            book.failed(task(1, container(code=1))).backoff().scheduled().submitted(2)
            written.append(["two"])
        if len(looks) == 5:
            book.succeeded(task(2)).end()
        return book.events

    def events(logStreamName, nextToken=None, **more):
        # CloudWatch is late: the last line is there when the run has ended
        pages = [*written, ["late"]] if book.events[-1]["type"] == "ExecutionSucceeded" else written
        mine = pages[:1] if logStreamName.endswith("1") else pages[1:]
        return stream(*mine)(nextToken=nextToken, **more)

    target, _ = remote(
        get_execution_history=look,
        describe_tasks={"tasks": []},
        describe_task_definition=described(),
        get_log_events=events,
        start_execution={},
    )
    run_id = target.start(Wish(job="nightly"))
    chunks = list(target.follow(run_id))
    assert b"".join(chunks) == b"one\ntwo\nlate\n"
    assert b"" in chunks
    assert b"".join(target.follow(run_id, after=1)) == b"two\nlate\n"


# --------------------------------------------------------------------------------------------------------------- events


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setattr("wherry.aws.bus.uuid.uuid4", lambda: "once")


@pytest.mark.usefixtures("token")
def test_emit_gives_the_runs_that_it_makes():
    run_id = run_id_of("nightly", "event:once")
    target, aws = remote(
        put_events={"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}, {"EventId": "e-2"}]},
        get_execution_history=histories(**{f"nightly__{run_id}": Book()}),
    )
    other = new_event("shop", "other", {}, now=NOW)
    assert [run.id for run in target.emit([ORDER, other])] == [run_id]
    entry = aws.asked("put_events")[0]["Entries"][0]
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == ("shop", "order placed", "default")
    assert json.loads(entry["Detail"]) == {"order": 7}
    assert entry["Resources"] == ["wherry:once/once"]


def test_refused_events_are_named():
    answer = {"Entries": [{"EventId": "e-1"}, {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}]}
    target, _ = remote(put_events=answer)
    with pytest.raises(WherryError, match=r"the bus refuses `shop` `bad`: MalformedDetail.*1 of these 2 were accepted"):
        target.emit([ORDER, new_event("shop", "bad", {}, now=NOW)])


@pytest.mark.usefixtures("token")
def test_what_was_refused_for_a_moment_is_put_again():
    answers = iter([{"Entries": [{"ErrorCode": "ThrottlingException"}]}, {"Entries": [{"EventId": "e-1"}]}])
    run_id = run_id_of("nightly", "event:once")
    target, aws = remote(
        put_events=lambda **_: next(answers), get_execution_history=histories(**{f"nightly__{run_id}": Book()})
    )
    assert len(target.emit([ORDER])) == 1
    assert len(aws.asked("put_events")) == 2


def test_events_of_aws_cannot_be_made():
    target, _ = remote()
    with pytest.raises(UserError, match="the source `aws.s3` is reserved for AWS"):
        target.emit([new_event("aws.s3", "Object Created", {}, now=NOW)])


def test_an_event_that_no_run_could_be_given_is_not_put():
    target, aws = remote()
    with pytest.raises(UserError, match=r"the event has 300,\d+ bytes, and job `nightly` can be given 258,048 at most"):
        target.emit([new_event("shop", "order placed", {"order": "7" * 300_000}, now=NOW)])
    assert not aws.asked("put_events")


def test_a_run_that_does_not_come_is_missed_aloud():
    target, _ = remote(put_events={"Entries": [{"EventId": "e-1"}]}, get_execution_history=MISSING)
    with pytest.raises(WherryError, match="`nightly` should have begun and did not"):
        target.emit([ORDER])


# -------------------------------------------------------------------------------------------------- objects and secrets


def test_buckets_by_either_name():
    place = site(Scripted())
    physical = place.names.bucket(JOBFILE.buckets["uploads"], JOBFILE.environments["prod"])
    assert place.bucket("uploads") == place.bucket(physical) == physical
    assert place.bucket("landing") == place.bucket("acme-landing-zone") == "acme-landing-zone"
    with pytest.raises(NotFound, match="there is no bucket `uplods`") as caught:
        place.bucket("uplods")
    assert caught.value.hint == "did you mean `uploads`?"


def test_an_upload_is_counted_and_stays_open():
    target, aws = remote(put_object={})
    source = io.BytesIO(b"12345")
    assert target.put("landing", "a.csv", source) == 5
    assert not source.closed
    assert aws.asked("put_object")[0]["Body"] == b"12345"


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [("NoSuchKey", NotFound, "there is no object `k`"), ("NoSuchBucket", UserError, "not deployed")],
)
def test_objects_that_are_not_there(code, error, said):
    target, _ = remote(get_object=AwsError("no", code=code))
    with pytest.raises(error, match=said):
        next(target.get("landing", "k"))


def test_secrets_come_and_go_and_come_back():
    gone = AwsError("no", code="ResourceNotFoundException")
    target, aws = remote(
        describe_secret=gone, create_secret={}, put_secret_value={}, restore_secret={}, delete_secret={}
    )
    target.set_secret("the-key", b"text")
    assert aws.asked("create_secret")[0]["SecretString"] == "text"
    ours = {"Tags": aws.asked("create_secret")[0]["Tags"]}
    assert ours["Tags"] == tagged(app="sales", environment="prod")
    with pytest.raises(NotFound):
        target.remove_secret("the-key")
    aws.answers["describe_secret"] = {"Name": "the-key", "CreatedDate": NOW, **ours}
    target.set_secret("the-key", b"\xff")
    assert aws.asked("put_secret_value")[0]["SecretBinary"] == b"\xff"
    target.remove_secret("the-key")
    assert aws.asked("delete_secret")[0]["RecoveryWindowInDays"] == 7
    aws.answers["describe_secret"] = {"Name": "the-key", "CreatedDate": NOW, "DeletedDate": NOW, **ours}
    target.set_secret("the-key", b"again")
    assert len(aws.asked("restore_secret")) == 1


def tagged(**tags):
    return [{"Key": f"wherry:{key}", "Value": value} for key, value in tags.items()]


@pytest.mark.parametrize(
    ("tags", "whose"),
    [
        ([], "was not set by wherry"),
        (tagged(app="shop", environment="prod"), "was set for app `shop`"),
        (tagged(app="sales", environment="test"), "was set for environment `test`"),
    ],
)
def test_a_secret_of_somebody_else_is_changed_by_those_who_are_sure_alone(tags, whose):
    known = {"Name": "the-key", "CreatedDate": NOW, "Tags": tags}
    target, aws = remote(describe_secret=known, put_secret_value={}, delete_secret={})
    said = f"secret `the-key` is there, and {whose}; it is left as it is"
    with pytest.raises(UserError, match=said):
        target.set_secret("the-key", b"x")
    with pytest.raises(UserError, match=said):
        target.remove_secret("the-key")
    assert not [*aws.asked("put_secret_value"), *aws.asked("delete_secret")]
    target.set_secret("the-key", b"x", is_sure=True)
    target.remove_secret("the-key", is_sure=True)
    assert len(aws.asked("put_secret_value")) == len(aws.asked("delete_secret")) == 1


def test_a_secret_that_an_earlier_wherry_has_set_for_the_app_is_its_own():
    known = {"Name": "the-key", "CreatedDate": NOW, "Tags": tagged(app="sales")}
    target, aws = remote(describe_secret=known, put_secret_value={})
    target.set_secret("the-key", b"x")
    assert len(aws.asked("put_secret_value")) == 1


def test_secrets_listed_are_those_of_the_app():
    ours = {"Name": "other", "CreatedDate": NOW, "Tags": tagged(app="sales")}
    foreign = {"Name": "foreign", "CreatedDate": NOW, "Tags": tagged(app="shop")}
    target, _ = remote(describe_secret={"Name": "the-key", "CreatedDate": NOW}, list_secrets=[ours, foreign])
    assert [entry.name for entry in target.secrets()] == ["other", "the-key"]


# --------------------------------------------------------------------------------------------------------------- status


def test_at_a_glance():
    listed = {
        "nightly": [
            execution("a", 1, "RUNNING"),
            execution("b", 2, "FAILED"),
            execution("c", 3),
            execution("d", 4, "ABORTED"),
        ],
        "report": [execution("e", 1, took=0), execution("f", 2)],
    }
    made = {"State": "ENABLED", "CreationDate": NOW.replace(hour=1, minute=30), "LastModificationDate": NOW}
    target, aws = remote(
        describe_stacks={"Stacks": [{"StackStatus": "UPDATE_COMPLETE"}]},
        list_executions=lambda stateMachineArn, **_: next(
            rows for job, rows in listed.items() if stateMachineArn.endswith(job)
        ),
        get_execution_history=histories(
            nightly__a=Book().admitted(), nightly__b=Book().fail(reason="no"), report__e=Book().end("skipped", "busy")
        ),
        get_queue_url={"QueueUrl": "https://q"},
        get_queue_attributes={
            "Attributes": {"ApproximateNumberOfMessages": "2", "ApproximateNumberOfMessagesNotVisible": "1"}
        },
        list_schedules=[
            {"Name": "sales-prod_JobNightlySchedulef74e5543", **made},
            {"Name": "sales-prod_JobReportSchedule50a2ef97", **made},
        ],
        describe_stack_resource=AwsError("Resource does not exist", code="ValidationError"),
        get_metric_data=[],
    )
    status = target.status()
    assert status.engine == "AWS eu-central-1, account 123456789012, stack sales-prod: UPDATE_COMPLETE"
    assert status.running
    assert status.runs == {
        Status.QUEUED: 1,
        Status.FAILED: 1,
        Status.SUCCEEDED: 2,
        Status.STOPPED: 1,
        Status.SKIPPED: 1,
    }
    assert [run.id for run in status.failures] == ["b"]
    assert [(upcoming.job, upcoming.at.hour, upcoming.at.minute) for upcoming in status.upcoming] == [
        ("report", 12, 30),
        ("nightly", 5, 0),
    ]
    assert (status.dead_letters, status.missed, status.disk) == (3, (), None)
    # one for each run that Step Functions' word leaves open; of what has not succeeded also whether it was retried
    assert len(aws.asked("get_execution_history")) == 5
    assert target.access() == {"AWS_REGION": "eu-central-1"}


def test_at_a_glance_where_nothing_is_deployed():
    error = AwsError("Stack with id sales-prod does not exist", code="ValidationError")
    target, _ = remote(describe_stacks=error)
    status = target.status()
    assert not status.running
    assert "not deployed, `wherry deploy --env prod` makes it" in status.engine


@pytest.mark.parametrize(
    ("book", "ending"),
    [
        (
            Book().scheduled().submitted().add("ExecutionAborted", error="Stopped", cause="stopped on request"),
            "stopped",
        ),
        (
            Book().scheduled(timeout=9).submitted().add("TaskTimedOut", error="States.Timeout").fail("TimedOut"),
            "timed_out",
        ),
        (
            Book()
            .scheduled()
            .submitted()
            .failed(
                task(1, container(code=None), stop_code="TaskFailedToStart", StoppedReason="Capacity is unavailable")
            )
            .fail(reason="could not start"),
            "could_not_start",
        ),
        (
            Book().scheduled().failed("RESOURCE:ENI", "AmazonECS.Unknown").fail(reason="could not start"),
            "could_not_start",
        ),
        (Book().scheduled().submitted().failed(task(1, container(code=3))).fail(reason="exit code 3"), "exited"),
    ],
)
def test_what_ecs_has_forgotten_is_in_the_history(book, ending):
    """Seven hours later: ECS knows a task for one hour, and is not asked."""
    target, aws = remote(
        get_execution_history=histories(nightly__abc=book),
        describe_task_definition=described(),
        get_log_events={"events": [{"message": "the last line"}], "nextForwardToken": "x", "nextBackwardToken": "x"},
    )
    run = target.find("abc")
    assert run.attempts[-1].outcome.ending.value == ending
    assert run.reason
    written = b"".join(target.log(run, 1))
    assert written in (b"the last line\n" * 2, b"the last line\n", b"")
    assert aws.asked("describe_tasks") == []
