"""The judgements of `wherry verify`, with what was seen as values."""

from datetime import UTC, datetime, timedelta

import pytest

from wherry.aws.given import GivenNetwork
from wherry.aws.names import names_of
from wherry.aws.shipment import Image
from wherry.aws.survey import Site
from wherry.aws.verify import egress, images, quotas, roles
from wherry.aws.verify.network import Needs, Network, needs_of
from wherry.model import Environment, EventTrigger, Job, JobFile, Queue, QueueTrigger, ScheduleTrigger

NOW = datetime(2026, 3, 1, tzinfo=UTC)
EVERYBODY = [{"CidrIp": "0.0.0.0/0"}]
OUT = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-2", "State": "active"}
HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
OPEN = [
    {"RuleNumber": 100, "Egress": way, "Protocol": "-1", "RuleAction": "allow", "CidrBlock": "0.0.0.0/0"}
    for way in (True, False)
]


def nat(**more):
    return {"nat-1": {"State": "available", "ConnectivityType": "public", "SubnetId": "subnet-2", **more}}


def seen(route=None, *, public_ip=False, public=False, **more):
    """A VPC with a subnet, whose route table has this default route; `public`: another subnet leads out."""
    routes = [{"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}]
    if route is not None:
        routes.append({"DestinationCidrBlock": "0.0.0.0/0", "State": "active", **route})
    groups = more.get("groups", {})
    given = GivenNetwork(vpc="vpc-1", subnets=("subnet-1",), security_groups=tuple(groups), public_ip=public_ip)
    known = {
        "region": "eu-west-1",
        "given": given,
        "needs": Needs(services=("ecr.api", "ecr.dkr", "s3", "logs")),
        "subnets": [{"SubnetId": "subnet-1", "CidrBlock": "10.0.1.0/24"}],
        "tables": [
            {"RouteTableId": "rtb-main", "Associations": [{"Main": True}], "Routes": routes[:1]},
            {"RouteTableId": "rtb-1", "Associations": [{"SubnetId": "subnet-1"}], "Routes": routes},
            *([{"Associations": [{"SubnetId": "subnet-2"}], "Routes": [OUT]}] if public else []),
        ],
        "nats": {},
        "endpoints": [],
        "acls": [],
        "groups": {},
    }
    return Network(**{**known, **more})


def endpoint(service, **more):
    kind = {"VpcEndpointType": "Interface", "PrivateDnsEnabled": True, "Groups": []}
    name = {
        "VpcEndpointId": f"vpce-{service}",
        "ServiceName": f"com.amazonaws.eu-west-1.{service}",
        "State": "available",
    }
    return {**name, **kind, **more}


def endpoints(**changed):
    """All that is needed; `logs={...}` changes one, `logs=None` leaves it out."""
    gateway = {"VpcEndpointType": "Gateway", "RouteTableIds": ["rtb-1"], "PrivateDnsEnabled": False}
    found = {"ecr.api": {}, "ecr.dkr": {}, "s3": gateway, "logs": {}} | changed
    return [endpoint(service, **more) for service, more in found.items() if more is not None]


def judged(network):
    (finding,) = egress.judge(network)
    return finding.verdict.value, finding.reason


GROUP = {"GroupId": "sg-e", "IpPermissions": []}
ACL = {"NetworkAclId": "acl-1", "Associations": [{"SubnetId": "subnet-1"}]}


@pytest.mark.parametrize(
    ("network", "verdict", "said"),
    [
        (seen({"GatewayId": "igw-1"}, public_ip=True), "OK", "through igw-1"),
        (seen({"GatewayId": "igw-1"}), "NG", "get no public address"),
        (seen({"NatGatewayId": "nat-1"}, nats=nat(), public=True), "OK", "through nat-1"),
        (seen({"NatGatewayId": "nat-1"}, nats=nat(State="failed"), public=True), "NG", "nat-1 is failed"),
        (seen({"NatGatewayId": "nat-1"}, nats=nat(ConnectivityType="private"), public=True), "NG", "nat-1 is private"),
        (seen({"NatGatewayId": "nat-1"}, nats=nat()), "NG", "stands in subnet-2, which does not lead out itself"),
        (seen({"NatGatewayId": "nat-1"}), "NG", "nat-1 is gone"),
        (seen({"NatGatewayId": "nat-1", "State": "blackhole"}), "NG", "something that is gone"),
        (seen({"TransitGatewayId": "tgw-1"}), "SKIP", "through tgw-1, and who knows where"),
        (seen(), "NG", "it has no outbound access"),
        (seen(tables=[]), "NG", "it has no outbound access"),
        (seen(endpoints=endpoints()), "OK", "by VPC endpoints"),
        (seen({"GatewayId": "igw-1"}, endpoints=endpoints()), "OK", "by VPC endpoints"),
        (seen(endpoints=endpoints(logs=None)), "NG", "there is no endpoint for logs"),
        (seen(endpoints=endpoints(logs={"State": "pending"})), "NG", "there is no endpoint for logs"),
        (seen(endpoints=endpoints(logs={"PrivateDnsEnabled": False})), "NG", "not found by the service's name"),
        (seen(endpoints=endpoints(), has_names=False), "NG", "not found by the service's name"),
        (seen(endpoints=endpoints(s3={"VpcEndpointType": "Gateway", "RouteTableIds": ["rtb-2"]})), "NG", "not in the route table rtb-1"),
        (seen(endpoints=endpoints(logs={"Groups": [{"GroupId": "sg-e"}]}), groups={}), "OK", "by VPC endpoints"),
        (seen(endpoints=endpoints(), needs=Needs(services=("logs",), elsewhere=("python:3",))), "NG", "images come from elsewhere: `python:3`"),
        (seen({"GatewayId": "igw-1"}, public_ip=True, acls=[{**ACL, "Entries": OPEN}]), "OK", "through igw-1"),
        (seen({"GatewayId": "igw-1"}, public_ip=True, acls=[{**ACL, "Entries": OPEN[1:]}]), "NG", "lets nothing out to the internet (port 443)"),
        (seen({"GatewayId": "igw-1"}, public_ip=True, acls=[{**ACL, "Entries": [
            {**OPEN[1], "RuleNumber": 90, "RuleAction": "deny", "Protocol": "6", "PortRange": {"From": 1024, "To": 65535}}, *OPEN,
        ]}]), "NG", "back in from the internet (port 49152)"),
    ],
)  # fmt: skip
def test_the_way_out(network, verdict, said):
    found = judged(network)
    assert found[0] == verdict, found
    assert said in found[1]


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        ([{**HTTPS, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}], "OK"),
        ([{"IpProtocol": "-1", "IpRanges": EVERYBODY}], "OK"),
        ([{**HTTPS, "IpRanges": [{"CidrIp": "10.0.2.0/24"}]}], "NG"),
        ([{**HTTPS, "UserIdGroupPairs": [{"GroupId": "sg-other"}]}], "NG"),
        ([], "NG"),
    ],
)
def test_an_endpoints_security_group(rules, verdict):
    network = seen(endpoints=endpoints(logs={"Groups": [{"GroupId": "sg-e"}]}))
    closed = {**vars(network), "groups": {"sg-e": {"GroupId": "sg-e", "IpPermissions": rules}}}
    assert judged(Network(**closed))[0] == verdict


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        ([{"IpProtocol": "-1", "IpRanges": EVERYBODY}], "OK"),
        ([{**HTTPS, "IpRanges": EVERYBODY}], "OK"),
        ([{**HTTPS, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}], "SKIP"),
        ([{**HTTPS, "FromPort": 80, "ToPort": 80, "IpRanges": EVERYBODY}], "NG"),
        ([], "NG"),
    ],
)
def test_a_given_security_group(rules, verdict):
    groups = {"sg-1": {"GroupId": "sg-1", "IpPermissionsEgress": rules}}
    _, finding = egress.judge(seen({"GatewayId": "igw-1"}, public_ip=True, groups=groups))
    assert (finding.subject, finding.verdict.value) == ("security group sg-1", verdict)


def test_a_subnet_without_a_free_address():
    subnets = [{"SubnetId": "subnet-1", "CidrBlock": "10.0.1.0/24", "AvailableIpAddressCount": 0}]
    first, _ = egress.judge(seen({"GatewayId": "igw-1"}, public_ip=True, subnets=subnets))
    assert first.reason.endswith("it has no free address left")


def test_a_network_that_resolves_no_names():
    first, _ = egress.judge(seen({"GatewayId": "igw-1"}, public_ip=True, resolves=False))
    assert first.reason == "vpc-1 resolves no names"
    (own,) = egress.judge(None)
    assert own.verdict.value == "OK"


def at(hour, **more):
    return {"triggers": (ScheduleTrigger(expression=f"cron(0 {hour} * * ? *)"),), "timeout": timedelta(hours=2), **more}


EVENT = {"triggers": (EventTrigger(pattern={"source": ["x"]}),)}


@pytest.mark.parametrize(
    ("jobs", "most"),
    [
        ({"a": at(1), "b": at(5)}, {"a": 1}),
        ({"a": at(1), "b": at(2)}, {"a": 1, "b": 1}),
        ({"a": at(1), "b": at(3)}, {"a": 1}),  # the one ends as the other begins
        ({"a": at("1-4")}, {"a": 2}),  # each goes on for two hours
        ({"a": at("1-4", concurrency=1)}, {"a": 1}),
        ({"a": at("1-4", overlap="skip")}, {"a": 1}),
        ({"a": at(1, timeout=None)}, {"a": 1}),  # without a timeout until the next one begins
        ({"a": at(1), "b": EVENT}, {"a": 1, "b": 1}),
        ({"a": at(1), "b": {**EVENT, "concurrency": 3}}, {"a": 1, "b": 3}),
        ({"a": at(1), "b": {"triggers": (QueueTrigger(queue="q", max_workers=7),)}}, {"a": 1, "b": 7}),
        ({"a": {"triggers": (QueueTrigger(queue="q", max_workers=7), *EVENT["triggers"])}}, {"a": 8}),
        ({"a": {}, "b": {}}, {"a": 1}),  # people start these
        ({"a": at(1), "b": {"concurrency": 3}}, {"b": 3}),
        ({}, {}),
    ],
)
def test_what_may_run_at_once(jobs, most):
    found = {name: Job(name=name, **more) for name, more in jobs.items()}
    jobfile = JobFile(path="/x/wherry.yaml", app="a", jobs=found)
    need = quotas.need_of(jobfile, dict.fromkeys(found, 0.5), NOW)
    assert need.jobs == most
    assert need.vcpus == 0.5 * sum(most.values())


def test_workers_have_a_bound():
    jobfile = JobFile(
        path="/x/w", app="a", jobs={"b": Job(name="b", triggers=(QueueTrigger(queue="q", max_workers=7),))}
    )
    assert quotas.need_of(jobfile, {"b": 1.0}, NOW).endless == ()


@pytest.mark.parametrize(
    ("mode", "services"),
    [
        ("managed", ("ecr.api", "ecr.dkr", "s3", "logs", "sqs")),  # with wherry's worker it is an image of its own
        ("self-polling", ("logs", "sqs")),
    ],
)
def test_workers_reach_their_queue(mode, services):
    job = Job(name="b", image="elsewhere/b:1", triggers=(QueueTrigger(queue="q", mode=mode),))
    environment = Environment(name="prod", region="eu-west-1")
    jobfile = JobFile(path="/x/w", app="a", queues={"q": Queue(name="q")}, jobs={"b": job})
    site = Site(aws=None, jobfile=jobfile, environment=environment, names=names_of(jobfile, "prod"))
    assert needs_of(site).services == services


def test_beside_spot_the_quota_on_demand_counts_for_runs_alone():
    jobs = {
        "mail": Job(name="mail", image="i", cpu=1, triggers=(QueueTrigger(queue="q", max_workers=9),)),
        "hourly": Job(name="hourly", image="i", cpu=1, **at("1-4", concurrency=2)),
    }
    jobfile = JobFile(path="/x/w", app="a", queues={"q": Queue(name="q")}, jobs=jobs)

    def checked(capacity):
        environment = Environment(name="prod", region="eu-west-1", capacity=capacity)
        site = Site(aws=None, jobfile=jobfile, environment=environment, names=names_of(jobfile, "prod"))
        return [(check.subject, *check.judge(6.0)) for check in quotas.checks(site, NOW)]

    (spot, too_few), (on_demand, enough) = checked("fargate-spot")
    assert (spot, on_demand) == ("quota Fargate Spot vCPUs", "quota Fargate On-Demand vCPUs")
    assert "mail (9 times)" in too_few.reason
    assert enough.reason == "is 6, and the jobs need at most 2 vCPUs at once (hourly (2 times)) where Spot is in vain"
    assert [subject for subject, _ in checked("fargate")] == [on_demand]
    assert checked("mine") == []


def test_jobs_without_a_bound_are_named():
    jobfile = JobFile(path="/x/wherry.yaml", app="a", jobs={"b": Job(name="b", **EVENT)})
    need = quotas.need_of(jobfile, {"b": 1.0}, NOW)
    (finding,) = quotas.judge("Fargate On-Demand vCPUs", "L-3032A538", need, 6.0)
    assert finding.reason.endswith("at most 1 vCPUs at once (b); `b` may need more: no `concurrency` bounds them")


@pytest.mark.parametrize(
    ("image", "more", "verdict", "said"),
    [
        ({"is_there": False}, {}, "OK", "the next deploy builds and pushes it"),
        ({}, {"platforms": frozenset(("linux/amd64", "linux/arm64"))}, "OK", "is in its registry, for linux/amd64"),
        ({}, {"platforms": frozenset(("linux/arm64",))}, "NG", "`i:1` is for linux/arm64, and the environment's tasks"),
        ({}, {"platforms": None}, "NG", "`i:1` is not in its registry"),
        ({}, {"doubt": "no Docker engine answers"}, "SKIP", "no Docker engine answers"),
    ],
)
def test_an_image(image, more, verdict, said):
    (finding,) = images.judge(images.Seen(image=Image(key="a", reference="i:1", **image), wanted="linux/amd64", **more))
    assert finding.verdict.value == verdict
    assert said in finding.reason


@pytest.mark.parametrize(
    ("statement", "trusted"),
    [
        ({"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}, True),
        ({"Effect": "Allow", "Principal": {"Service": ["a", "ecs-tasks.amazonaws.com"]}, "Action": ["sts:*"]}, True),
        ({"Effect": "Deny", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}, False),
        ({"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}, False),
        ({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}, False),
        ({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}, False),
    ],
)
def test_trust(statement, trusted):
    assert roles.trusts({"Statement": statement}, "ecs-tasks.amazonaws.com") is trusted
