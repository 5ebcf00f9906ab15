"""What the tests of the stand-in build on AWS, in a few words each."""

import json
import time

GROUP = "/wherry/test"


def until(condition, seconds: float = 20, pause: float = 0.1):
    """What the condition gives, once it gives something."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s"
        time.sleep(pause)


def role(account, name: str, service: str, *statements: dict) -> str:
    iam = account.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if statements:
        allow(account, name, *statements)
    return arn


def allow(account, name: str, *statements: dict) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **s} for s in statements]}
    account.client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(document))


def machine(account, states: dict, *, start: str | None = None, may=(), name="m", **more) -> str:
    """A JSONata machine with a role that may do these things."""
    arn = role(account, f"{name}-role", "states.amazonaws.com", *([{"Action": list(may)}] if may else []))
    definition = {"QueryLanguage": "JSONata", "StartAt": start or next(iter(states)), "States": states, **more}
    made = account.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=arn, type="STANDARD"
    )
    return made["stateMachineArn"]


def execute(account, arn: str, given=None, **more) -> dict:
    """Run it to its end."""
    sfn = account.client("stepfunctions")
    started = sfn.start_execution(stateMachineArn=arn, input=json.dumps({} if given is None else given), **more)
    return ended(account, started["executionArn"])


def ended(account, execution: str, seconds: float = 30) -> dict:
    sfn = account.client("stepfunctions")

    def over():
        found = sfn.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    return until(over, seconds)


def output(account, states: dict, given=None, **more):
    """The output of a machine of these states."""
    done = execute(account, machine(account, states, **more), given)
    assert done["status"] == "SUCCEEDED", (done["error"], done["cause"])
    return json.loads(done["output"])


def history(account, execution: str) -> list[dict]:
    return account.client("stepfunctions").get_execution_history(executionArn=execution)["events"]


def task_definition(
    account, *containers: dict, memory="512", task_role: str | None = None, may_logs=True, **more
) -> str:
    """A Fargate task definition; containers are given by what is special about them."""
    execution = role(
        account,
        f"execution{more.get('family', 'job')}",
        "ecs-tasks.amazonaws.com",
        {"Action": ["logs:CreateLogStream", "logs:PutLogEvents"] if may_logs else ["logs:Nothing"]},
    )
    logs = account.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=GROUP)
    filled = [
        {
            "name": "main",
            "image": "wherry-busybox:1",
            "essential": True,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": GROUP, "awslogs-region": account.region, "awslogs-stream-prefix": "job"},
            },
            **container,
        }
        for container in containers
    ]
    given = {"family": "job", "cpu": "256", "memory": memory, "executionRoleArn": execution, **more}
    if task_role:
        given["taskRoleArn"] = task_role
    ecs = account.client("ecs")
    ecs.create_cluster(clusterName="c")
    registered = ecs.register_task_definition(
        containerDefinitions=filled, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], **given
    )
    return registered["taskDefinition"]["taskDefinitionArn"]


NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}}


def run(account, definition: str, **more) -> str:
    answer = account.client("ecs").run_task(
        cluster="c", taskDefinition=definition, launchType="FARGATE", networkConfiguration=NETWORK, **more
    )
    return answer["tasks"][0]["taskArn"]


def stopped(account, task: str, seconds: float = 30) -> dict:
    ecs = account.client("ecs")

    def over():
        found = ecs.describe_tasks(cluster="c", tasks=[task])["tasks"][0]
        return found if found["lastStatus"] == "STOPPED" else None

    return until(over, seconds)


def lines(account, stream: str) -> list[str]:
    events = account.client("logs").get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)
    return [event["message"] for event in events["events"]]
