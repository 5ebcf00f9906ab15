"""A function starts a job's runs: called by the API, by its URL, by a rule of somebody's own; deployed for real."""

import json
import subprocess

import pytest

from tests.aws.conftest import Cloud
from tests.conftest import Project, wait_for

JOBFILE = """
app: calls
jobs:
  greet: {image: wherry-busybox:1, command: [echo, "hello $.detail.name"], on: [{invoke: {url: true}}]}
  alone:
    image: wherry-busybox:1
    command: [sleep, "3"]
    overlap: skip
    on: [{invoke: {}}, {schedule: "rate(5 minutes)"}]
environments: {prod: {region: eu-west-1}}
"""


@pytest.fixture(scope="module")
def cloud(standin, docker_engine, tmp_path_factory):
    cloud = Cloud(Project(tmp_path_factory.mktemp("calls")), standin.account())
    cloud.project.jobfile(JOBFILE.replace('"hello $.detail.name"', 'hello, "$.detail.name"'))
    cloud.wherry("deploy", "--yes")
    return cloud


def invoke(cloud, payload, job="greet", **more):
    answer = cloud.client("lambda").invoke(FunctionName=f"calls-prod_{job}", Payload=json.dumps(payload), **more)
    return answer, json.loads(answer["Payload"].read() or b"null")


def run_of(cloud, run_id):
    def look():
        run = json.loads(cloud.wherry("show", run_id, "--env", "prod", "--json").stdout)
        return run if run["ended_at"] else None

    return wait_for(look, "the run's end", seconds=60)


def count(cloud, job):
    return len(json.loads(cloud.wherry("runs", "--env", "prod", "--job", job, "--json").stdout))


def test_a_call_is_told_of_the_run_and_its_task(cloud):
    answer, told = invoke(cloud, {"name": "world"})
    assert "FunctionError" not in answer, told
    assert (told["job"], told["trigger"]) == ("greet", "invoke")
    assert told["status"] in ("starting", "succeeded")  # it is looked at once a second
    assert told["task"]["taskDefinitionArn"].rpartition(":")[0].endswith("task-definition/calls-prod_greet")
    assert told["task"]["containers"][0]["name"]
    run = run_of(cloud, told["id"])
    assert (run["status"], run["trigger"], run["cause"]) == ("succeeded", "invoke", told["cause"])
    assert run["attempts"][0]["process"] == told["task"]["taskArn"]
    assert (run["event"]["detail-type"], run["event"]["detail"]) == ("Invocation", {"name": "world"})
    assert (run["event"]["account"], run["event"]["region"]) == (cloud.account.id, cloud.account.region)
    assert cloud.wherry("logs", told["id"], "--env", "prod").stdout == "hello world\n"


def test_an_event_with_an_id_of_its_own_makes_one_run(cloud):
    before = count(cloud, "greet")
    event = {"id": "order-7", "source": "shop", "detail-type": "placed", "detail": {"name": "shop"}}
    first, second = (invoke(cloud, event)[1] for _ in range(2))
    assert first["id"] == second["id"]
    assert run_of(cloud, first["id"])["event"]["source"] == "shop"
    assert count(cloud, "greet") == before + 1


def test_a_call_that_nobody_waits_for(cloud):
    before = count(cloud, "greet")
    assert invoke(cloud, {"name": "later"}, InvocationType="Event")[0]["StatusCode"] == 202
    wait_for(lambda: count(cloud, "greet") == before + 1, "the run", seconds=30)


def test_a_run_that_is_skipped_is_told_so(cloud):
    first = invoke(cloud, {}, "alone")[1]
    second = invoke(cloud, {}, "alone")[1]
    assert (first["status"], second["status"]) == ("starting", "skipped")
    assert (bool(first["task"]), second["task"]) == (True, None)


@pytest.mark.parametrize("payload", [[1], {"detail": 5}, {"detail": {}, "id": 5}])
def test_what_no_event_can_be_made_of_is_the_functions_error(cloud, payload):
    answer, told = invoke(cloud, payload)
    assert answer["FunctionError"] == "Unhandled"
    assert "must be" in told["errorMessage"]


def request(body, method="POST", *, encoded=False):
    """What Lambda gives a function of a request to its URL (payload format 2.0)."""
    return {"version": "2.0", "requestContext": {"http": {"method": method}}, "body": body, "isBase64Encoded": encoded}


def test_a_request_to_its_url_is_answered_in_terms_of_http(cloud):
    url = cloud.client("lambda").get_function_url_config(FunctionName="calls-prod_greet")
    assert url["AuthType"] == "AWS_IAM"
    for given in (request('{"name": "url"}'), request("eyJuYW1lIjogInVybCJ9", encoded=True)):
        told = invoke(cloud, given)[1]
        assert (told["statusCode"], told["headers"]) == (200, {"Content-Type": "application/json"})
        run = run_of(cloud, json.loads(told["body"])["id"])
        assert run["event"]["detail"] == {"name": "url"}
    assert invoke(cloud, request("{no json"))[1]["statusCode"] == 400
    assert invoke(cloud, request("[1]"))[1]["statusCode"] == 400
    assert invoke(cloud, request(None, "GET"))[1]["statusCode"] == 405


def test_its_url_wants_a_signature(cloud):
    url = cloud.client("lambda").get_function_url_config(FunctionName="calls-prod_greet")["FunctionUrl"]
    host = url.removeprefix("https://").rstrip("/")
    there = ["curl", "-s", f"{cloud.account.standin.endpoint_url}/", "-H", f"Host: {host}", "-d", '{"name": "curl"}']
    variables = cloud.account.environment
    keys = f"{variables['AWS_ACCESS_KEY_ID']}:{variables['AWS_SECRET_ACCESS_KEY']}"
    signed = ["--aws-sigv4", f"aws:amz:{cloud.account.region}:lambda", "--user", keys]
    told = json.loads(subprocess.run([*there, *signed], capture_output=True, text=True, check=True).stdout)
    assert run_of(cloud, told["id"])["event"]["detail"] == {"name": "curl"}


def test_a_rule_of_somebodys_own_may_call_it(cloud):
    """As with a clock's rule: what it sends is a whole event, and once delivered twice still one run."""
    functions, events = cloud.client("lambda"), cloud.client("events")
    arn = functions.get_function(FunctionName="calls-prod_greet")["Configuration"]["FunctionArn"]
    rule = events.put_rule(Name="theirs", EventPattern='{"source": ["theirs"]}')["RuleArn"]
    functions.add_permission(
        FunctionName="calls-prod_greet",
        StatementId="theirs",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    events.put_targets(Rule="theirs", Targets=[{"Id": "1", "Arn": arn}])
    before = count(cloud, "greet")
    events.put_events(Entries=[{"Source": "theirs", "DetailType": "go", "Detail": '{"name": "rule"}'}])
    wait_for(lambda: count(cloud, "greet") == before + 1, "the run", seconds=30)
    run = json.loads(cloud.wherry("runs", "--env", "prod", "--job", "greet", "--json").stdout)[0]
    assert (run["event"]["source"], run["cause"]) == ("theirs", f"invoke:{run['event']['id']}")


def test_its_role_is_the_least(cloud):
    iam = cloud.client("iam")
    role = next(each["RoleName"] for each in iam.list_roles()["Roles"] if "JobGreetFunctionRole" in each["RoleName"])
    document = iam.get_role_policy(RoleName=role, PolicyName="least")["PolicyDocument"]
    asked = [each for each in document["Statement"] if each["Action"][0].startswith("states:")]
    assert len(asked) == 2
    for missing in asked:
        less = {**document, "Statement": [each for each in document["Statement"] if each != missing]}
        iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(less))
        answer, told = invoke(cloud, {"name": "nobody"})
        assert answer.get("FunctionError"), missing
        assert missing["Action"][0] in told["errorMessage"]
    iam.put_role_policy(RoleName=role, PolicyName="least", PolicyDocument=json.dumps(document))
    assert "FunctionError" not in invoke(cloud, {"name": "again"})[0]


def test_a_destroyed_environment_leaves_nothing_of_it(cloud):
    cloud.wherry("destroy", "--env", "prod", "--yes")
    assert cloud.client("lambda").list_functions()["Functions"] == []
