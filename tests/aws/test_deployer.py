"""`wherry policy`: who has it and nothing else can do all of it, and nothing in it is superfluous."""

import json

import pytest
from ministack.core import iam_evaluator

from tests.conftest import PYTHON, wait_for
from wherry.aws import deployer

JOBFILE = """
app: sales
buckets: {uploads: {}, results: {}}
queues: {letters: {}}
jobs:
  count:
    build: image
    command: [sh, -c, "echo counted"]
    on: [{upload: {bucket: uploads, suffix: .csv}}, {schedule: rate(1 hour)}, {event: {source: [shop]}}]
    reads: [uploads]
    writes: [results]
    secrets: {TOKEN: api-token}
  broken: {image: wherry-busybox:1, command: [sh, -c, "exit 3"], on: [{invoke: {url: true}}]}
  slow: {image: wherry-busybox:1, command: [sleep, "60"]}
  answer: {build: answer, command: [echo, answered], on: [{queue: letters, workers: {max: 1}}]}
environments:
  prod: {region: eu-west-1, alerts: [a@example.org], network: own, dashboard: true}
"""


def user(cloud, *documents):
    """The keys of a new user who may do what these policies say, and nothing else."""
    iam = cloud.client("iam")
    name = f"deployer-{len(iam.list_users()['Users'])}"
    iam.create_user(UserName=name)
    for number, document in enumerate(documents):
        text = json.dumps(document)
        arn = iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=text)["Policy"]["Arn"]
        iam.attach_user_policy(UserName=name, PolicyArn=arn)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


class As:
    """The command line as a user."""

    def __init__(self, cloud, keys) -> None:
        self.cloud, self.environment = cloud, {**cloud.account.environment, **keys}
        self.key = keys["AWS_ACCESS_KEY_ID"]

    def wherry(self, *arguments, **more):
        return self.cloud.project.wherry(*arguments, env=self.environment, **more)


@pytest.fixture
def sales(cloud):
    cloud.project.jobfile(JOBFILE)
    folder = cloud.project.folder / "image"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM wherry-busybox:1\nCOPY a.txt /\n")
    (folder / "a.txt").write_text(cloud.account.id)
    cloud.project.file("answer/Dockerfile", f"FROM {PYTHON}\n")
    return cloud


def printed(cloud, *more):
    return json.loads(cloud.wherry("policy", "--account", cloud.account.id, *more).stdout)


@pytest.mark.timeout(600)
def test_whoever_has_the_policies_can_deploy_use_and_destroy(sales):
    before = sales.leftovers()
    files = sales.wherry("policy", "--account", sales.account.id, "--to", "policies").stdout.split()
    documents = [json.loads((sales.project.folder / file).read_text()) for file in files]
    boss, operator = (As(sales, user(sales, *each)) for each in (documents, [printed(sales, "--for", "operate")]))
    boss.wherry("secrets", "set", "api-token", "--env", "prod", stdin="x")
    boss.wherry("plan")
    assert "[NG]" not in boss.wherry("verify").stdout
    boss.wherry("deploy", "--yes")
    assert boss.wherry("plan").stdout.splitlines()[-1] == "no changes"
    use(operator)
    told = operator.wherry("verify").stdout
    assert (
        "[SKIP] quota Fargate On-Demand vCPUs: the caller may not look: that needs servicequotas:GetServiceQuota"
        in told
    )
    assert "[NG]" not in told
    assert "not authorized" in operator.wherry("plan", code=1).stderr
    assert "not authorized" in operator.wherry("destroy", "--yes", code=1).stderr
    sales.project.jobfile(JOBFILE.replace("rate(1 hour)", "rate(2 hours)"))
    boss.wherry("plan")
    boss.wherry("deploy", "--yes")
    boss.wherry("destroy", "--yes", "--with-data", "sales")
    operator.wherry("secrets", "rm", "api-token", "--env", "prod")
    assert [each for each in sales.leftovers() if "api-token" not in each] == before
    asked = [*sales.account.asked(boss.key), *sales.account.asked(operator.key)]
    assert needless(documents, asked) == set()


def test_without_a_statement_the_deploy_says_what_is_missing(cloud):
    cloud.project.jobfile("app: a\njobs: {x: {image: 'wherry-busybox:1'}}\nenvironments: {prod: {region: eu-west-1}}\n")
    document = printed(cloud)
    less = {**document, "Statement": [each for each in document["Statement"] if each["Sid"] != "Sqs"]}
    told = As(cloud, user(cloud, *deployer.parts(less))).wherry("deploy", "--yes", code=1).stderr
    queue = f"arn:aws:sqs:eu-west-1:{cloud.account.id}:a-prod-dead-letters"
    assert f"is not authorized to perform: sqs:CreateQueue on resource: {queue}" in told
    assert told.splitlines()[-1] == "  whoever deploys needs that action: `wherry policy` prints all that it takes"


def test_it_covers_instances_and_buses(cloud, docker_engine):
    """The group has an instance when it goes, as ECS would have had one launched."""
    job = "{image: wherry-busybox:1, command: [echo, done], on: [{event: {source: [shop]}}]}"
    bus = '{name: shop, accounts: ["111122223333"]}'
    cloud.project.jobfile(
        f"app: a\njobs: {{x: {job}}}\nenvironments: {{prod: {{region: eu-west-1, network: own, capacity: ec2, bus: {bus}}}}}\n"
    )
    boss = As(cloud, user(cloud, *deployer.parts(printed(cloud))))
    assert "[NG]" not in boss.wherry("verify").stdout
    boss.wherry("deploy", "--yes")
    assert boss.wherry("run", "x", "--env", "prod").stdout == "done\n"
    boss.wherry("status", "--env", "prod")
    boss.wherry("cost", "--env", "prod")
    autoscaling = cloud.client("autoscaling")
    (group,) = autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    autoscaling.set_desired_capacity(AutoScalingGroupName=group["AutoScalingGroupName"], DesiredCapacity=1)
    boss.wherry("destroy", "--yes")
    assert cloud.leftovers() == []


def needless(documents, asked) -> set[str]:
    """The statements without which everything that was asked would be allowed all the same."""
    statements = [statement for document in documents for statement in document["Statement"]]
    granted = [question for question in asked if not _misses(statements, [question])]
    return {each["Sid"] for each in statements if not _misses([one for one in statements if one is not each], granted)}


def _misses(statements, asked) -> bool:
    policies = [iam_evaluator.parse_policy_document({"Version": "2012-10-17", "Statement": statements})]
    return any(not _allowed(policies, *question) for question in asked)


def _allowed(policies, action, resource, context) -> bool:
    question = iam_evaluator.EvalContext(
        principal_arn="",
        principal_type="User",
        principal_account="",
        action=action,
        resource_arn=resource,
        region="",
        service_context={name.lower(): value for name, value in context.items()},
        principal_keys={},
    )
    return iam_evaluator.evaluate(question, policies).decision == "Allow"


def use(me):
    """Every verb that takes `--env`."""
    env = ("--env", "prod")
    (me.cloud.project.folder / "a.csv").write_text("1")
    me.wherry("cp", "a.csv", "s3://uploads/a.csv", *env)
    me.wherry("cp", "s3://uploads/a.csv", "b.csv", *env)
    assert "counted" in me.wherry("run", "count", *env).stdout
    me.wherry("run", "broken", *env, code=3)
    run = json.loads(me.wherry("runs", "--job", "broken", "--json", *env).stdout)[0]["id"]
    for verb in ("show", "logs", "explain"):
        me.wherry(verb, run, *env)
    me.wherry("replay", run, *env, code=3)
    me.wherry("retry", run, *env, code=3)
    me.wherry("replay", run, "--here", *env, code=3)
    me.wherry("backfill", "count", "--from", "2026-03-01T00:00", "--to", "2026-03-01T01:00", *env)
    wait_for(lambda: run in me.wherry("dead-letters", *env).stdout, "the letter")
    me.wherry("dead-letters", "purge", run, *env)
    assert "broken" in me.wherry("cost", "--actual", *env).stdout
    me.wherry("emit", '{"source": "shop", "detail-type": "order", "detail": {}}', *env)
    me.wherry("status", *env)
    me.wherry("secrets", "ls", *env)
    me.wherry("secrets", "set", "api-token", *env, stdin="y")
    use_queues(me, env)
    slow = me.cloud.begin("run", "slow", *env)
    wait_for(lambda: me.wherry("runs", "--job", "slow", "--status", "running", *env).stdout.count("slow"), "the run")
    running = json.loads(me.wherry("runs", "--job", "slow", "--status", "running", "--json", *env).stdout)[0]["id"]
    me.wherry("stop", running, *env)
    slow.communicate(timeout=60)


def use_queues(me, env):
    """The verbs of queues, and those of runs for a run of a message."""
    me.wherry("queue", "send", "letters", "a letter", *env)
    answered = ("runs", "--job", "answer", "--status", "succeeded", "--json", *env)
    (run,) = wait_for(lambda: json.loads(me.wherry(*answered).stdout), "the answer")
    me.wherry("show", run["id"], *env)
    assert "answered" in me.wherry("logs", run["id"], *env).stdout
    me.wherry("explain", run["id"], *env)
    sqs = me.cloud.client("sqs")
    (dead,) = sqs.list_queues(QueueNamePrefix="sales-prod-letters-dead")["QueueUrls"]
    sqs.send_message(QueueUrl=dead, MessageBody="a dead letter")
    assert "a dead letter" in me.wherry("queue", "peek", "letters", "--dead", *env).stdout
    me.wherry("queue", "redrive", "letters", "--yes", *env)
    me.wherry("queue", "peek", "letters", *env)
    me.wherry("queues", *env)
    me.wherry("queue", "purge", "letters", "--yes", *env)
    me.wherry("queue", "purge", "letters", "--dead", "--yes", *env)
