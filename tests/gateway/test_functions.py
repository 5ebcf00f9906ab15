"""Lambda's Invoke and function URLs, as boto3, the AWS CLI and curl speak them."""

import json
import subprocess

import pytest
from botocore.exceptions import ClientError

from tests.conftest import wait_for


@pytest.fixture
def functions(client):
    return client("lambda")


def ended(engine, run_id):
    runs = json.loads(engine.wherry("runs", "--job", "called", "--json").stdout)
    return next((run for run in runs if run["id"] == run_id and run["ended_at"]), None)


def invoke(functions, payload=None, name="called", **more):
    given = {} if payload is None else {"Payload": json.dumps(payload).encode()}
    answer = functions.invoke(FunctionName=name, **given, **more)
    return answer, json.loads(answer["Payload"].read() or b"null")


def test_a_call_starts_a_run_and_is_told_which(functions, engine):
    answer, told = invoke(functions, {"order": 7})
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    assert (told["job"], told["trigger"], told["task"]) == ("called", "invoke", None)
    assert told["status"] in ("queued", "starting", "running")
    run = wait_for(lambda: ended(engine, told["id"]), "the run")
    assert (run["status"], run["trigger"], run["cause"]) == ("succeeded", "invoke", told["cause"])
    event = run["event"]
    assert (event["source"], event["detail-type"], event["detail"]) == ("wherry", "Invocation", {"order": 7})
    assert run["cause"] == f"invoke:{event['id']}"
    assert engine.wherry("logs", told["id"]).stdout == "7\n"


@pytest.mark.parametrize(
    "name",
    [
        "called:$LATEST",
        "gateway-prod_called",
        "000000000000:function:called",
        "arn:aws:lambda:us-east-1:000000000000:function:gateway-prod_called",
    ],
)
def test_a_function_has_the_names_that_it_has_on_aws(functions, name):
    assert invoke(functions, {"order": 1}, name)[1]["job"] == "called"


def test_an_event_may_come_whole_and_makes_one_run(functions, engine):
    event = {"id": "order-7", "source": "shop", "detail-type": "placed", "detail": {"order": 8}}
    first, second = (invoke(functions, event)[1] for _ in range(2))
    assert (first["id"], first["cause"]) == (second["id"], "invoke:order-7")
    run = wait_for(lambda: ended(engine, first["id"]), "the run")
    assert (run["event"]["source"], run["event"]["detail"]) == ("shop", {"order": 8})


def test_without_a_payload(functions):
    assert invoke(functions, name="unlisted")[1]["job"] == "unlisted"


def test_event_and_dry_run(functions, engine):
    before = len(json.loads(engine.wherry("runs", "--job", "called", "--json").stdout))
    answer, told = invoke(functions, {"order": 2}, InvocationType="DryRun")
    assert (answer["StatusCode"], told) == (204, None)
    answer, told = invoke(functions, {"order": 2}, InvocationType="Event")
    assert (answer["StatusCode"], told) == (202, None)
    assert len(json.loads(engine.wherry("runs", "--job", "called", "--json").stdout)) == before + 1


@pytest.mark.parametrize("payload", [[1], "text", {"detail": 5}, {"detail": {}, "id": 5}])
def test_what_no_event_can_be_made_of_is_the_functions_error(functions, payload):
    answer, told = invoke(functions, payload)
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert "must be" in told["errorMessage"]
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        invoke(functions, payload, InvocationType="Event")


def test_what_is_refused(functions):
    for name, code in (("reader", "ResourceNotFoundException"), ("called:2", "ResourceNotFoundException")):
        with pytest.raises(functions.exceptions.ResourceNotFoundException) as caught:
            invoke(functions, {}, name)
        assert caught.value.response["Error"]["Code"] == code
    with pytest.raises(functions.exceptions.InvalidRequestContentException):
        functions.invoke(FunctionName="called", Payload=b"{no json")
    with pytest.raises(functions.exceptions.RequestTooLargeException):
        invoke(functions, {"x": "y" * 300_000})
    with pytest.raises(ClientError, match="NotImplemented"):
        functions.list_functions()


def test_the_aws_cli(aws, tmp_path):
    told = aws(
        "lambda", "invoke", "--function-name", "called", "--payload", '{"order": 3}', "told.json"
    )  # fmt: skip
    assert json.loads(told)["StatusCode"] == 200
    assert json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))["job"] == "called"


def curl(variables, path, *more):
    return subprocess.run(
        [
            "curl", "-s", "-w", "\n%{http_code}", f"{variables['AWS_ENDPOINT_URL']}{path}",
            "--aws-sigv4", f"aws:amz:{variables['AWS_REGION']}:lambda",
            "--user", f"{variables['AWS_ACCESS_KEY_ID']}:{variables['AWS_SECRET_ACCESS_KEY']}", *more,
        ],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout.rsplit("\n", 1)  # fmt: skip


def test_a_function_has_an_url(variables):
    post = ("-H", "content-type: application/json", "-d")
    told, status = curl(variables, "/lambda-url/called/", *post, '{"order": 4}')
    assert (status, json.loads(told)["job"]) == ("200", "called")
    assert curl(variables, "/lambda-url/called/", *post, "[4]")[1] == "400"
    assert curl(variables, "/lambda-url/called/")[1] == "405"
    told, status = curl(variables, "/lambda-url/unlisted/", *post, "{}")
    assert (status, json.loads(told)["message"]) == ("404", "`unlisted` has no URL: write `- invoke: {url: true}`")


def test_nobody_calls_without_a_signature(variables):
    done = subprocess.run(
        ["curl", "-s", "-w", "%{http_code}", "-o", "/dev/null", "-d", "{}",
         f"{variables['AWS_ENDPOINT_URL']}/2015-03-31/functions/called/invocations"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout == "403"


def test_a_job_may_not_invoke(project):
    project.jobfile(
        "app: x\njobs:\n  other: {command: 'true', on: [{invoke: {}}]}\n"
        "  caller: {command: [aws, lambda, invoke, --function-name, other, /dev/null]}\n"
    )
    done = project.wherry("run", "caller", code=None)
    assert "job `caller` may not invoke `other`: let that job run `after` this one" in done.stdout + done.stderr
