"""`wherry cost` from the job file: what people and programs see. `GOLDEN=write` rewrites; then read it as a stranger."""

import json
import math
import os
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.conftest import BUSYBOX, wait_for

ROOT = Path(__file__).parent.parent.parent
GOLDEN = Path(__file__).parent / "golden/cost-csv-analyzer.txt"
JOBFILE = """\
app: sums
jobs:
  small: {command: [x], cpu: 0.25, memory: 512MB}
  middle: {command: [x], cpu: 1, memory: 2GB}
  large: {command: [x], cpu: 4, memory: 30GB, timeout: 2h}
  stored: {task_definition: task.json}
environments:
  prod: {region: eu-central-1}
"""
STORED = {
    "family": "stored",
    "cpu": "2 vCPU",
    "memory": "4096",
    "ephemeralStorage": {"sizeInGiB": 100},
    "containerDefinitions": [{"name": "main", "image": BUSYBOX}],
}
STARTED = """\
app: started
jobs:
  hourly: {command: [x], on: [{schedule: "rate(1 hour)"}], timeout: 5m, secrets: {A: one, B: two}}
  next: {command: [x], on: [{after: hourly}], timeout: 5m, secrets: {A: one}}
  both:
    command: [x]
    timeout: 5m
    on: [{schedule: "0 5 * * *"}, {event: {source: [shop]}}]
  by-hand: {command: [x], timeout: 5m}
environments:
  prod: {region: eu-central-1}
  spot: {region: eu-central-1, capacity: fargate-spot}
  arm: {region: eu-central-1, platform: linux/arm64}
  closed: {region: eu-central-1, network: {subnets: [subnet-1], public_ip: false}}
"""


@pytest.fixture
def sums(project):
    project.jobfile(JOBFILE)
    project.file("task.json", json.dumps(STORED))
    return project


@pytest.fixture
def started(project):
    project.jobfile(STARTED)
    return project


def cost(project, *arguments):
    return json.loads(project.wherry("cost", "--json", *arguments).stdout)


def parts(job) -> dict[str, Decimal]:
    return {part["what"]: Decimal(part["amount"]) for part in job["parts"]}


@pytest.mark.parametrize(
    ("job", "region", "duration", "amount"),
    [
        ("small", "eu-central-1", "45s", "0.00023658"),
        ("middle", "us-east-1", "10m", "0.00822833"),
        ("large", "ap-northeast-1", "2h", "0.73628"),
        ("stored", "eu-west-1", "1h", "0.1085"),
        ("small", "eu-central-1", "1h", "0.014195"),
    ],
)
def test_worked_by_hand(sums, job, region, duration, amount):
    found = cost(sums, job, "--region", region, "--duration", duration)
    assert found["region"] == region
    assert parts(found["jobs"][job])["compute"].quantize(Decimal("1e-8")) == Decimal(amount)
    assert list(found["jobs"]) == [job]


def test_a_public_address(sums):
    job = cost(sums, "middle", "--region", "us-east-1", "--duration", "10m")["jobs"]["middle"]
    assert parts(job)["public IPv4"].quantize(Decimal("1e-6")) == Decimal("0.000833")
    doubts = {part["what"]: part["doubt"] for part in job["parts"]}
    assert doubts["public IPv4"] == "if it is billed by the second, not by the hour"


def test_people_see_this(project):
    shutil.copytree(
        ROOT / "examples/csv-analyzer", project.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".wherry")
    )
    text = project.wherry("cost").stdout
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_date_and_the_sources_are_told(sums):
    assert "prices of eu-central-1 (Frankfurt) as of 2026-10-05, US dollars" in sums.wherry("cost").stdout
    found = cost(sums)
    assert found["prices_of"] == "2026-10-05"
    assert found["sources"]["price-list"]["date"] == "2026-08-16"
    assert found["sources"]["price-list"]["verified"]


def test_what_is_not_verified_or_missing_is_said(sums):
    shown = sums.wherry("cost", "small", "--region", "eu-west-2").stdout
    assert "x $0.04656 + 0.5 GB x $0.00511) an hour [2] (unverified price)\n" in shown
    assert "logs                                  ?  1 MB, assumed (no price is known for eu-west-2)\n" in shown
    assert "without logs\n" in shown
    assert "[2] unverified: from memory; no source was found (undated)\n" in shown


def test_how_long_a_run_takes(sums):
    lengths = {name: job["duration"] for name, job in cost(sums)["jobs"].items()}
    assert lengths["large"] == {"seconds": 7200.0, "from": "its `timeout`"}
    assert lengths["small"] == {"seconds": 3600.0, "from": "assumed: it has no `timeout`; `--duration` says it"}
    assert cost(sums, "--duration", "1m30s")["jobs"]["large"]["duration"] == {"seconds": 90.0, "from": "as given"}
    assert "on Lambda                             -  cannot: longer than 15 minutes\n" in sums.wherry("cost").stdout


def test_how_many_runs_there_are(started):
    found = cost(started, "--env", "prod")
    assert {name: job["runs_per_month"] for name, job in found["jobs"].items()} == {
        "hourly": {"number": "730.5", "from": "by its schedule"},
        "next": {"number": "730.5", "from": "as many as of hourly"},
        "both": {"number": None, "from": "event"},
        "by-hand": {"number": None, "from": "by hand"},
    }
    assert found["without_runs_of"] == ["both", "by-hand"]
    known = Decimal(found["jobs"]["hourly"]["per_month"]) + Decimal(found["jobs"]["next"]["per_month"])
    assert abs(Decimal(found["per_month"]) - Decimal(found["idle"]["per_month"]) - known) < Decimal("1e-11")
    counted = cost(started, "--env", "prod", "--runs", "100")["jobs"]
    assert counted["both"]["runs_per_month"] == {"number": "130.4375", "from": "by its schedule and as given"}
    assert counted["by-hand"]["runs_per_month"]["number"] == "100"
    assert counted["hourly"]["runs_per_month"]["number"] == "730.5"


def test_what_stands_there(started):
    idle = {part["what"]: part["amount"] for part in cost(started, "--env", "prod")["idle"]["parts"]}
    assert list(idle)[:2] == ["NAT gateways", "interface endpoints"]
    assert {name: amount for name, amount in idle.items() if amount != "0"} == {
        "secrets": "0.8",
        "images in ECR": "0.4",
    }


def test_transitions(started):
    jobs = cost(started, "--env", "prod")["jobs"]
    how = {name: next(p["how"] for p in job["parts"] if p["what"] == "Step Functions") for name, job in jobs.items()}
    assert how == {
        # Begin, Check, Run, Judge, Decide, Succeeded, start, end; Event, Firing, Start, Done, start, end
        "hourly": "14 transitions x $0.025 per 1,000",
        "next": "15 transitions x $0.025 per 1,000",
        "both": "13 transitions x $0.025 per 1,000",
        "by-hand": "8 transitions x $0.025 per 1,000",
    }


def test_other_capacities(started):
    plain, spot, arm = (cost(started, "by-hand", "--env", name)["jobs"]["by-hand"] for name in ("prod", "spot", "arm"))
    assert parts(spot)["compute"] == (parts(plain)["compute"] * Decimal("0.35")).quantize(Decimal("1e-12"))
    assert spot["on_fargate_spot"] is None
    assert arm["platform"] == "linux/arm64"
    hour = Decimal("0.25") * Decimal("0.03725") + Decimal("0.5") * Decimal("0.00409")
    assert parts(arm)["compute"] == (hour / 12).quantize(Decimal("1e-12"))
    shown = started.wherry("cost", "--env", "closed").stdout
    assert "public IPv4  " not in shown
    assert "tasks have no public address: what leads them out (NAT, endpoints) is not in these sums\n" in shown


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (
            ["--region", "eu-centrl-1"],
            "there are no prices for region `eu-centrl-1`",
            "did you mean `eu-central-1`?; known: ",
        ),
        (["smal"], "there is no job `smal`", "did you mean `small`?"),
        (["--duration", "soon"], "`--duration` must be a duration such as `90s`", "`--duration 10m`"),
        (["--duration", "0s"], "`--duration` must be longer than nothing", "`--duration 10m`"),
        (["--runs", "-1"], "`--runs` is a number of runs a month: 0 or more", ""),
        (["--env", "prodd"], "there is no environment `prodd`", "did you mean `prod`?"),
        (["--since", "7d"], "`--since` goes with `--actual`", "`wherry cost --actual --since 7d`"),
        (["--actual", "--runs", "3"], "`--runs` is for what a run would cost, not for what has run", "leave one out"),
        (["--actual", "nope"], "there is no job `nope`", ""),
        (["--actual", "--refresh"], "argument --refresh: not allowed with argument --actual", ""),
    ],
)
def test_mistakes(sums, arguments, message, hint):
    told = sums.wherry("cost", *arguments, code=2).stderr
    assert told.startswith(f"error: {message}")
    assert hint in told


def test_without_an_environment_on_aws(project):
    project.jobfile("app: a\njobs: {one: {command: [x]}}\n")
    assert "which region's prices?" in project.wherry("cost", code=2).stderr
    assert "a, if it were on Fargate: prices of us-east-1" in project.wherry("cost", "--region", "us-east-1").stdout
    assert "(Ireland)" in project.wherry("cost", env={"AWS_REGION": "eu-west-1"}).stdout


def test_a_run_here_would_have_cost(project):
    project.jobfile(
        "app: a\njobs:\n  one: {command: [sh, -c, 'exit 3'], cpu: 1, memory: 2GB, retry: {attempts: 2}}\n"
        "  two: {command: ['true']}\nenvironments: {prod: {region: us-east-1}}\n"
    )
    project.wherry("run", "one", code=3)
    project.wherry("run", "two")
    runs = {run["job"]: run["id"] for run in json.loads(project.wherry("runs", "--json").stdout)}
    found = cost(project, "--run", runs["one"])
    assert found["would_have_cost"]
    assert [attempt["billed_seconds"] for attempt in found["attempts"]] == [60, 60]
    for attempt in found["attempts"]:
        compute = next(part for part in attempt["parts"] if part["what"] == "compute")
        assert Decimal(compute["amount"]) == (Decimal("0.04937") / 60).quantize(Decimal("1e-12"))
    assert found["parts"][0]["how"] == "12 transitions x $0.025 per 1,000"
    shown = project.wherry("cost", "--run", runs["one"]).stdout
    assert "it ran here: this is what it would have cost on Fargate\n" in shown
    sums = cost(project, "--actual")
    assert {name: (job["runs"], job["attempts"]) for name, job in sums["jobs"].items()} == {
        "one": (1, 2),
        "two": (1, 1),
    }
    assert Decimal(sums["amount"]) >= Decimal(found["amount"])
    assert list(cost(project, "two", "--actual")["jobs"]) == ["two"]
    # what has run says how long a run takes
    assert cost(project)["jobs"]["two"]["duration"]["from"] == "the median of what ran here"
    measured = cost(project, "--measured", "--env", "local")["jobs"]["two"]
    assert measured["runs_per_month"] == {"number": "1.014583333333", "from": "of the last 30 days in local"}


def test_a_message_here_is_a_part_of_a_worker(project):
    project.jobfile(
        "app: a\nqueues: {letters: {}}\njobs:\n  read: {command: ['true'], cpu: 1, memory: 2GB, "
        "on: [{queue: letters}]}\nenvironments: {prod: {region: us-east-1}}\n"
    )
    project.wherry("queue", "send", "letters", "hello")
    project.up()
    (run,) = wait_for(lambda: json.loads(project.wherry("runs", "--status", "succeeded", "--json").stdout), "the run")
    found = cost(project, "--run", run["id"])
    (attempt,) = found["attempts"]
    assert attempt["billed_seconds"] == math.ceil(attempt["seconds"])
    assert "s of a worker x " in attempt["parts"][0]["how"]
    assert [part["what"] for part in found["parts"]] == ["SQS"]
    # what it would cost, and has cost, by the same rule
    told = cost(project, "read", "--duration", f"{attempt['billed_seconds']}s")["jobs"]["read"]
    assert told["parts"][0]["amount"] == attempt["parts"][0]["amount"]
    assert [part for part in told["parts"] if part["what"] == "SQS"] == found["parts"]


def test_nothing_has_run(sums):
    assert sums.wherry("cost", "--actual").stderr == "no runs\n"
    assert cost(sums, "--actual")["jobs"] == {}


def test_an_estimate_leaves_nothing_behind(sums):
    before = sorted(sums.folder.iterdir())
    sums.wherry("cost")
    assert sorted(sums.folder.iterdir()) == before
