"""The rest of what the product asks AWS for."""

import json
import time

from tests.standin import aws

FUNCTION = """
import json, urllib.request
def handler(event, context):
    answer = {"Status": "SUCCESS", "PhysicalResourceId": "custom-1", "StackId": event["StackId"],
              "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"],
              "Data": {"Told": event["ResourceProperties"]["Say"]}}
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT"))
"""


def test_a_default_vpc_is_there(account):
    ec2 = account.client("ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    assert len(subnets) > 1
    assert all(subnet["DefaultForAz"] and subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    routes = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
    assert any(r.get("GatewayId", "").startswith("igw-") for table in routes for r in table["Routes"])


def test_who_am_i(account):
    found = account.client("sts").get_caller_identity()
    assert (found["Account"], found["Arn"]) == (account.id, f"arn:aws:iam::{account.id}:root")


def test_logs_are_filtered(account):
    logs = account.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="a/b/c")
    now = int(time.time() * 1000)
    events = [{"timestamp": now + n, "message": f"line {n}"} for n in range(3)]
    logs.put_log_events(logGroupName="g", logStreamName="a/b/c", logEvents=events)
    found = logs.filter_log_events(logGroupName="g", logStreamNamePrefix="a/", startTime=now + 1)["events"]
    assert [event["message"] for event in found] == ["line 1", "line 2"]


def test_a_queue_is_told_by_a_bucket(account):
    s3, sqs, bucket = account.client("s3"), account.client("sqs"), f"b{account.id}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account.region})
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    url = sqs.create_queue(QueueName="q", Attributes={"Policy": policy})["QueueUrl"]
    told = {"QueueArn": f"arn:aws:sqs:{account.region}:{account.id}:q", "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [told], "EventBridgeConfiguration": {}}
    )
    kept = s3.get_bucket_notification_configuration(Bucket=bucket)
    assert kept["QueueConfigurations"][0]["QueueArn"] == told["QueueArn"]
    assert "EventBridgeConfiguration" in kept
    s3.put_object(Bucket=bucket, Key="a b", Body=b"")

    def arrived():
        return [m for m in sqs.receive_message(QueueUrl=url).get("Messages", []) if "Records" in m["Body"]]

    (message,) = aws.until(arrived)
    assert json.loads(message["Body"])["Records"][0]["s3"]["object"]["key"] == "a+b"


def test_a_custom_resource_by_a_function(account):
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    resources = {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", **trust}},
        },
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.11",
                "Handler": "index.handler",
                "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                "Code": {"ZipFile": FUNCTION},
            },
        },
        "Custom": {
            "Type": "AWS::CloudFormation::CustomResource",
            "Properties": {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, "Say": "hello"},
        },
    }
    outputs = {"Told": {"Value": {"Fn::GetAtt": ["Custom", "Told"]}}}
    cfn = account.client("cloudformation")
    body = json.dumps({"Resources": resources, "Outputs": outputs})
    cfn.create_stack(StackName="s", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])

    def over():
        (found,) = cfn.describe_stacks(StackName="s")["Stacks"]
        return found if not found["StackStatus"].endswith("IN_PROGRESS") else None

    made = aws.until(over, 60)
    assert made["StackStatus"] == "CREATE_COMPLETE"
    assert made["Outputs"][0]["OutputValue"] == "hello"


def test_a_failed_execution_is_redriven_from_the_state_that_failed(account):
    url = account.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    send = {"QueueUrl": url, "MessageBody": "{% $kept %}"}
    states = {
        "Keep": {"Type": "Pass", "Assign": {"kept": "{% $states.input.a %}"}, "Next": "Send"},
        "Send": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Arguments": send, "End": True},
    }
    sfn = account.client("stepfunctions")
    done = aws.execute(account, aws.machine(account, states), {"a": "kept"})
    assert done["status"] == "FAILED"
    aws.allow(account, "m-role", {"Action": "sqs:SendMessage"})
    sfn.redrive_execution(executionArn=done["executionArn"])
    assert aws.ended(account, done["executionArn"])["status"] == "SUCCEEDED"
    kinds = [event["type"] for event in aws.history(account, done["executionArn"])]
    assert kinds.count("PassStateEntered") == 1
    assert kinds[kinds.index("ExecutionFailed") + 1 :][:2] == ["ExecutionRedriven", "TaskStateEntered"]
    (message,) = account.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "kept"
