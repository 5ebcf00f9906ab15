"""Any valid job file compiles to a template that cfn-lint accepts, byte by byte the same each time."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.aws.lint import lint
from tests.conftest import BIN
from wherry import jobfile
from wherry.aws.compile import base_template, compile_template
from wherry.aws.given import Given, GivenNetwork
from wherry.aws.template import to_json, to_yaml

names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(str.strip)
plain = words.map(lambda text: text.replace("$", "§"))
filled = st.sampled_from(["$.detail.x", "$.detail.items[0]", "${event.id}/${bucket.data}", "a ${interval.end}", "$"])
sizes = st.sampled_from(
    [{}, {"cpu": 0.25}, {"cpu": 1, "memory": "2GB"}, {"memory": "30GB"}, {"cpu": 16, "memory": "64GB"}]
)
durations = st.sampled_from(["1s", "90s", "2h", "1d", "250ms"])
triggers = st.one_of(
    st.builds(
        lambda schedule, zone, catch_up, more: {"schedule": schedule, "timezone": zone, "catch_up": catch_up, **more},
        st.sampled_from(["rate(2 minutes)", "cron(0 5 ? * MON-FRI *)", "0 3 1 * *", "at(2030-01-01T00:00:00)"]),
        st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
        st.sampled_from(["none", "latest", "all"]),
        st.sampled_from([{}, {"window": "1m"}]),
    ),
    st.builds(
        lambda bucket, suffix: {"upload": {"bucket": bucket, "suffix": suffix}},
        st.sampled_from(["data", "theirs"]),
        plain.map(lambda text: text.replace("*", "")).filter(str.strip),
    ),
    st.sampled_from([{"invoke": {}}, {"invoke": {"url": True}}]),
    st.builds(lambda source: {"event": {"source": [source], "detail": {"n": [{"numeric": [">", 1]}]}}}, plain),
)
retries = st.fixed_dictionaries(
    {"attempts": st.integers(1, 9)},
    optional={"backoff": durations, "factor": st.sampled_from([1, 1.5, 100]), "jitter": st.sampled_from([0, 0.5, 1])},
)
feeds = st.one_of(
    st.builds(
        lambda bucket, prefix, form: {"bucket": bucket, "prefix": prefix, "format": form},
        st.sampled_from(["data", "theirs"]),
        plain,
        st.sampled_from(["event", "s3"]),
    ),
    st.builds(lambda source: {"event": {"source": [source]}}, plain.filter(lambda text: text != "wherry")),
)
seconds = st.sampled_from(["1s", "90s", "2h"])
queues = st.fixed_dictionaries(
    {},
    optional={
        "from": feeds,
        "visibility": seconds,
        "max_receives": st.integers(1, 1000),
        "delay": st.sampled_from(["0s", "15m"]),
        "retention": st.sampled_from(["1m", "14d"]),
    },
)
workers = st.fixed_dictionaries(
    {"max": st.integers(2, 1000)},
    optional={
        "min": st.integers(0, 2),
        "backlog": st.integers(1, 100_000),
        "idle": st.sampled_from(["1s", "7m", "1d"]),
    },
)
takers = st.fixed_dictionaries(
    {"workers": workers},
    optional={"batch": st.integers(1, 10), "exit_codes": st.just({"drop": [3], "give_back": [75]})},
)
jobs = st.fixed_dictionaries(
    {"command": st.lists(plain | filled, min_size=1, max_size=3) | plain},
    optional={
        "image": st.sampled_from(["busybox:1", "ghcr.io/a/b@sha256:" + "0" * 64]),
        "on": st.lists(triggers, max_size=3, unique_by=lambda each: "invoke" if "invoke" in each else json.dumps(each)),
        "env": st.dictionaries(st.sampled_from(["A", "B_C", "X1"]), plain | filled, max_size=3),
        "secrets": st.dictionaries(st.sampled_from(["S", "T"]), names, max_size=2),
        "reads": st.just(["data", "theirs"]),
        "writes": st.just(["data"]),
        "retry": retries,
        "timeout": durations,
        "overlap": st.sampled_from(["skip", "wait", "allow"]),
        "concurrency": st.integers(1, 5),
        "own": st.booleans(),
        "helpers": st.dictionaries(names, st.fixed_dictionaries({"command": st.lists(plain, min_size=1)}), max_size=2),
    },
)
environments = st.fixed_dictionaries(
    {"region": st.sampled_from(["us-east-1", "eu-central-1"])},
    optional={
        "capacity": st.sampled_from(["fargate", "fargate-spot", "ec2"]),
        "platform": st.sampled_from(["linux/amd64", "linux/arm64"]),
        "alerts": st.just(["ops@example.com", "https://example.com/x"]),
        "bus": st.sampled_from(
            [
                "orders",
                {"name": "shop"},
                {"name": "shop", "accounts": ["111122223333", "444455556666"]},
                {"name": "default", "accounts": ["111122223333"]},
                "arn:aws:events:us-east-1:111122223333:event-bus/partners/shop",
            ]
        ),
        "keep": st.just({"age": "45d"}),
    },
)


def with_queues(document, queues, taker):
    """Queues for a job file: the first is taken by its first job, in one mode or the other; all may send to all."""
    queues = {name: _possible(name, queue) for name, queue in queues.items()}
    told = [name for name, queue in queues.items() if queue.get("from", {}).get("format") == "s3"]
    for name in told[1:]:  # filters of chance may overlap
        queues[name]["from"] = queues[name]["from"] | {"format": "event"}
    document["queues"] = queues
    for job in document["jobs"].values():
        job["sends"] = sorted(queues)
    job = next((job for job in document["jobs"].values() if "task_definition" not in job), None)
    if queues and job:
        job["on"] = [*job.get("on", []), {"queue": next(iter(queues)), **taker}]
        job["env"] = {**job.get("env", {}), "OUT": f"${{queue.{next(iter(queues))}.url}} $${{x}}"}
        for helper in job.get("helpers", {}).values():
            helper.pop("env", None)
    return document


def _possible(name, queue):
    if not name.endswith(".fifo"):
        return queue
    feed = {key: value for key, value in queue.get("from", {}).items() if key != "format"}
    return {**queue, "content_deduplication": True} | ({"from": feed} if feed else {})


def finished(job, sizes):
    """A job with a size, or of the task definition that such jobs share, without what its file says instead."""
    plain = {key: value for key, value in job.items() if key != "own"}
    if not job.get("own"):
        return plain | sizes
    return {key: plain[key] for key in plain if key not in ("image", "helpers")} | {"task_definition": "own.json"}


def on_instances(environment, jobs):
    """With `capacity: ec2` what it needs: instances of the platform that are large enough, a network for helpers."""
    if environment.get("capacity") != "ec2":
        return environment
    family = "m7g" if environment.get("platform") == "linux/arm64" else "m7i"
    private = {"subnets": ["subnet-0a1b2c3d"], "public_ip": False}
    helped = any("helpers" in job and job["helpers"] for job in jobs.values())
    return {**environment, "instances": {"type": f"{family}.16xlarge"}} | ({"network": private} if helped else {})


files = st.builds(
    lambda app, jobs, sizes, environment: {
        "app": app,
        "buckets": {"data": {}, "theirs": {"existing": "acme-landing"}},
        "jobs": {name: finished(job, sizes) for name, job in jobs.items()},
        "environments": {"prod": on_instances(environment, jobs)},
    },
    names,
    st.dictionaries(names, jobs, min_size=1, max_size=3),
    sizes,
    environments,
)
files = st.builds(
    with_queues, files, st.dictionaries(names | names.map(lambda name: f"{name}.fifo"), queues, max_size=3), takers
)
networks = st.sampled_from([None, GivenNetwork(vpc="vpc-0a1b2c3d", subnets=("subnet-0a1b2c3d", "subnet-0a1b2c3e"))])


def own_definition(region):
    """A task definition of the user's own: several jobs may share its family and its log group."""
    options = {"awslogs-group": "/ecs/own", "awslogs-region": region, "awslogs-stream-prefix": "ecs"}
    container = {"name": "own", "image": "busybox:1", "logConfiguration": {"logDriver": "awslogs", "options": options}}
    return {"family": "own", "cpu": "256", "memory": "512", "containerDefinitions": [container]}


SHARED = {
    "app": "x",
    "jobs": {"a": {"task_definition": "own.json"}, "b": {"task_definition": "own.json", "secrets": {"S": "s"}}},
    "environments": {"prod": {"region": "us-east-1"}},
}


@example(document=SHARED, network=None)
@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(document=files, network=networks)
def test_it_compiles_to_what_cfn_lint_accepts(document, network):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wherry.yaml"
        path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        own = own_definition(document["environments"]["prod"]["region"])
        (Path(folder) / "own.json").write_text(json.dumps(own), encoding="utf-8")
        made = []
        for _ in range(2):
            read = jobfile.load(str(path))
            environment = read.environments["prod"]
            made.append((compile_template(read, environment, Given(network=network)), base_template(read, environment)))
    assert [to_json(each) for each in made[0]] == [to_json(each) for each in made[1]]
    assert [yaml.safe_load(to_yaml(each)) for each in made[0]] == list(made[0])
    assert lint({"main": made[0][0], "base": made[0][1]}) == []


@pytest.mark.parametrize("seed", ["1", "2"])
def test_no_order_of_chance_is_in_it(project, seed):
    """Sets and dictionaries of a process have orders of their own; a template must not."""
    source = Path(__file__).parent / "templates" / "events.yaml"
    project.jobfile(source.read_text(encoding="utf-8"))
    done = subprocess.run(
        [f"{BIN}/wherry", "template", "--env", "prod"],
        cwd=project.folder,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    golden = (source.parent / "goldens" / source.name).read_text(encoding="utf-8")
    assert done.stdout == golden.partition("---\n")[2]
