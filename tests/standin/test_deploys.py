"""CloudFormation: the change-set flow and the resource types that the compiler writes."""

import json

import pytest

from tests.standin import aws
from tests.standin.left_out import LEFT_OUT

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]


def trusted(service: str) -> dict:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def policy(*statements: dict) -> dict:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def definition(output: str) -> str:
    states = {"End": {"Type": "Pass", "Output": {"topic": "${Topic}", "out": output}, "End": True}}
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": "End", "States": states})


def template(output="{% $states.input %}") -> dict:
    """One of everything."""
    fargate = [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]
    allow_events = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": {"Fn::GetAtt": ["Queue", "Arn"]},
    }
    start = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": {"Ref": "Machine"}}
    resources = {
        "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterSettings": [{"Name": "containerInsights", "Value": "disabled"}]}},
        "Providers": {"Type": "AWS::ECS::ClusterCapacityProviderAssociations", "Properties": {"Cluster": {"Ref": "Cluster"}, "CapacityProviders": ["FARGATE", "FARGATE_SPOT"], "DefaultCapacityProviderStrategy": fargate}},
        "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Family": {"Fn::Sub": "${AWS::StackName}-job"}, "Cpu": "256", "Memory": "512", "NetworkMode": "awsvpc", "RequiresCompatibilities": ["FARGATE"], "ExecutionRoleArn": {"Fn::GetAtt": ["Role", "Arn"]}, "TaskRoleArn": {"Fn::GetAtt": ["Role", "Arn"]}, "RuntimePlatform": {"CpuArchitecture": "X86_64", "OperatingSystemFamily": "LINUX"}, "Volumes": [{"Name": "v"}], "ContainerDefinitions": [
            {"Name": "main", "Image": "wherry-busybox:1", "Essential": True, "Command": ["true"], "EntryPoint": ["/bin/sh"], "StopTimeout": 30, "Environment": [{"Name": "A", "Value": "b"}], "Secrets": [{"Name": "S", "ValueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:x"}], "MountPoints": [{"SourceVolume": "v", "ContainerPath": "/v", "ReadOnly": True}], "DependsOn": [{"ContainerName": "agent", "Condition": "START"}], "LinuxParameters": {"InitProcessEnabled": True}, "ReadonlyRootFilesystem": True, "LogConfiguration": {"LogDriver": "awslogs", "Options": {"awslogs-group": {"Ref": "Logs"}, "awslogs-region": {"Ref": "AWS::Region"}, "awslogs-stream-prefix": "j"}}},
            {"Name": "agent", "Image": "wherry-busybox:1", "Essential": False}]}},
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}, "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trusted("ecs-tasks.amazonaws.com"), "Policies": [{"PolicyName": "p", "PolicyDocument": policy({"Effect": "Allow", "Action": "s3:GetObject", "Resource": {"Fn::Sub": "${Bucket.Arn}/*"}})}]}},
        "MachineRole": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trusted("states.amazonaws.com")}},
        "MachinePolicy": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyName": "q", "Roles": [{"Ref": "MachineRole"}], "PolicyDocument": policy({"Effect": "Allow", "Action": "sns:Publish", "Resource": {"Ref": "Topic"}})}},
        "Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"StateMachineName": {"Fn::Sub": "${AWS::StackName}-machine"}, "StateMachineType": "STANDARD", "RoleArn": {"Fn::GetAtt": ["MachineRole", "Arn"]}, "DefinitionString": {"Fn::Sub": definition(output)}}},
        "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": {"Fn::Sub": "${AWS::StackName}-bus"}}},
        "EventsRole": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trusted("events.amazonaws.com"), "Policies": [{"PolicyName": "p", "PolicyDocument": policy(start)}]}},
        "Rule": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"source": ["x"]}, "State": "ENABLED", "Targets": [{"Id": "m", "Arn": {"Ref": "Machine"}, "RoleArn": {"Fn::GetAtt": ["EventsRole", "Arn"]}, "InputTransformer": {"InputPathsMap": {"i": "$.id"}, "InputTemplate": '{"job":"x","id":<i>,"event":<aws.events.event.json>}'}, "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}, "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 3600}}]}},
        "BusRule": {"Type": "AWS::Events::Rule", "Properties": {"EventBusName": {"Ref": "Bus"}, "EventPattern": {"source": ["y"]}, "Targets": [{"Id": "q", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}]}},
        "Group": {"Type": "AWS::Scheduler::ScheduleGroup", "Properties": {"Name": {"Fn::Sub": "${AWS::StackName}-group"}}},
        "SchedulerRole": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trusted("scheduler.amazonaws.com"), "Policies": [{"PolicyName": "p", "PolicyDocument": policy(start)}]}},
        "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": {"Name": "nightly", "GroupName": {"Ref": "Group"}, "ScheduleExpression": "cron(0 3 * * ? *)", "ScheduleExpressionTimezone": "Europe/Berlin", "FlexibleTimeWindow": {"Mode": "OFF"}, "State": "ENABLED", "Target": {"Arn": {"Ref": "Machine"}, "RoleArn": {"Fn::GetAtt": ["SchedulerRole", "Arn"]}, "Input": '{"tick":"<aws.scheduler.scheduled-time>","id":"<aws.scheduler.execution-id>"}', "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 5}, "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}}}},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": 1209600, "SqsManagedSseEnabled": True}, "DeletionPolicy": "Delete"},
        "QueuePolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": policy(allow_events)}},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": "alias/aws/sns"}},
        "TopicPolicy": {"Type": "AWS::SNS::TopicPolicy", "Properties": {"Topics": [{"Ref": "Topic"}], "PolicyDocument": policy({"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish", "Resource": {"Ref": "Topic"}})}},
        "Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": "a@example.org"}},
        "Bucket": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": {"BucketName": {"Fn::Sub": "${AWS::StackName}-${AWS::AccountId}-${AWS::Region}"}, "BucketEncryption": {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}, "PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": True, "IgnorePublicAcls": True, "RestrictPublicBuckets": True}, "NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}, "LifecycleConfiguration": {"Rules": [{"Id": "old", "Status": "Enabled", "Prefix": "events/", "ExpirationInDays": 7, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]}, "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}, "Tags": [{"Key": "app", "Value": "x"}]}},
        "BucketPolicy": {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": policy({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": {"Fn::Sub": "${Bucket.Arn}/*"}, "Condition": {"Bool": {"aws:ViaAWSService": "true"}}})}},
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16", "EnableDnsSupport": True, "EnableDnsHostnames": True}},
        "SubnetA": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": {"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "MapPublicIpOnLaunch": True}},
        "Gateway": {"Type": "AWS::EC2::InternetGateway"},
        "Attached": {"Type": "AWS::EC2::VPCGatewayAttachment", "Properties": {"VpcId": {"Ref": "Vpc"}, "InternetGatewayId": {"Ref": "Gateway"}}},
        "Routes": {"Type": "AWS::EC2::RouteTable", "Properties": {"VpcId": {"Ref": "Vpc"}}},
        "Out": {"Type": "AWS::EC2::Route", "DependsOn": ["Attached"], "Properties": {"RouteTableId": {"Ref": "Routes"}, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": {"Ref": "Gateway"}}},
        "SubnetRoutes": {"Type": "AWS::EC2::SubnetRouteTableAssociation", "Properties": {"SubnetId": {"Ref": "SubnetA"}, "RouteTableId": {"Ref": "Routes"}}},
        "Security": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "out only", "VpcId": {"Ref": "Vpc"}, "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]}},
        "Images": {"Type": "AWS::ECR::Repository", "Properties": {"RepositoryName": {"Fn::Sub": "${AWS::StackName}-images"}, "ImageTagMutability": "IMMUTABLE", "EmptyOnDelete": True, "LifecyclePolicy": {"LifecyclePolicyText": '{"rules":[]}'}}},
    }  # fmt: skip
    outputs = {
        "Machine": {"Value": {"Ref": "Machine"}},
        "Repository": {"Value": {"Fn::GetAtt": ["Images", "RepositoryUri"]}},
    }
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources, "Outputs": outputs}


class Stack:
    """One stack, deployed by change sets."""

    def __init__(self, account, name="app-prod") -> None:
        self.account, self.name, self.cfn, self.number = account, name, account.client("cloudformation"), 0

    def propose(self, template: dict, kind: str) -> dict:
        self.number += 1
        body = json.dumps(template)
        name = f"c{self.number}"
        self.cfn.create_change_set(
            StackName=self.name, ChangeSetName=name, ChangeSetType=kind, TemplateBody=body, Capabilities=CAPABILITIES
        )
        return aws.until(lambda: self._decided(name))

    def _decided(self, name):
        found = self.cfn.describe_change_set(StackName=self.name, ChangeSetName=name)
        return found if found["Status"] in ("CREATE_COMPLETE", "FAILED") else None

    def execute(self) -> str:
        self.cfn.execute_change_set(StackName=self.name, ChangeSetName=f"c{self.number}")
        return aws.until(self._over)

    def _over(self):
        status = self.described()["StackStatus"]
        return status if not status.endswith("IN_PROGRESS") else None

    def described(self, name=None) -> dict:
        return self.cfn.describe_stacks(StackName=name or self.name)["Stacks"][0]

    def events(self, name=None) -> list[dict]:
        return self.cfn.describe_stack_events(StackName=name or self.name)["StackEvents"]


@pytest.fixture
def stack(account):
    return Stack(account)


def test_one_of_everything_is_made_changed_and_removed(account, stack):
    proposed = stack.propose(template(), "CREATE")
    assert proposed["Status"] == "CREATE_COMPLETE", proposed.get("StatusReason")
    assert proposed["ExecutionStatus"] == "AVAILABLE"
    assert {(c["ResourceChange"]["Action"], "Replacement" in c["ResourceChange"]) for c in proposed["Changes"]} == {
        ("Add", False)
    }
    assert stack.described()["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert stack.execute() == "CREATE_COMPLETE", [e for e in stack.events() if "FAILED" in e["ResourceStatus"]]
    made = stack.described()
    outputs = {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}
    assert outputs["Machine"].endswith(":stateMachine:app-prod-machine")
    assert outputs["Repository"].endswith("/app-prod-images")
    found = stack.cfn.list_stack_resources(StackName=stack.name)["StackResourceSummaries"]
    assert {one["ResourceStatus"] for one in found} == {"CREATE_COMPLETE"}
    assert {one["LogicalResourceId"] for one in found} == template()["Resources"].keys()
    assert (
        stack.cfn.get_template(StackName=stack.name)["TemplateBody"]["Resources"].keys()
        == template()["Resources"].keys()
    )
    newest = stack.events()[0]
    assert (newest["LogicalResourceId"], newest["ResourceStatus"]) == (stack.name, "CREATE_COMPLETE")

    same = stack.propose(template(), "UPDATE")
    assert (same["Status"], same["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "didn't contain changes" in same["StatusReason"]

    changed = template(output="changed")
    changed["Resources"]["Task"]["Properties"]["Cpu"] = "512"
    changed["Resources"]["Task"]["Properties"]["Memory"] = "1024"
    del changed["Resources"]["Subscription"]
    proposed = stack.propose(changed, "UPDATE")
    seen = {c["ResourceChange"]["LogicalResourceId"]: c["ResourceChange"] for c in proposed["Changes"]}
    assert {
        name: (c["Action"], c.get("Replacement"))
        for name, c in seen.items()
        if name in ("Task", "Machine", "Subscription")
    } == {
        "Task": ("Modify", "True"),
        "Machine": ("Modify", "False"),
        "Subscription": ("Remove", None),
    }
    assert stack.execute() == "UPDATE_COMPLETE"
    states = account.client("stepfunctions")
    done = aws.execute(account, outputs["Machine"])
    assert json.loads(done["output"])["out"] == "changed"
    assert json.loads(done["output"])["topic"].startswith("arn:aws:sns:")

    bucket, identifier = f"app-prod-{account.id}-{account.region}", made["StackId"]
    stack.cfn.delete_stack(StackName=stack.name)
    aws.until(lambda: stack.described(identifier)["StackStatus"] == "DELETE_COMPLETE")
    account.client("s3").head_bucket(Bucket=bucket)  # retained
    assert states.list_state_machines()["stateMachines"] == []
    skipped = [e["LogicalResourceId"] for e in stack.events(identifier) if e["ResourceStatus"] == "DELETE_SKIPPED"]
    assert sorted(skipped) == ["Bucket", "Logs"]


def test_a_resource_that_cannot_be_made_takes_everything_back(account, stack):
    sound = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}}
    broken = {
        "Type": "AWS::StepFunctions::StateMachine",
        "DependsOn": "Queue",
        "Properties": {"RoleArn": f"arn:aws:iam::{account.id}:role/none", "DefinitionString": "{"},
    }
    stack.propose({"Resources": {"Queue": sound, "Machine": broken}}, "CREATE")
    assert stack.execute() == "ROLLBACK_COMPLETE"
    (failed,) = [e for e in stack.events() if e["ResourceStatus"] == "CREATE_FAILED"]
    assert failed["LogicalResourceId"] == "Machine"
    assert failed["ResourceStatusReason"]
    assert account.client("sqs").list_queues().get("QueueUrls", []) == []
    stack.cfn.delete_stack(StackName=stack.name)


def test_an_update_that_fails_takes_the_update_back(account, stack):
    sound = {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "q"}}}
    stack.propose({"Resources": sound}, "CREATE")
    assert stack.execute() == "CREATE_COMPLETE"
    broken = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"RoleArn": "x", "DefinitionString": "{"}}
    stack.propose({"Resources": {**sound, "Machine": broken}}, "UPDATE")
    assert stack.execute() == "UPDATE_ROLLBACK_COMPLETE"
    assert len(account.client("sqs").list_queues()["QueueUrls"]) == 1


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_unknown_types_are_accepted_and_do_nothing(stack, kind):
    unknown = {"Type": kind, "Properties": {"A": "b"}}
    stack.propose({"Resources": {"X": unknown, "T": {"Type": "AWS::SNS::Topic", "DependsOn": "X"}}}, "CREATE")
    assert stack.execute() == "CREATE_COMPLETE"
