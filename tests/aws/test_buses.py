"""Events between accounts: a bus of the environment's own that others put on, and the bus of another account."""

import contextlib
import json
import time

import pytest
from botocore.exceptions import ClientError

from tests.conftest import wait_for

JOBFILE = """
app: orders
jobs:
  placed:
    image: wherry-busybox:1
    command: [echo, $.detail.id, $.account, "${bus}"]
    on: [{event: {source: [shop], account: [ACCOUNT]}}]
environments: {prod: {region: eu-west-1, bus: BUS}}
"""


@pytest.fixture
def other(standin):
    """Another account."""
    return standin.account()


def write(cloud, bus, sender):
    cloud.project.jobfile(JOBFILE.replace("BUS", bus).replace("ACCOUNT", f'"{sender.id}"'))


def put(account, bus, number):
    detail = json.dumps({"id": number})
    entry = {"Source": "shop", "DetailType": "order placed", "Detail": detail, "EventBusName": bus}
    return account.client("events").put_events(Entries=[entry])


def log_of_the_run(cloud):
    def look():
        found = json.loads(cloud.wherry("runs", "--env", "prod", "--json").stdout)
        return found[0] if found and found[0]["ended_at"] else None

    return cloud.wherry("logs", wait_for(look, "a run")["id"], "--env", "prod").stdout


@contextlib.contextmanager
def without_leave(cloud):
    """For a while the rules on the other account's bus may not put events on the environment's own."""
    iam = cloud.client("iam")
    role = next(each["RoleName"] for each in iam.list_roles()["Roles"] if "RelayRole" in each["RoleName"])
    document = iam.get_role_policy(RoleName=role, PolicyName="least")["PolicyDocument"]
    iam.delete_role_policy(RoleName=role, PolicyName="least")
    yield
    iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(document))


def test_an_account_that_is_named_starts_a_job(cloud, docker_engine, standin, other):
    write(cloud, f'{{name: shop, accounts: ["{other.id}"]}}', other)
    assert f"account {other.id}" in cloud.wherry("plan").stdout
    cloud.wherry("deploy", "--yes")
    bus = f"arn:aws:events:eu-west-1:{cloud.account.id}:event-bus/shop"
    with pytest.raises(ClientError, match="no resource-based policy allows the events:PutEvents action"):
        put(standin.account(), bus, 6)
    put(cloud.account, "shop", 7)  # of an account that the pattern does not name
    put(other, bus, 8)
    assert log_of_the_run(cloud) == f"8 {other.id} shop\n"
    assert len(json.loads(cloud.wherry("runs", "--env", "prod", "--json").stdout)) == 1
    cloud.wherry("destroy", "--yes")
    assert cloud.leftovers() == []
    assert [each["Name"] for each in cloud.client("events").list_event_buses()["EventBuses"]] == ["default"]


def test_emit_speaks_to_the_environments_own_bus(cloud, docker_engine):
    write(cloud, "{name: shop}", cloud.account)
    cloud.wherry("deploy", "--yes")
    event = json.dumps({"source": "shop", "detail-type": "order placed", "detail": {"id": 9}})
    cloud.wherry("emit", event, "--env", "prod")
    write(cloud, "shop", cloud.account)
    assert "the event bus `shop` is its own" in cloud.wherry("plan", code=2).stderr
    assert log_of_the_run(cloud) == f"9 {cloud.account.id} shop\n"


def test_events_come_from_another_accounts_bus(cloud, docker_engine, other):
    """The statement that `plan` prints is all that the other account has to allow."""
    theirs = other.client("events")
    bus = theirs.create_event_bus(Name="shop")["EventBusArn"]
    write(cloud, bus, other)
    refused = cloud.wherry("deploy", "--yes", code=1)
    assert "is not authorized to perform: events:PutRule" in refused.stderr
    statement = json.loads(next(line for line in cloud.wherry("plan").stderr.splitlines() if line.startswith("{")))
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    theirs.put_permission(EventBusName="shop", Policy=policy)
    cloud.wherry("deploy", "--yes")
    (rule,) = theirs.list_rules(EventBusName="shop")["Rules"]
    assert rule["Name"].startswith(f"wherry-{cloud.account.id}-orders-prod_JobPlaced")
    with without_leave(cloud):
        put(other, "shop", 9)
        time.sleep(3)
    put(other, "shop", 10)
    assert log_of_the_run(cloud) == f"10 {other.id} {bus}\n"
    assert len(json.loads(cloud.wherry("runs", "--env", "prod", "--json").stdout)) == 1
    cloud.wherry("destroy", "--yes")
    assert theirs.list_rules(EventBusName="shop")["Rules"] == []
    assert cloud.leftovers() == []


@pytest.mark.parametrize(
    ("bus", "said"),
    [
        ("orders", "there is no event bus `orders` in eu-west-1"),
        ("{name: taken}", "there is an event bus `taken` already, and it is not this environment's"),
        ("arn:aws:events:us-east-1:111122223333:event-bus/x", "is not in eu-west-1"),
        ("arn:aws:events:eu-west-1:OWN:event-bus/x", "is this account's own"),
    ],
)
def test_a_bus_that_cannot_be_is_refused_before_anything_is_made(cloud, bus, said):
    cloud.client("events").create_event_bus(Name="taken")
    write(cloud, f'"{bus}"'.replace("OWN", cloud.account.id) if bus.startswith("arn") else bus, cloud.account)
    assert said in cloud.wherry("deploy", "--yes", code=2).stderr
    assert cloud.leftovers() == []
