"""What templates come to for a bill."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from wherry import jobfile
from wherry.aws.billing import deployment_of
from wherry.aws.compile import base_template, compile_template
from wherry.aws.given import Given
from wherry.cli import prices
from wherry.cost.bill import bill
from wherry.cost.counts import counts_of
from wherry.cost.standing import idle
from wherry.model import JobFile

TEMPLATES = sorted((Path(__file__).parent / "templates").glob("*.yaml"))
NONE = JobFile(path="/none", app="none")


def standing(region, **resources):
    """What these resources cost in a month in which nothing runs."""
    made = {name: {"Type": f"AWS::{kind}", "Properties": told} for name, (kind, told) in resources.items()}
    deployment = deployment_of(NONE, {"Resources": made})
    tariff = prices.packaged().tariff(region)
    found = {part.what: part.amount and part.amount.quantize(Decimal("0.01")) for part in idle(deployment, tariff)}
    return {name: amount for name, amount in found.items() if amount != 0}, bill(deployment, tariff, {}, {}).unpriced


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_job_is_found_with_its_way(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    read = jobfile.load(path.name)
    environment = read.environments["prod"]
    made = compile_template(read, environment, Given()), base_template(read, environment)
    works = deployment_of(read, *made).works
    assert works.keys() == read.jobs.keys()
    for name, work in works.items():
        job = read.jobs[name]
        kinds = {trigger.kind for trigger in job.triggers}
        assert len(work.schedules) == sum(trigger.kind == "schedule" for trigger in job.triggers)
        assert {"upload", "event", "invoke", "queue"} & kinds == set(work.others)
        assert work.after == tuple(trigger.job for trigger in job.triggers if trigger.kind == "after")
        assert work.timeout == job.timeout
        assert 8 <= work.transitions <= 10
        assert work.again == 4
        kinds -= {"invoke", "queue"}  # a function starts the run itself, and a worker is there already
        assert not kinds or {kind: work.dispatched[kind] for kind in kinds} == {
            kind: {"schedule": 6, "upload": 5, "event": 5, "after": 7}[kind] for kind in kinds
        }
    assert counts_of(deployment_of(read, *made), datetime(2026, 1, 1, tzinfo=UTC), given={}).keys() == read.jobs.keys()


def test_workers_and_alarms_of_expressions(monkeypatch):
    """Of the queues with a worker that is always there, and of those that are looked at."""
    monkeypatch.chdir(TEMPLATES[0].parent)
    read = jobfile.load("queues.yaml")
    deployment = deployment_of(read, compile_template(read, read.environments["prod"], Given()))
    assert [(job, count, task.cpu) for job, count, task in deployment.always] == [("orders", 1, Decimal("0.25"))]
    found = {part.what: part for part in idle(deployment, prices.packaged().tariff("eu-central-1"))}
    assert found["workers"].amount.quantize(Decimal("0.01")) == Decimal("10.36")  # 730 hours at $0.014195
    assert found["public IPv4 of workers"].amount == Decimal("3.65")
    assert deployment.standing["alarm-month"] == 3 + 3 * 5 + (5 + 4)  # the usual ones, the workers', and of the queues
    assert found["looks at queues"].amount + found["requests to queues"].amount == Decimal("0.18396")


def test_a_network_that_costs_more_than_the_rest():
    endpoint = {"VpcEndpointType": "Interface", "SubnetIds": ["a", "b"]}
    found, _ = standing(
        "us-east-1",
        Nat=("EC2::NatGateway", {}),
        Address=("EC2::EIP", {}),
        Gateway=("EC2::VPCEndpoint", {"VpcEndpointType": "Gateway"}),
        **{f"Endpoint{number}": ("EC2::VPCEndpoint", endpoint) for number in range(4)},
    )
    assert found == {
        "NAT gateways": Decimal("32.85"),
        "interface endpoints": Decimal("58.40"),
        "public IPv4 addresses": Decimal("3.65"),
    }


def test_alarms_dashboards_secrets_keys():
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:token-AbCdEf"
    values = [
        secret,
        f"{secret}:key::",
        {"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:x:secret:other"},
    ]
    values.append("arn:aws:ssm:eu-west-1:123456789012:parameter/free")
    container = {"Secrets": [{"Name": "A", "ValueFrom": value} for value in values]}
    found, unpriced = standing(
        "eu-west-1",
        Alarm=("CloudWatch::Alarm", {}),
        Board=("CloudWatch::Dashboard", {}),
        Filter=("Logs::MetricFilter", {}),
        Key=("KMS::Key", {}),
        Task=("ECS::TaskDefinition", {"ContainerDefinitions": [container]}),
        Service=("ECS::Service", {}),
    )
    assert found == {
        "secrets": Decimal("0.80"),
        "alarms": Decimal("0.10"),
        "dashboards": Decimal("3.00"),
        "metrics of one's own": Decimal("0.30"),
        "keys": Decimal("1.00"),
    }
    assert unpriced == ("services: not in these sums",)


@pytest.mark.parametrize(
    ("kind", "least", "found", "said"),
    [
        ("t3.small", "0", {}, "each t3.small costs $0.0228 an hour while it is there: not in these sums"),
        ("t3.small", "1", {"instances": Decimal("16.64")}, "each t3.small costs $0.0228 an hour while it is there"),
        ("m7i.large", "0", {}, "EC2 instances (m7i.large) are billed by EC2: not priced here"),
        ("m7i.large", "1", {"instances": None}, "EC2 instances (m7i.large) are billed by EC2: not priced here"),
    ],
)
def test_instances(kind, least, found, said):
    group = {"MinSize": least, "LaunchTemplate": {"LaunchTemplateId": {"Ref": "Template"}}}
    template = {"LaunchTemplateData": {"InstanceType": kind}}
    standing_, unpriced = standing(
        "eu-west-1", Group=("AutoScaling::AutoScalingGroup", group), Template=("EC2::LaunchTemplate", template)
    )
    assert standing_ == found
    assert unpriced[0].startswith(said)
