"""`capacity: ec2`: jobs run on instances of the environment's own, and everything goes again, also what is protected."""

import json

import pytest

from tests.conftest import wait_for

JOBFILE = """
app: heavy
jobs:
  crunch: {image: wherry-busybox:1, command: 'echo "crunched on $AWS_EXECUTION_ENV"', cpu: 1, memory: 3GB}
  slow: {image: wherry-busybox:1, command: [sleep, "60"]}
environments: {prod: {region: eu-west-1, CAPACITY}}
"""
ON_INSTANCES = "capacity: ec2, network: own"


@pytest.fixture
def heavy(cloud, docker_engine):
    def write(capacity=ON_INSTANCES, jobfile=JOBFILE):
        cloud.project.jobfile(jobfile.replace("CAPACITY", capacity))

    cloud.write = write
    write()
    return cloud


def groups(cloud):
    return cloud.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]


def appear(cloud):
    """An instance, as ECS would have one launched."""
    autoscaling = cloud.client("autoscaling")
    (group,) = groups(cloud)
    autoscaling.set_desired_capacity(AutoScalingGroupName=group["AutoScalingGroupName"], DesiredCapacity=1)
    (instance,) = groups(cloud)[0]["Instances"]
    assert instance["ProtectedFromScaleIn"]


def test_a_job_runs_on_an_instance(heavy):
    heavy.write(jobfile=JOBFILE.replace("cpu: 1, memory: 3GB", "cpu: 1.5, memory: 1500MB"))  # Fargate has no such size
    heavy.wherry("deploy", "--yes")
    done = heavy.wherry("run", "crunch", "--env", "prod")
    assert done.stdout == "crunched on AWS_ECS_EC2\n"
    definition = heavy.client("ecs").describe_task_definition(taskDefinition="heavy-prod_crunch")["taskDefinition"]
    assert (definition["networkMode"], definition["cpu"], definition["memory"]) == ("bridge", "1536", "1500")
    assert definition["requiresCompatibilities"] == ["EC2"]
    (group,) = groups(heavy)
    assert (group["MinSize"], group["MaxSize"], group["NewInstancesProtectedFromScaleIn"]) == (0, 4, True)
    assert heavy.wherry("deploy", "--yes").stdout.endswith("no changes\n")
    appear(heavy)
    gone = heavy.wherry("destroy", "--yes")
    assert "1 instance goes" in gone.stderr
    assert [each for each in heavy.leftovers() if not each.startswith("s3 ")] == []
    assert groups(heavy) == []
    providers = heavy.client("ecs").describe_capacity_providers()["capacityProviders"]
    assert {each["name"] for each in providers} == {"FARGATE", "FARGATE_SPOT"}


def test_helpers_share_localhost_in_private_subnets(heavy):
    jobfile = """
app: heavy
jobs:
  asks:
    image: wherry-busybox:1
    command: 'for i in 1 2 3 4 5; do wget -qO- http://localhost:8080/said && exit; sleep 1; done; exit 1'
    helpers: {says: {command: 'cd /tmp; echo "hello from beside" > said; httpd -f -p 8080'}}
environments: {prod: {region: eu-west-1, CAPACITY}}
"""
    ec2 = heavy.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    heavy.write(f"capacity: ec2, network: {{subnets: [{subnet}], public_ip: false}}", jobfile)
    heavy.wherry("deploy", "--yes")
    assert heavy.wherry("run", "asks", "--env", "prod").stdout == "hello from beside\n"


def test_an_own_definition_for_ec2_runs_as_it_is(heavy):
    """As in the articles: containers with sizes of their own, `bridge` because nothing is said."""
    logs = {"awslogs-group": "/ecs/worker", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "ecs"}
    worker = {
        "name": "worker",
        "image": "wherry-busybox:1",
        "cpu": 512,
        "memory": 512,
        "command": ["echo", "worked"],
        "logConfiguration": {"logDriver": "awslogs", "options": logs},
    }
    definition = {"family": "sqs-worker", "containerDefinitions": [worker]}
    heavy.project.file("task-definition.json", json.dumps(definition))
    heavy.write(jobfile="app: heavy\njobs: {theirs: {task_definition: task-definition.json}}\n"
                "environments: {prod: {region: eu-west-1, CAPACITY}}\n")  # fmt: skip
    heavy.wherry("deploy", "--yes")
    assert heavy.wherry("run", "theirs", "--env", "prod").stdout == "worked\n"
    shown = heavy.client("ecs").describe_task_definition(taskDefinition="sqs-worker")["taskDefinition"]
    assert (shown["networkMode"], shown["requiresCompatibilities"]) == ("bridge", ["EC2"])
    assert "cpu" not in shown


def test_ec2_is_asked_about_types_that_no_rule_knows(heavy):
    heavy.write("capacity: ec2, instances: {type: x9.large}")
    refused = heavy.wherry("plan", code=2)
    assert "eu-west-1 has no instances of type `x9.large`" in refused.stderr
    big = JOBFILE.replace("cpu: 1, memory: 3GB", "cpu: 4, memory: 15GB")
    heavy.write("capacity: ec2, instances: {type: inf2.xlarge}", big)
    heavy.wherry("check")
    refused = heavy.wherry("deploy", "--yes", code=2)
    assert "its task (`cpu: 4, memory: 15GB`) does not fit on an instance of type inf2.xlarge" in refused.stderr
    assert "there is room for `cpu: 4, memory: 14917MB`" in refused.stderr
    assert heavy.leftovers() == []


def test_check_knows_what_fits(heavy):
    heavy.write(jobfile=JOBFILE.replace("memory: 3GB", "memory: 8GB"))
    assert "does not fit on an instance of type m7i.large" in heavy.wherry("check", code=2).stderr


def test_an_environment_moves_between_fargate_and_instances(heavy):
    heavy.write("network: own")
    heavy.wherry("deploy", "--yes")
    assert heavy.wherry("run", "crunch", "--env", "prod").stdout == "crunched on AWS_ECS_FARGATE\n"
    heavy.write()
    heavy.wherry("deploy", "--yes")
    assert heavy.wherry("run", "crunch", "--env", "prod").stdout == "crunched on AWS_ECS_EC2\n"
    running = heavy.begin("run", "slow", "--env", "prod")
    ecs = heavy.client("ecs")
    wait_for(lambda: ecs.list_tasks(cluster="heavy-prod")["taskArns"], "a task")
    heavy.write("network: own")
    refused = heavy.wherry("deploy", "--yes", code=2)
    assert "moves to Fargate, and 1 task is running" in refused.stderr
    (run,) = json.loads(heavy.wherry("runs", "--env", "prod", "--job", "slow", "--json").stdout)
    heavy.wherry("stop", run["id"], "--env", "prod")
    running.communicate(timeout=60)
    wait_for(lambda: not ecs.list_tasks(cluster="heavy-prod")["taskArns"], "its end")
    appear(heavy)
    heavy.wherry("deploy", "--yes")
    assert groups(heavy) == []
    assert heavy.wherry("run", "crunch", "--env", "prod").stdout == "crunched on AWS_ECS_FARGATE\n"
    heavy.wherry("destroy", "--yes")
