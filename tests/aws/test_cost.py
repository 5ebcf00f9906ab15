"""What a change and a run cost, on the stand-in."""

import json
from decimal import Decimal

import pytest

from tests.conftest import BUSYBOX

REGION = "eu-west-1"
JOBFILE = f"""
app: dear
jobs:
  short:
    image: {BUSYBOX}
    command: [sh, -c, "sleep 1"]
    cpu: 0.25
    memory: 512MB
    timeout: 10m
    on: [{{schedule: "rate(1 day)"}}]
  fails:
    image: {BUSYBOX}
    command: [sh, -c, "exit 3"]
    timeout: 10m
    retry: {{attempts: 2}}
  slow:
    image: {BUSYBOX}
    command: [sh, -c, "sleep 60"]
    timeout: 3s
environments:
  prod: {{region: {REGION}}}
"""
COMPUTE = {"0.25": Decimal("0.0123425"), "1": Decimal("0.04937")}


@pytest.fixture
def dear(cloud):
    cloud.project.jobfile(JOBFILE)
    return cloud


def cost(cloud, *arguments):
    return json.loads(cloud.wherry("cost", "--json", *arguments).stdout)


def test_a_plan_shows_the_difference(dear, docker_engine, monkeypatch):
    first = dear.wherry("plan").stdout.splitlines()
    assert any(line.startswith("per month: $0.00 -> $") for line in first)
    dear.wherry("deploy", "--yes")
    assert dear.plan()["cost"] is None

    dear.project.jobfile(JOBFILE.replace("cpu: 0.25", "cpu: 1").replace("512MB", "2GB"))
    lines = dear.wherry("plan").stdout.splitlines()
    line = next(line for line in lines if line.startswith("per month:"))
    told = cost(dear, "short", "--duration", "10m")["jobs"]["short"]
    after = Decimal(told["per_run"])
    before = after - (COMPUTE["1"] - COMPUTE["0.25"]) / 6
    assert f"(idle $0.00; a run of short, 10m, ${before:.6f} -> ${after:.6f})" in line
    assert lines[lines.index(line) + 1] == (
        "  eu-west-1, prices as of 2026-10-05; without the runs of fails, the runs of slow"
    )
    found = dear.plan()["cost"]
    assert found["region"] == REGION
    month = Decimal("30.4375") * (COMPUTE["1"] - COMPUTE["0.25"]) / 6
    assert abs(Decimal(found["per_month"]["after"]) - Decimal(found["per_month"]["before"]) - month) < Decimal("1e-11")

    # where there are no prices a plan is a plan none the less
    table = dear.project.file("prices.toml", "no table")
    monkeypatch.setenv("WHERRY_PRICES", str(table))
    shown = dear.wherry("plan").stdout
    assert f"what it costs is not known: {table} is no price table: " in shown
    assert "~ job short: its task" in shown
    assert "is no price table" in dear.plan()["cost"]["unknown"]


def test_a_plan_in_a_region_without_prices(dear):
    shown = dear.wherry("plan", "--region", "ca-central-1").stdout
    assert "what it costs is not known: there are no prices for region `ca-central-1`\n" in shown
    assert "+ job short: " in shown


def test_what_runs_have_cost(dear, docker_engine):
    dear.wherry("deploy", "--yes")
    dear.wherry("run", "short", "--env", "prod")
    dear.wherry("run", "fails", "--env", "prod", code=3)
    dear.wherry("run", "slow", "--env", "prod", code=124)
    runs = {run["job"]: run["id"] for run in json.loads(dear.wherry("runs", "--env", "prod", "--json").stdout)}

    short = cost(dear, "--run", runs["short"], "--env", "prod")
    assert not short["would_have_cost"]
    attempt = short["attempts"][0]
    # from the beginning of the pull to the stop, and a minute at least
    assert 1 <= attempt["seconds"] < 60
    assert attempt["billed_seconds"] == 60
    compute, address = attempt["parts"]
    assert Decimal(compute["amount"]) == (COMPUTE["0.25"] / 60).quantize(Decimal("1e-12"))
    assert Decimal(address["amount"]) == (Decimal("0.005") / 60).quantize(Decimal("1e-12"))
    assert compute["doubt"] is None

    fails = cost(dear, "--run", runs["fails"], "--env", "prod")
    assert [attempt["billed_seconds"] for attempt in fails["attempts"]] == [60, 60]

    slow = cost(dear, "--run", runs["slow"], "--env", "prod")["attempts"][0]
    assert slow["billed_seconds"] == 60

    # as many transitions as there were states, and two for start and end
    states = dear.client("stepfunctions")
    account, region = dear.account.id, dear.account.region
    for job, run in runs.items():
        arn = f"arn:aws:states:{region}:{account}:execution:dear-prod_{job}:{run}"
        history = states.get_paginator("get_execution_history").paginate(executionArn=arn)
        entered = sum(event["type"].endswith("StateEntered") for page in history for event in page["events"])
        told = cost(dear, "--run", run, "--env", "prod")["parts"][0]["how"]
        assert told == f"{entered + 2} transitions x $0.025 per 1,000"

    sums = cost(dear, "--actual", "--env", "prod")
    assert {name: (job["runs"], job["attempts"]) for name, job in sums["jobs"].items()} == {
        "fails": (1, 2),
        "short": (1, 1),
        "slow": (1, 1),
    }
    assert Decimal(sums["jobs"]["short"]["amount"]) == Decimal(short["amount"])
    shown = dear.wherry("cost", "--actual", "--env", "prod").stdout
    assert "runs in prod since " in shown
    measured = cost(dear, "--measured", "--env", "prod")["jobs"]
    assert measured["short"]["duration"]["from"] == "the median of what ran in prod"
    assert measured["fails"]["runs_per_month"] == {"number": "1.014583333333", "from": "of the last 30 days in prod"}
    assert measured["slow"]["duration"]["from"] == "its `timeout`"

    # what was deployed was billed, whatever the job file says by now
    dear.project.jobfile(JOBFILE.replace("cpu: 0.25", "cpu: 1").replace("512MB", "2GB"))
    assert cost(dear, "--run", runs["short"], "--env", "prod")["attempts"][0]["parts"][0]["amount"] == compute["amount"]
