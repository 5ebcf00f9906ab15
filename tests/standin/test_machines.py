"""Step Functions in JSONata: what stepfunctions-ecs.md says AWS does."""

import json

import pytest

from tests.standin import aws


def passing(**fields) -> dict:
    return {"Pass": {"Type": "Pass", "End": True, **fields}}


def test_values_are_kept_in_variables_and_assigned_side_by_side(account):
    states = {
        "A": {"Type": "Pass", "Assign": {"x": 1, "y": "{% $states.input.n %}"}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"x": "{% $y %}", "y": "{% $x %}"}, "Output": "{% $x %}", "Next": "C"},
        "C": {"Type": "Succeed", "Output": {"x": "{% $x %}", "y": "{% $y %}", "was": "{% $states.input %}"}},
    }
    assert aws.output(account, states, {"n": 7}) == {"x": 7, "y": 1, "was": 1}


FUNCTIONS = {
    "$parse('{\"a\": [1, null]}')": {"a": [1, None]},
    "$hash('a', 'SHA-256')": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    "$string({'a': 1, 'b': [true, null, 'ü']})": '{"a":1,"b":[true,null,"ü"]}',
    "$string(1.5) & $string(true) & $string(1000000)": "1.5true1000000",
    "$exists($states.input.none) or $exists($states.input.some)": True,
    "$merge([{'a': 1}, {'b': 2}])": {"a": 1, "b": 2},
    "$append([1], [2, 3])": [1, 2, 3],
    "[$filter([1, 2, 3], function($v) { $v > 2 })]": [3],
    "$map(['a', 'b'], function($v, $i) { $v & $string($i) })": ["a0", "b1"],
    "$sort([{'n': 2}, {'n': 1}], function($l, $r) { $l.n > $r.n }).n": [1, 2],
    "$toMillis('2026-01-02T03:04:05.678Z')": 1767323045678,
    "$fromMillis(1767323045678)": "2026-01-02T03:04:05.678Z",
    "$millis() > 1700000000000": True,
    "$length($now())": 24,
    "$substring('abcdef', 1, 3)": "bcd",
    "$join(['a', 'b'], '-')": "a-b",
    "$contains('abracadabra', /a.ra/)": True,
    "$lookup({'a b': 3}, 'a b')": 3,
    "$replace('a/b c', /[^a-z]/, '_')": "a_b_c",
    "$match('2026-01', /([0-9]+)-([0-9]+)/).groups": ["2026", "01"],
    "$split('a,b', ',')": ["a", "b"],
    "$type(null) & $type({}) & $type(1)": "nullobjectnumber",
    "$reduce([1, 2, 3], function($a, $b) { $a + $b }, 0)": 6,
    "$number('12') + $floor(2.7) + $min([3, 4])": 17,
    "$keys({'a': 1, 'b': 2})": ["a", "b"],
    "$each({'a': 1}, function($v, $k) { $k & '=' & $string($v) })": "a=1",
    "($f := function($x) { $x * 2 }; $f(21))": 42,
    "$count([1..5]) & ''": "5",
    "[1, 2, 3][-1]": 3,
    "$states.input.list[n = 2].name": "two",
    "$states.input.none ? 1 : 2": 2,
    "$sum([1, 2]) = 3 and $not(false)": True,
    "$base64encode('a') & $encodeUrlComponent('a b')": "YQ==a%20b",
    "$partition([1, 2, 3], 2)": [[1, 2], [3]],
    "$uppercase($trim(' a '))": "A",
    "$pad('7', -3, '0')": "007",
    "$formatNumber(5, '00')": "05",
    "$distinct([1, 1, 2])": [1, 2],
    "$sift({'a': 1, 'b': 2}, function($v) { $v = 1 })": {"a": 1},
    "$zip([1], [2])": [[1, 2]],
    "$spread({'a': 1})": {"a": 1},
    "$boolean([])": False,
    "$round(2.5)": 2,
    "'a' in ['a', 'b']": True,
}


def test_functions(account):
    given = {"list": [{"n": 1, "name": "one"}, {"n": 2, "name": "two"}], "some": None}
    found = aws.output(account, passing(Output=[f"{{% {text} %}}" for text in FUNCTIONS]), given)
    assert dict(zip(FUNCTIONS, found, strict=True)) == FUNCTIONS


def test_the_execution_is_in_the_context(account):
    arn = aws.machine(account, passing(Output="{% $states.context %}"))
    done = aws.execute(account, arn, {"a": 1}, name="named")
    context = json.loads(done["output"])
    assert context["Execution"].keys() >= {"Id", "Input", "Name", "RoleArn", "StartTime"}
    assert (context["Execution"]["Name"], context["Execution"]["Input"]) == ("named", {"a": 1})
    assert context["Execution"]["StartTime"].endswith("Z")
    assert context["State"]["Name"] == "Pass"


@pytest.mark.parametrize("expression", ["$error('it is wrong')", "$states.input.missing", "1 + 'a'", "$parse('{')"])
def test_what_cannot_be_evaluated_is_caught(account, expression):
    sqs = account.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    states = {
        "Task": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Arguments": {"QueueUrl": url, "MessageBody": f"{{% {expression} %}}"},
            "Catch": [
                {
                    "ErrorEquals": ["States.QueryEvaluationError"],
                    "Assign": {"why": "{% $states.errorOutput.Cause %}"},
                    "Next": "End",
                }
            ],
            "End": True,
        },
        "End": {"Type": "Succeed", "Output": "{% $why %}"},
    }
    cause = aws.output(account, states)
    assert f"The JSONata expression '{expression}' specified for the field 'Arguments/MessageBody'" in cause
    if "wrong" in expression:
        assert "it is wrong" in cause


def test_a_pass_state_s_fault_fails_the_execution(account):
    done = aws.execute(account, aws.machine(account, passing(Output="{% $error('no key') %}")))
    assert (done["status"], done["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert "no key" in done["cause"]


def test_choices(account):
    states = {
        "Choice": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.n > 5 %}", "Assign": {"size": "big"}, "Next": "Tell"},
                {
                    "Condition": "{% $states.input.n > 1 and $exists($states.input.n) %}",
                    "Output": {"n": 0},
                    "Next": "Plain",
                },
            ],
            "Default": "Tell",
            "Assign": {"size": "small", "always": "told"},
        },
        "Tell": {"Type": "Pass", "Output": "{% $always & ' ' & $size %}", "End": True},
        "Plain": {"Type": "Succeed"},
    }
    arn = aws.machine(account, states)
    found = [json.loads(aws.execute(account, arn, {"n": n})["output"]) for n in (9, 3, 0)]
    assert found == ["told big", {"n": 0}, "told small"]


def test_a_variable_has_at_most_256_kib(account):
    states = {"Set": {"Type": "Pass", "Assign": {"large": "{% $pad('', 262143) %}"}, "End": True}}
    done = aws.execute(account, aws.machine(account, states), {})
    assert (done["status"], done["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_waits_and_retries_take_their_time(account):
    states = {
        "Wait": {"Type": "Wait", "Seconds": "{% $states.input.s %}", "Next": "Until"},
        "Until": {"Type": "Wait", "Timestamp": "{% $fromMillis($millis() + 1000) %}", "Next": "Task"},
        "Task": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
            "Arguments": {"QueueName": "none"},
            "Retry": [
                {
                    "ErrorEquals": ["States.TaskFailed"],
                    "IntervalSeconds": 1,
                    "BackoffRate": 1.5,
                    "MaxAttempts": 1,
                    "JitterStrategy": "NONE",
                }
            ],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput.Error %}", "Next": "End"}],
            "End": True,
        },
        "End": {"Type": "Succeed"},
    }
    arn = aws.machine(account, states, may=["sqs:*"])
    done = aws.execute(account, arn, {"s": 1})
    assert done["output"] == '"Sqs.QueueDoesNotExistException"'
    assert 3 <= (done["stopDate"] - done["startDate"]).total_seconds() < 8


def test_fail_states_say_why_in_expressions(account):
    states = {"Fail": {"Type": "Fail", "Error": "Wherry.Refused", "Cause": "{% 'because ' & $states.input.x %}"}}
    done = aws.execute(account, aws.machine(account, states), {"x": "y"})
    assert (done["status"], done["error"], done["cause"]) == ("FAILED", "Wherry.Refused", "because y")


def test_machine_wide_time_limit(account):
    arn = aws.machine(account, {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}, TimeoutSeconds=1)
    done = aws.execute(account, arn)
    assert done["status"] == "TIMED_OUT"
    assert aws.history(account, done["executionArn"])[-1]["type"] == "ExecutionTimedOut"


def test_every_call_asks_iam_in_the_machine_s_role(account):
    url = account.client("sqs").create_queue(QueueName="q")["QueueUrl"]
    states = {
        "Send": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Arguments": {"QueueUrl": url, "MessageBody": {"a": "{% $states.input %}"}},
            "End": True,
        }
    }
    arn = aws.machine(account, states)
    done = aws.execute(account, arn, [1])
    assert done["status"] == "FAILED"
    assert "is not authorized to perform: sqs:sendmessage" in done["cause"].lower()
    aws.allow(account, "m-role", {"Action": "sqs:SendMessage"})
    assert aws.execute(account, arn, [1])["status"] == "SUCCEEDED"
    (message,) = account.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"]) == {"a": [1]}


def test_integrations(account):
    s3, sns, sqs = account.client("s3"), account.client("sns"), account.client("sqs")
    bucket = f"b{account.id}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": account.region})
    topic = sns.create_topic(Name="t")["TopicArn"]
    queue = sqs.create_queue(QueueName="q")["QueueUrl"]
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    sqs.set_queue_attributes(
        QueueUrl=queue, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [everyone]})}
    )
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{account.region}:{account.id}:q")
    child = aws.machine(account, passing(Output={"child": "{% $states.input %}"}), name="child")
    resource = "arn:aws:states:::"

    def task(what, arguments, following=None, **more):
        ends = {"Next": following} if following else {"End": True}
        return {"Type": "Task", "Resource": resource + what, "Arguments": arguments, **ends, **more}

    event = {"Source": "wherry", "DetailType": "d", "Detail": {"n": "{% $states.context.Execution.Name %}"}}
    states = {
        "Put": task("aws-sdk:s3:putObject", {"Bucket": bucket, "Key": "a/b ü", "Body": "{% $string({'a': 1}) %}"}, "Say"),
        "Say": task("sns:publish", {"TopicArn": topic, "Subject": "s", "Message": "m"}, "Event", Assign={"id": "{% $states.result.MessageId %}"}),
        "Event": task("events:putEvents", {"Entries": [event]}, "Start"),
        "Start": task("aws-sdk:sfn:startExecution", {"StateMachineArn": child, "Name": "one", "Input": "{% $string({'a': 1}) %}"}, "Again", Assign={"child": "{% $states.result.ExecutionArn %}", "started": "{% $states.result.StartDate %}"}),
        "Again": task("aws-sdk:sfn:startExecution", {"StateMachineArn": child, "Name": "one", "Input": "2"}, "Never", Catch=[{"ErrorEquals": ["Sfn.ExecutionAlreadyExistsException"], "Next": "Wait", "Assign": {"again": "{% $states.errorOutput.Error %}"}}]),
        "Never": {"Type": "Fail"},
        "Wait": {"Type": "Wait", "Seconds": 1, "Next": "Describe"},
        "Describe": task("aws-sdk:sfn:describeExecution", {"ExecutionArn": "{% $child %}"}, "List", Assign={"described": "{% $states.result.Status %}"}),
        "List": task("aws-sdk:sfn:listExecutions", {"StateMachineArn": child, "StatusFilter": "SUCCEEDED"}, "Nest", Assign={"listed": "{% [$states.result.Executions.Name] %}"}),
        "Nest": task("states:startExecution", {"StateMachineArn": child, "Input": {"n": 1}}, "Sync"),
        "Sync": task("states:startExecution.sync:2", {"StateMachineArn": child, "Input": {"n": 2}}, "End", Assign={"nested": "{% $states.result.Output %}"}),
        "End": {"Type": "Succeed", "Output": "{% {'again': $again, 'described': $described, 'listed': $listed, 'nested': $nested, 'started': $started} %}"},
    }  # fmt: skip
    found = aws.output(account, states, may=["s3:*", "sns:*", "sqs:*", "states:*", "events:*"])
    assert found.pop("started").endswith("Z")
    assert found == {
        "again": "Sfn.ExecutionAlreadyExistsException",
        "described": "SUCCEEDED",
        "listed": ["one"],
        "nested": {"child": {"n": 2}},
    }
    assert s3.get_object(Bucket=bucket, Key="a/b ü")["Body"].read() == b'{"a":1}'
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2)["Messages"]
    assert json.loads(message["Body"])["Message"] == "m"


def test_executions_are_idempotent_while_they_run(account):
    arn = aws.machine(account, {"Wait": {"Type": "Wait", "Seconds": 30, "End": True}})
    sfn = account.client("stepfunctions")
    first = sfn.start_execution(stateMachineArn=arn, name="n", input='{"a":1}')
    assert sfn.start_execution(stateMachineArn=arn, name="n", input='{"a":1}')["executionArn"] == first["executionArn"]
    with pytest.raises(sfn.exceptions.ExecutionAlreadyExists):
        sfn.start_execution(stateMachineArn=arn, name="n", input='{"a":2}')
    second = sfn.start_execution(stateMachineArn=arn, name="o")
    listed = sfn.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"]
    assert [one["name"] for one in listed] == ["o", "n"]
    sfn.stop_execution(executionArn=first["executionArn"], error="e", cause="c")
    done = aws.ended(account, first["executionArn"], 2)
    assert (done["status"], done["error"], done["cause"]) == ("ABORTED", "e", "c")
    with pytest.raises(sfn.exceptions.ExecutionAlreadyExists):
        sfn.start_execution(stateMachineArn=arn, name="n", input='{"a":1}')
    assert aws.history(account, first["executionArn"])[-1]["type"] == "ExecutionAborted"
    sfn.stop_execution(executionArn=second["executionArn"])


# runTask.sync

ALL = ["ecs:RunTask", "ecs:StopTask", "ecs:DescribeTasks", "iam:PassRole"]


def running(command: str, **more) -> dict:
    overrides = {"ContainerOverrides": [{"Name": "main", "Command": ["/bin/sh", "-c", command]}]}
    return {
        "Run": {
            "Type": "Task",
            "Resource": "arn:aws:states:::ecs:runTask.sync",
            "Arguments": {
                "Cluster": "c",
                "TaskDefinition": "{% $states.input %}",
                "LaunchType": "FARGATE",
                "NetworkConfiguration": {"AwsvpcConfiguration": {"Subnets": ["subnet-1"], "AssignPublicIp": "ENABLED"}},
                "Overrides": overrides,
            },
            "End": True,
            **more,
        }
    }


def test_run_task_sync_gives_the_task_and_its_history(account):
    definition = aws.task_definition(account, {})
    done = aws.execute(account, aws.machine(account, running("exit 0"), may=ALL), definition)
    task = json.loads(done["output"])
    assert task["Containers"][0]["ExitCode"] == 0
    assert (task["StopCode"], task["LastStatus"]) == ("EssentialContainerExited", "STOPPED")
    assert task["StartedBy"] == "AWS Step Functions"
    assert isinstance(task["StartedAt"], int)
    assert task["StoppedAt"] > 1_700_000_000_000
    events = aws.history(account, done["executionArn"])
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    scheduled = events[2]["taskScheduledEventDetails"]
    assert (scheduled["resourceType"], scheduled["resource"]) == ("ecs", "runTask.sync")
    assert json.loads(scheduled["parameters"])["Cluster"] == "c"
    submitted = json.loads(events[4]["taskSubmittedEventDetails"]["output"])
    assert submitted["Tasks"][0]["TaskArn"] == task["TaskArn"]
    assert submitted["Failures"] == []


def test_run_task_sync_fails_with_the_task_as_cause(account):
    states = {
        **running("exit 3", Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "Judge", "Assign": {"task": "{% $parse($states.errorOutput.Cause) %}"}}]),
        "Judge": {"Type": "Succeed", "Output": "{% $task.Containers[Name = 'main'].ExitCode %}"},
    }  # fmt: skip
    arn = aws.machine(account, states, may=ALL)
    definition = aws.task_definition(account, {})
    assert aws.execute(account, arn, definition)["output"] == "3"
    bare = aws.machine(account, running("exit 3"), may=ALL, name="bare")
    missing = aws.task_definition(account, {"image": "none:1"}, family="missing")
    done = aws.execute(account, bare, missing)
    assert (done["status"], done["error"]) == ("FAILED", "States.TaskFailed")
    cause = json.loads(done["cause"])
    assert cause["StopCode"] == "TaskFailedToStart"
    assert cause["StoppedReason"].startswith("CannotPullContainerError")
    assert "ExitCode" not in cause["Containers"][0]
    assert [e["type"] for e in aws.history(account, done["executionArn"])][-2:] == ["TaskFailed", "ExecutionFailed"]


def test_a_stop_and_a_time_out_stop_the_container(account):
    definition = aws.task_definition(account, {"stopTimeout": 2})
    long = "trap 'exit 0' TERM; while true; do sleep 0.1; done"
    timed = running(long, TimeoutSeconds="{% 1 + 1 %}", Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Late"}])
    states = {**timed, "Late": {"Type": "Pass", "End": True}}
    done = aws.execute(account, aws.machine(account, states, may=ALL), definition)
    assert done["status"] == "SUCCEEDED"
    assert json.loads(done["output"]).keys() == {"Error", "Cause"}
    kinds = [event["type"] for event in aws.history(account, done["executionArn"])]
    assert kinds[5:7] == ["TaskTimedOut", "TaskStateExited"]
    sfn, ecs = account.client("stepfunctions"), account.client("ecs")
    arn = aws.machine(account, running(long), may=ALL, name="stop")
    started = sfn.start_execution(stateMachineArn=arn, input=json.dumps(definition))["executionArn"]
    aws.until(lambda: len(aws.history(account, started)) > 4)
    sfn.stop_execution(executionArn=started)
    tasks = ecs.list_tasks(cluster="c", desiredStatus="STOPPED")["taskArns"]
    aws.until(lambda: len(ecs.list_tasks(cluster="c", desiredStatus="STOPPED")["taskArns"]) == 2)
    tasks = ecs.list_tasks(cluster="c", desiredStatus="STOPPED")["taskArns"]
    for task in tasks:
        found = aws.stopped(account, task)
        assert found["stopCode"] == "UserInitiated"


def test_a_run_task_that_is_refused(account):
    done = aws.execute(account, aws.machine(account, running("true")), aws.task_definition(account, {}))
    assert (done["status"], done["error"]) == ("FAILED", "ECS.AccessDeniedException")
    assert "ecs:RunTask" in done["cause"]
