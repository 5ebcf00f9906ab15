"""What the compiled workers owe to how AWS behaves; the goldens show the whole, these say why."""

import pytest

from wherry.aws.compile import compile_template
from wherry.aws.given import Given, GivenNetwork
from wherry.model import Bucket, Bus, Environment, Feed, Helper, Job, JobFile, Queue, QueueTrigger


def compiled(queue=None, given=None, bus=None, jobs=None, capacity=None, **job):
    queue = queue or Queue(name="work")
    trigger = QueueTrigger(queue=queue.name, **{"max_workers": 8, **job.pop("workers", {})})
    jobs = jobs or {"job": Job(name="job", image="x:1", triggers=(trigger,), **job)}
    queues = {trigger.queue: Queue(name=trigger.queue) for each in jobs.values() for trigger in each.triggers}
    jobfile = JobFile(
        path="/none/wherry.yaml",
        app="works",
        buckets={"inbox": Bucket(name="inbox")},
        queues={**queues, queue.name: queue},
        jobs=jobs,
    )
    environment = Environment(name="prod", region="eu-central-1", capacity=capacity, **({"bus": bus} if bus else {}))
    return compile_template(jobfile, environment, given or Given())["Resources"]


def only(resources, kind, end=""):
    (found,) = (each for name, each in resources.items() if each["Type"] == kind and name.endswith(end))
    return found


def statements(role):
    return role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]


def test_a_worker_whose_helper_has_ended_is_replaced_and_a_run_is_not():
    found = compiled(helpers=(Helper(name="proxy", image="p:1"),))
    at_queue = next(name for name in found if "At" in name and name.endswith("Task"))
    essential = {
        name: {each["Name"]: each["Essential"] for each in found[name]["Properties"]["ContainerDefinitions"]}
        for name in ("JobJobTask", at_queue)
    }
    assert essential["JobJobTask"]["proxy"] is False
    assert set(essential[at_queue].values()) == {True}


def test_rules_on_every_bus_may_wake():
    feed = Queue(name="work", feed=Feed(pattern={"source": ["shop"]}))
    trust = compiled(feed, bus=Bus(name="shop"))["WakingRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    allowed = [each["Fn::Sub"].partition("rule/")[2] for each in trust[0]["Condition"]["ArnLike"]["aws:SourceArn"]]
    assert allowed == ["works-prod_*", "*/works-prod_*"]


def test_a_worker_is_told_of_an_object_that_it_is_gone():
    found = compiled(Queue(name="work", feed=Feed(bucket="inbox", prefix="in/", suffix=".csv")))
    (listing,) = (each for each in statements(found["JobJobTaskRole"]) if "s3:ListBucket" in each["Action"])
    assert listing["Action"] == ["s3:GetBucketLocation", "s3:ListBucket"]
    assert "Condition" not in listing
    assert "-inbox-" in listing["Resource"]["Fn::Sub"]
    assert "/" not in listing["Resource"]["Fn::Sub"]


@pytest.mark.parametrize("mode", ["managed", "self-polling"])
def test_a_worker_of_either_mode_may_protect_itself(mode):
    found = statements(compiled(workers={"mode": mode})["JobJobTaskRole"])
    assert any("ecs:UpdateTaskProtection" in each["Action"] for each in found)


@pytest.mark.parametrize(("capacity", "provider"), [(None, "FARGATE"), ("fargate-spot", "FARGATE_SPOT")])
def test_a_deployment_is_forced_exactly_where_the_capacity_changes(capacity, provider):
    properties = only(compiled(capacity=capacity), "AWS::ECS::Service")["Properties"]
    assert properties["CapacityProviderStrategy"] == [{"CapacityProvider": provider, "Weight": 1}]
    assert properties["ForceNewDeployment"] == {
        "EnableForceNewDeployment": True,
        "ForceNewDeploymentNonce": provider,
    }


def test_a_service_starts_its_first_worker_when_there_is_a_way_out_and_a_place_for_logs():
    own = only(compiled(), "AWS::ECS::Service")["DependsOn"]
    assert own == ["CapacityOfCluster", "RouteOut", "Subnet1Routes", "Subnet2Routes", "JobJobLogs"]
    given = Given(network=GivenNetwork(vpc="vpc-1", subnets=("subnet-1",)))
    assert only(compiled(given=given), "AWS::ECS::Service")["DependsOn"] == ["CapacityOfCluster", "JobJobLogs"]


@pytest.mark.parametrize(("least", "most"), [(0, 1), (1, 1), (2, 2)])
def test_what_a_rule_feeds_in_order_has_no_more_workers_than_can_work(least, most):
    fed = Queue(name="work.fifo", feed=Feed(bucket="inbox"))
    target = only(compiled(fed, workers={"min_workers": least}), "AWS::ApplicationAutoScaling::ScalableTarget")
    assert (target["Properties"]["MinCapacity"], target["Properties"]["MaxCapacity"]) == (least, most)
    assert "one message group" in target["Metadata"]["Wherry"]["about"]
    sent = only(compiled(Queue(name="work.fifo")), "AWS::ApplicationAutoScaling::ScalableTarget")
    assert sent["Properties"]["MaxCapacity"] == 8


def test_eventbridge_is_known_by_its_rule_alone():
    found = compiled(Queue(name="work", feed=Feed(pattern={"source": ["shop"]})))
    for resource in found.values():
        if resource["Type"] == "AWS::SQS::QueuePolicy":
            (statement,) = resource["Properties"]["PolicyDocument"]["Statement"]
            assert list(statement["Condition"]) in (["ArnEquals"], ["ArnLike"])


def test_alarms_of_different_workers_have_different_names():
    pairs = {"a": "b-c", "a-b": "c"}
    jobs = {
        job: Job(name=job, image="x:1", triggers=(QueueTrigger(queue=queue, max_workers=8),))
        for job, queue in pairs.items()
    }
    found = compiled(jobs=jobs)
    names = [each["Properties"]["AlarmName"] for each in found.values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert len([name for name in names if name.endswith(("-more", "-fewer"))]) == 4
    assert len(names) == len(set(names))
