"""ECS tasks: what ecs.md says Fargate does."""

import json

import pytest

from tests.standin import aws


def shell(text: str, **more) -> dict:
    return {"command": ["/bin/sh", "-c", text], **more}


def test_a_task_that_exits_0_has_its_times_and_its_lines(account):
    definition = aws.task_definition(account, shell("echo one; printf 'two ü'"))
    task = aws.stopped(account, aws.run(account, definition))
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 0)
    assert task["stoppedReason"] == "Essential container in task exited"
    assert task["createdAt"] <= task["startedAt"] <= task["stoppedAt"]
    stream = f"job/main/{task['taskArn'].rsplit('/', 1)[-1]}"
    assert aws.lines(account, stream) == ["one", "two ü"]


def test_an_image_that_is_missing(account):
    definition = aws.task_definition(account, {"image": "no-such-image:1"})
    task = aws.stopped(account, aws.run(account, definition))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: pull image manifest")
    assert "exitCode" not in task["containers"][0]


def test_a_log_group_that_may_not_be_written(account):
    definition = aws.task_definition(account, shell("true"), may_logs=False)
    task = aws.stopped(account, aws.run(account, definition))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("ResourceInitializationError: failed to validate logger args")
    assert "AccessDeniedException" in task["stoppedReason"]


def test_memory_that_is_not_enough(account):
    greedy = "x=a; while true; do x=$x$x$x$x; done"
    definition = aws.task_definition(account, shell(greedy, memory=16))
    task = aws.stopped(account, aws.run(account, definition))
    container = task["containers"][0]
    assert (container["exitCode"], container["reason"]) == (
        137,
        "OutOfMemoryError: Container killed due to memory usage",
    )


def test_stop_task_sends_sigterm_and_then_sigkill(account):
    stubborn = "trap 'echo no' TERM; echo ready; while true; do sleep 0.1; done"
    polite = "trap 'echo bye; exit 7' TERM; echo ready; while true; do sleep 0.1; done"
    for text, code in ((stubborn, 137), (polite, 7)):
        definition = aws.task_definition(account, shell(text, stopTimeout=2), family=f"f{code}")
        arn = aws.run(account, definition)
        stream = f"job/main/{arn.rsplit('/', 1)[-1]}"
        aws.until(lambda stream=stream: _lines(account, stream))
        stopping = account.client("ecs").stop_task(cluster="c", task=arn, reason="enough")["task"]
        assert (stopping["lastStatus"], stopping["desiredStatus"]) == ("RUNNING", "STOPPED")
        task = aws.stopped(account, arn)
        assert task["containers"][0]["exitCode"] == code
        assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
        assert aws.lines(account, stream) == ["ready", "no" if code == 137 else "bye"]


def _lines(account, stream):
    try:
        return aws.lines(account, stream)
    except account.client("logs").exceptions.ResourceNotFoundException:
        return []


def test_the_task_role_s_credentials_are_at_the_address_and_iam_is_asked(account):
    role = aws.role(account, "task", "ecs-tasks.amazonaws.com")
    text = (
        'wget -qO- "http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"; echo; '
        'wget -qO- "$ECS_CONTAINER_METADATA_URI_V4/task"; echo; echo "$AWS_ENDPOINT_URL $AWS_REGION"'
    )
    definition = aws.task_definition(account, shell(text), task_role=role)
    task = aws.stopped(account, aws.run(account, definition))
    keys, about, told = aws.lines(account, f"job/main/{task['taskArn'].rsplit('/', 1)[-1]}")
    keys = json.loads(keys)
    assert keys["RoleArn"] == role
    assert json.loads(about)["TaskARN"] == task["taskArn"]
    assert told.startswith("http://")
    assert told.endswith(account.region)
    held = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
        "aws_session_token": keys["Token"],
    }
    assert (
        f":assumed-role/task/{task['taskArn'].rsplit('/', 1)[-1]}"
        in account.client("sts", **held).get_caller_identity()["Arn"]
    )
    account.client("s3").create_bucket(
        Bucket="b" + account.id, CreateBucketConfiguration={"LocationConstraint": account.region}
    )
    s3 = account.client("s3", **held)
    with pytest.raises(s3.exceptions.ClientError, match="s3:PutObject"):
        s3.put_object(Bucket="b" + account.id, Key="k", Body=b"")
    aws.allow(account, "task", {"Action": "s3:PutObject"})
    s3.put_object(Bucket="b" + account.id, Key="k", Body=b"")


def test_no_task_role_no_credentials(account):
    definition = aws.task_definition(account, shell('echo "[$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI]"'))
    task = aws.stopped(account, aws.run(account, definition))
    assert aws.lines(account, f"job/main/{task['taskArn'].rsplit('/', 1)[-1]}") == ["[]"]


def test_secrets_are_read_in_the_execution_role(account):
    manager = account.client("secretsmanager")
    arn = manager.create_secret(Name="s", SecretString='{"password": "p w"}')["ARN"]
    secrets = [{"name": "WHOLE", "valueFrom": arn}, {"name": "PART", "valueFrom": f"{arn}:password::"}]
    definition = aws.task_definition(account, shell('echo "$WHOLE|$PART"', secrets=secrets))
    task = aws.stopped(account, aws.run(account, definition))
    assert task["stopCode"] == "TaskFailedToStart"
    assert "unable to retrieve secret from asm" in task["stoppedReason"]
    assert "secretsmanager:GetSecretValue" in task["stoppedReason"]
    aws.allow(account, "executionjob", {"Action": ["secretsmanager:GetSecretValue", "logs:*"]})
    task = aws.stopped(account, aws.run(account, definition))
    assert aws.lines(account, f"job/main/{task['taskArn'].rsplit('/', 1)[-1]}") == ['{"password": "p w"}|p w']


def test_helpers_share_the_network_and_a_volume_and_end_with_the_main_one(account):
    volume = {"sourceVolume": "v", "containerPath": "/v"}
    definition = aws.task_definition(
        account,
        shell(
            "until wget -qO- http://127.0.0.1:8080/f; do sleep 0.05; done",
            dependsOn=[
                {"containerName": "copy", "condition": "SUCCESS"},
                {"containerName": "web", "condition": "START"},
            ],
        ),
        shell("mkdir -p /v/www; echo hello > /v/www/f", name="copy", essential=False, mountPoints=[volume]),
        shell(
            "httpd -p 8080 -h /v/www; trap 'exit 0' TERM; while true; do sleep 0.1; done",
            name="web",
            essential=False,
            mountPoints=[volume],
            dependsOn=[{"containerName": "copy", "condition": "SUCCESS"}],
        ),
        volumes=[{"name": "v"}],
    )
    task = aws.stopped(account, aws.run(account, definition))
    assert {c["name"]: c.get("exitCode") for c in task["containers"]} == {"main": 0, "copy": 0, "web": 0}, task
    assert "hello" in aws.lines(account, f"job/main/{task['taskArn'].rsplit('/', 1)[-1]}")


def test_overrides(account):
    definition = aws.task_definition(account, shell("exit 1", environment=[{"name": "A", "value": "1"}]))
    pair = [{"name": "A", "value": "2"}]
    changed = {"containerOverrides": [{"name": "main", "command": ["/bin/sh", "-c", "exit $A"], "environment": pair}]}
    task = aws.stopped(account, aws.run(account, definition, overrides=changed))
    assert task["containers"][0]["exitCode"] == 2
    ecs = account.client("ecs")
    pair[0]["value"] = "x" * 8192
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="at most 8192"):
        aws.run(account, definition, overrides=changed)
