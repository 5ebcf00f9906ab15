"""Groups of instances, capacity providers, and tasks on EC2."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.standin import aws


def group(account, **more):
    autoscaling = account.client("autoscaling")
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="g", MinSize=0, MaxSize=2, NewInstancesProtectedFromScaleIn=True,
        AvailabilityZones=[f"{account.region}a"], **more,
    )  # fmt: skip
    return autoscaling


def test_a_protected_instance_stays(account):
    autoscaling = group(account)

    def instances():
        return autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["Instances"]

    autoscaling.set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=1)
    (instance,) = instances()
    autoscaling.update_auto_scaling_group(AutoScalingGroupName="g", MaxSize=0, DesiredCapacity=0)
    assert instances() == [instance]
    named = {"AutoScalingGroupName": "g", "InstanceIds": [instance["InstanceId"]]}
    autoscaling.set_instance_protection(**named, ProtectedFromScaleIn=False)
    autoscaling.set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=0)
    assert instances() == []


def test_a_provider_leaves_its_cluster_before_it_goes(account):
    resources = {
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": "c"}},
        "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": {"MinSize": "0", "MaxSize": "1"}},
        "Provider": {
            "Type": "AWS::ECS::CapacityProvider",
            "Properties": {"Name": "mine", "AutoScalingGroupProvider": {"AutoScalingGroupArn": {"Ref": "Group"}}},
        },
        "Providers": {
            "Type": "AWS::ECS::ClusterCapacityProviderAssociations",
            "Properties": {"Cluster": {"Ref": "Cluster"}, "CapacityProviders": [{"Ref": "Provider"}],
                           "DefaultCapacityProviderStrategy": []},
        },
    }  # fmt: skip
    cloudformation = account.client("cloudformation")
    cloudformation.create_stack(StackName="s", TemplateBody=json.dumps({"Resources": resources}))
    waiter = {"Delay": 1, "MaxAttempts": 30}
    cloudformation.get_waiter("stack_create_complete").wait(StackName="s", WaiterConfig=waiter)
    (cluster,) = account.client("ecs").describe_clusters(clusters=["c"])["clusters"]
    assert cluster["capacityProviders"] == ["mine"]
    cloudformation.delete_stack(StackName="s")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="s", WaiterConfig=waiter)


def test_instance_types_are_as_ec2_has_them(account):
    ec2 = account.client("ec2")
    (found,) = ec2.describe_instance_types(InstanceTypes=["m7g.large"])["InstanceTypes"]
    assert (found["VCpuInfo"]["DefaultVCpus"], found["MemoryInfo"]["SizeInMiB"]) == (2, 8192)
    assert found["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"]
    with pytest.raises(ClientError, match="InvalidInstanceType"):
        ec2.describe_instance_types(InstanceTypes=["m99.large"])


def on_ec2(account, mode, *containers):
    definition = aws.task_definition(account, *containers, family=f"f{mode}")
    ecs = account.client("ecs")
    described = ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    made = ecs.register_task_definition(
        family=f"on-{mode}",
        networkMode=mode,
        requiresCompatibilities=["EC2"],
        executionRoleArn=described["executionRoleArn"],
        containerDefinitions=[{**each, "memory": 64} for each in described["containerDefinitions"]],
    )
    return made["taskDefinition"]["taskDefinitionArn"]


def test_containers_in_bridge_mode_have_no_localhost_in_common(account, docker_engine):
    serve = {"name": "serve", "command": ["httpd", "-f", "-p", "8080"], "essential": False, "stopTimeout": 1}
    ask = {"name": "main", "command": ["sh", "-c", "sleep 1; wget -qO- http://localhost:8080/; echo said $?"]}
    account.client("ecs").create_cluster(clusterName="c")
    definition = on_ec2(account, "bridge", ask, serve)
    task = account.client("ecs").run_task(cluster="c", taskDefinition=definition, launchType="EC2")["tasks"][0]
    aws.stopped(account, task["taskArn"])
    assert "said 1" in aws.lines(account, f"job/main/{task['taskArn'].rsplit('/', 1)[-1]}")


@pytest.mark.parametrize(
    ("mode", "more", "said"),
    [
        ("bridge", {"launchType": "EC2", "networkConfiguration": aws.NETWORK}, "not valid for the given networkMode"),
        ("awsvpc", {"launchType": "EC2", "networkConfiguration": aws.NETWORK}, "Assign public IP is not supported"),
        ("bridge", {"launchType": "FARGATE"}, "does not support launch_type FARGATE"),
        (
            "bridge",
            {"capacityProviderStrategy": [{"capacityProvider": "none"}]},
            "capacity provider 'none' was not found",
        ),
    ],
)
def test_what_cannot_be_placed_is_refused(account, mode, more, said):
    definition = on_ec2(account, mode, {})
    with pytest.raises(ClientError, match=said):
        account.client("ecs").run_task(cluster="c", taskDefinition=definition, **more)
