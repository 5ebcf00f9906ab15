"""What right files mean, in the model's words."""

from datetime import timedelta
from pathlib import Path

import pytest

from wherry import jobfile
from wherry.errors import Place, UserError
from wherry.model import (
    AfterTrigger,
    Bucket,
    Environment,
    EventTrigger,
    Feed,
    InvokeTrigger,
    JobFile,
    Queue,
    QueueTrigger,
    ScheduleTrigger,
    UploadTrigger,
)

FOLDER = Path(__file__).parent / "valid"


@pytest.fixture(scope="module")
def sales():
    return jobfile.load(str(FOLDER / "sales.yaml"))


@pytest.fixture(scope="module")
def every():
    return jobfile.load(str(FOLDER / "every-key.yaml"))


def parse(text: str) -> JobFile:
    return jobfile.parse(text, "wherry.yaml")


def test_minimal():
    read = jobfile.load(str(FOLDER / "minimal.yaml"))
    assert (read.app, read.jobs, read.buckets) == ("demo", {}, {})
    assert read.path == str(FOLDER / "minimal.yaml")


def test_sample(sales):
    assert sales.buckets["landing"] == Bucket(name="landing", existing="acme-landing-zone")
    assert sales.queues["geojson"] == Queue(
        name="geojson",
        feed=Feed(bucket="user-uploads", suffix=".geojson"),
        visibility=timedelta(minutes=10),
        max_receives=3,
    )
    analyzer = sales.jobs["csv-analyzer"]
    assert analyzer.triggers == (UploadTrigger(bucket="user-uploads", suffix=".csv"),)
    assert (analyzer.cpu, analyzer.memory, analyzer.timeout) == (0.25, 512 * 2**20, timedelta(hours=1))
    assert analyzer.env["LOG_LEVEL"] == "INFO"
    assert sales.jobs["nightly"].triggers == (
        ScheduleTrigger(expression="cron(0 5 * * ? *)", timezone="Europe/Berlin", catch_up="latest"),
    )
    assert sales.jobs["tiles"].triggers == (QueueTrigger(queue="geojson", min_workers=0, max_workers=8),)
    assert sales.jobs["report"].command == "./report.sh"
    assert sales.jobs["report"].triggers == (
        AfterTrigger(job="nightly"),
        EventTrigger(pattern={"source": ["shop"], "detail-type": ["order placed"]}),
    )
    assert sales.environments["prod"] == Environment(
        name="prod", region="eu-central-1", capacity="fargate", alerts=("ops@example.com",)
    )


def test_every_key(every):
    job = every.jobs["1"]
    assert len(job.triggers) == 12
    assert job.triggers[-1] == InvokeTrigger(url=True)
    assert job.triggers[5] == EventTrigger(
        pattern={
            "source": ["shop", None, True, 1.5, 10],
            "detail": {"size": [{"numeric": [">", 0, "<=", 5]}], "state": [{"anything-but": "closed"}]},
        }
    )
    assert job.triggers[7] == QueueTrigger(
        queue="work",
        min_workers=2,
        max_workers=2,
        batch=10,
        drop=frozenset({65, 66}),
        give_back=frozenset({75}),
    )
    polled = job.triggers[9]
    assert isinstance(polled, QueueTrigger)
    assert (polled.mode, polled.backlog, polled.idle) == ("self-polling", 100, timedelta(minutes=1))
    assert every.queues["Orders_2.fifo"].feed == Feed(pattern={"source": ["shop"]})
    assert every.queues["Orders_2.fifo"].dead_letters == "Orders_2-dead-letters.fifo"
    assert every.taker("polled") == (job, polled)
    assert (job.cpu, job.memory, job.timeout, job.deadline) == (
        1.5, 512 * 2**20, timedelta(milliseconds=500), timedelta(seconds=1)
    )  # fmt: skip
    assert (job.overlap, job.concurrency, job.build) == ("skip", 3, "images/one")
    assert job.retry.exit_codes == frozenset({1, 75})
    assert every.environments["local"].aws == "inherit"
    assert every.lets_create_queues
    assert every.environments["prod"].dashboard
    assert every.environments["prod"].alerts == ("ops@example.com", "arn:aws:sns:eu-central-1:123456789012:alerts")


def test_defaults_reach_every_job(every):
    job = every.jobs["two"]
    assert (job.cpu, job.memory, job.overlap) == (0.5, 2**30, "wait")
    assert (job.timeout, job.deadline) == (timedelta(minutes=90), timedelta(days=2))
    assert (job.retry.attempts, job.retry.backoff) == (5, timedelta(minutes=1))
    assert job.env == {"STAGE": "test", "TOKEN": "not-the-secret"}


def test_mappings_of_defaults_are_merged_key_by_key(every):
    job = every.jobs["1"]
    assert (job.retry.attempts, job.retry.backoff, job.retry.factor) == (2, timedelta(minutes=1), 1.0)
    assert job.env["STAGE"] == "test"


def test_a_secret_hides_a_default_variable(every):
    assert "TOKEN" not in every.jobs["1"].env
    assert every.jobs["1"].secrets == {"TOKEN": "path/of.the@secret"}


def test_a_backoff_longer_than_the_default_cap_is_kept(every):
    assert every.jobs["three"].retry.cap == timedelta(hours=2)


def test_programs_get_what_is_written():
    read = jobfile.load(str(FOLDER / "plain-text.yaml"))
    assert read.app == "yes"
    job = read.jobs["on"]
    assert job.command == (
        "run", "on", "off", "yes", "no", "y", "12:30", "1_000", "0o17", "0x1F", "007", "1.10", "1e3", "true",
        "2024-01-01", ".5",
    )  # fmt: skip
    assert job.env == {
        "ANSWER": "no",
        "TIME": "12:30",
        "VERSION": "1.10",
        "BOND": "007",
        "OCTAL": "0o17",
        "FLAG": "true",
        "SHOUT": "TRUE",
        "DATE": "2024-01-01",
        "HASH": "a#b",
        "MULTI": "one\ntwo\n",
        "FOLDED": "one two",
    }


def test_aliases():
    read = jobfile.load(str(FOLDER / "aliases.yaml"))
    first, second = read.jobs["load"], read.jobs["load-again"]
    assert (first.command, first.env, first.triggers, first.reads) == (
        second.command, second.env, second.triggers, second.reads
    )  # fmt: skip
    assert second.reads == ("raw-data",)


def test_places_are_those_of_keys_and_items(sales):
    def at(path: str) -> tuple[int, int]:
        return sales.places[path].line, sales.places[path].column

    assert at("jobs.csv-analyzer") == (15, 3)
    assert at("jobs.csv-analyzer.on.0") == (19, 9)
    assert at("jobs.csv-analyzer.on.0.upload.bucket") == (19, 18)
    assert at("jobs.nightly.on.0.schedule") == (31, 10)
    assert at("jobs.csv-analyzer.reads.0") == (24, 13)
    assert at("jobs.csv-analyzer.env.INPUT_KEY") == (22, 7)
    assert sales.place("jobs.csv-analyzer.timeout") == sales.places["jobs.csv-analyzer"]
    assert set(sales.places) >= {
        f"jobs.{job}.on.{n}" for job in sales.jobs for n, _ in enumerate(sales.jobs[job].triggers)
    }


def test_places_carry_the_name_that_was_given(monkeypatch):
    monkeypatch.chdir(FOLDER)
    read = jobfile.load("minimal.yaml")
    assert read.places["app"] == Place("minimal.yaml", 1, 1)
    assert read.path == str(FOLDER / "minimal.yaml")


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "wherry.yaml"
    path.write_bytes("\ufeffapp: demo\r\njobs:\r\n  größe:\r\n".replace("größe:", "a: {command: [x]}").encode())
    read = jobfile.load(str(path))
    assert read.places["jobs.a"].line == 3
    assert read.places["app"].column == 1


@pytest.mark.parametrize(
    ("written", "vcpus"), [("0.25", 0.25), (".5", 0.5), ("1", 1.0), ("64", 64.0), ("256", 0.25), ("4096", 4.0)]
)
def test_cpu(written, vcpus):
    assert parse(f"app: a\ndefaults: {{cpu: {written}}}\njobs: {{j: {{command: x}}}}").jobs["j"].cpu == vcpus


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_REGION"])
def test_aws_variables_are_the_users_own_decision(name):
    assert parse(f"app: a\njobs: {{j: {{command: x, env: {{{name}: y}}}}}}").jobs["j"].env == {name: "y"}


def test_queue_without_a_source_and_interval_in_a_shell_command():
    read = parse('app: a\nqueues: {q: {}}\njobs: {j: {command: "x ${interval.start} ${queue.q.url}"}}')
    assert read.queues["q"] == Queue(name="q")


def test_a_thousand_jobs_after_each_other_are_no_circle():
    jobs = "".join(f"  j{n}: {{command: x, on: [{{after: j{n - 1}}}]}}\n" for n in range(1, 1500))
    assert len(parse(f"app: a\njobs:\n  j0: {{command: x}}\n{jobs}").jobs) == 1500


def test_unreadable_files(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        jobfile.load(str(tmp_path / "wherry.yaml"))
    with pytest.raises(UserError, match="is a folder"):
        jobfile.load(str(tmp_path))
    with pytest.raises(UserError, match="cannot be read"):
        jobfile.load("a\0b")


def test_too_large(tmp_path):
    path = tmp_path / "wherry.yaml"
    path.write_bytes(b"# " + b"x" * 1_000_000)
    with pytest.raises(UserError, match="larger than 1 MB"):
        jobfile.load(str(path))
