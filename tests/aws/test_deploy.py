"""plan, deploy and destroy through the command line, on the stand-in."""

import json
import re
import resource
import time

import pytest

JOBFILE = """
app: sales
buckets:
  uploads: {}
  results: {}
jobs:
  count:
    image: wherry-busybox:1
    command: [wc, -l]
    on:
      - upload: {bucket: uploads, suffix: .csv}
      - schedule: rate(1 hour)
    reads: [uploads]
    writes: [results]
    secrets: {TOKEN: api-token}
  nightly:
    image: wherry-busybox:1
    on: [{schedule: "cron(0 3 * * ? *)", timezone: Europe/Berlin}]
environments:
  prod: {region: eu-west-1}
"""


@pytest.fixture
def sales(cloud):
    cloud.project.jobfile(JOBFILE)
    cloud.secret("api-token")
    return cloud


def worked(action, *arguments):
    """How long the processor worked for it: the clock also measures the tests beside this one."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = action(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, answer


def test_a_plan_tells_all_and_leaves_nothing(sales):
    before = sales.leftovers()
    shown = sales.wherry("plan").stdout
    assert re.match(r"sales in prod, eu-west-1, account \d{12}\n", shown)
    assert re.search(r"^  \+ job count: .*its task", shown, re.MULTILINE)
    assert re.search(r"^  \+ job nightly: .*its logs", shown, re.MULTILINE)
    assert "permissions granted\n" in shown
    assert re.search(
        r"\+ s3:GetObject, GetObjectAttributes, GetObjectTagging  arn:aws:s3:::sales-prod-uploads-\d{12}-eu-west-1/\*\n",
        shown,
    )
    assert "${" not in shown
    assert re.search(r"\n\d+ to make\n$", shown)
    sales.project.jobfile(JOBFILE.replace("bucket: uploads, suffix: .csv", "bucket: results"))
    assert (
        "note: job `count` may write to bucket `results`, and every upload there starts it"
        in sales.wherry("plan").stderr
    )
    (note,) = [each for each in sales.plan()["notes"] if "may write to bucket" in each]
    assert note.startswith("wherry.yaml:")
    assert sales.leftovers() == before


def test_deployed_unchanged_changed_and_gone(sales):
    before = sales.leftovers()
    began = time.monotonic()
    told = sales.wherry("deploy", "--yes")
    assert time.monotonic() - began < 20
    assert told.stderr.splitlines()[-2] == "deployed: sales in prod"
    assert "  made     job count: its task\n" in told.stderr
    assert sales.stacks() == {"sales-prod": "CREATE_COMPLETE", "sales-prod-base": "CREATE_COMPLETE"}

    took, unchanged = min((worked(sales.wherry, "plan") for _ in range(3)), key=lambda pair: pair[0])
    assert took < 3
    assert unchanged.stdout.splitlines()[-1] == "no changes"
    assert sales.wherry("deploy", "--yes").stdout.splitlines()[-1] == "no changes"

    sales.project.jobfile(JOBFILE.replace("rate(1 hour)", "rate(2 hours)").replace("writes: [results]", "writes: []"))
    plan = sales.plan()
    assert plan["changed"]
    assert {(one["action"], one["what"]) for one in plan["changes"]} >= {
        ("add", "job count: rate(2 hours) (UTC)"),
        ("remove", "job count: rate(1 hour) (UTC)"),
        ("change", "job count: what it may do"),
    }
    assert plan["granted"] == []
    assert {grant["action"] for grant in plan["revoked"]} >= {"s3:PutObject"}
    assert sales.wherry("deploy", "--yes").returncode == 0
    assert not sales.plan()["changed"]
    upcoming = json.loads(sales.wherry("status", "--env", "prod", "--json").stdout)["upcoming"]
    assert sorted(each["job"] for each in upcoming) == ["count", "nightly"]

    uploads = next(b["Name"] for b in sales.client("s3").list_buckets()["Buckets"] if "uploads" in b["Name"])
    sales.client("s3").put_object(Bucket=uploads, Key="a.csv", Body=b"1")
    told = sales.wherry("destroy", "--yes").stdout
    assert f"stays: bucket {uploads}, because it holds data" in told
    assert "stays: secret api-token, because people have set it" in told
    kept = [f"s3 {uploads}", f"s3 {uploads.replace('uploads', 'results')}"]
    assert sales.leftovers() == sorted([*before, *kept])

    # what it has left is taken up again
    sales.wherry("deploy", "--yes")
    assert sales.client("s3").get_object(Bucket=uploads, Key="a.csv")["Body"].read() == b"1"
    assert not sales.plan()["changed"]
    sales.wherry("destroy", "--yes", "--with-data", "sales")
    assert sales.leftovers() == before
    assert "nothing of sales is in prod" in sales.wherry("destroy", "--yes").stdout


def test_what_a_destroyed_app_has_left_can_go_later(sales):
    before = sales.leftovers()
    sales.wherry("deploy", "--yes")
    sales.wherry("destroy", "--yes")
    assert sales.leftovers() != before
    sales.wherry("destroy", "--yes", "--with-data", "sales")
    assert sales.leftovers() == before


def test_a_bucket_with_our_name_that_we_have_not_made_is_never_emptied(sales):
    name = f"sales-prod-uploads-{sales.account.id}-eu-west-1"
    sales.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    sales.client("s3").put_object(Bucket=name, Key="theirs", Body=b"1")
    sales.wherry("destroy", "--yes", "--with-data", "sales")
    assert sales.client("s3").get_object(Bucket=name, Key="theirs")["Body"].read() == b"1"


def test_a_bucket_that_has_left_the_job_file_is_still_its_own_and_one_that_is_read_is_not(cloud):
    def bucket(name):
        there = {"LocationConstraint": "eu-west-1"}
        cloud.client("s3").create_bucket(Bucket=f"{name}-{cloud.account.id}", CreateBucketConfiguration=there)
        return f"{name}-{cloud.account.id}"

    left, others, read = bucket("left"), bucket("others"), bucket("read")
    for name, environment in ((left, "prod"), (others, "test")):
        tags = {"wherry:app": "sales", "wherry:environment": environment}
        told = {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}
        cloud.client("s3").put_bucket_tagging(Bucket=name, Tagging=told)
    cloud.project.jobfile(f"{JOBFILE}\n".replace("  uploads: {}", f"  uploads: {{}}\n  read: {{existing: {read}}}"))
    told = cloud.wherry("destroy", "--yes").stdout
    assert f"stays: bucket {left}, because it holds data" in told
    assert f"stays: bucket {read}, which is somebody else's\n" in told
    assert others not in told
    cloud.wherry("destroy", "--yes", "--with-data", "sales")
    names = {each["Name"] for each in cloud.client("s3").list_buckets()["Buckets"]}
    assert names == {others, read}


def test_missing_secrets_are_named_together_and_nothing_is_made(cloud):
    cloud.project.jobfile(JOBFILE.replace("{TOKEN: api-token}", "{TOKEN: api-token, OTHER: db-password}"))
    for verb in (["plan"], ["deploy", "--yes"]):
        told = cloud.wherry(*verb, code=2).stderr
        assert "secrets are missing in environment `prod`: `api-token`, `db-password`" in told
        assert "`wherry secrets set api-token --env prod`, `wherry secrets set db-password --env prod`" in told
    assert cloud.leftovers() == []


def test_without_a_terminal_nothing_is_asked(sales):
    for verb in ("deploy", "destroy"):
        told = sales.wherry(verb, code=2).stderr
        assert told == f"error: `wherry {verb}` asks first, and there is no terminal here\n  add `--yes`\n"
    told = sales.wherry("destroy", "--yes", "--with-data", code=2).stderr
    assert "asked twice" in told
    told = sales.wherry("destroy", "--yes", "--with-data", "other", code=2).stderr
    assert "this app is `sales`" in told


def test_which_environment(cloud):
    cloud.project.jobfile("app: a\njobs: {x: {image: 'wherry-busybox:1'}}\n")
    assert "the job file has no environment on AWS" in cloud.wherry("plan", code=2).stderr
    cloud.project.jobfile(
        "app: a\njobs: {x: {image: 'wherry-busybox:1'}}\nenvironments: {prod: {region: eu-west-1}, test: {region: eu-west-1}}\n"
    )
    assert "one of `--env prod`, `--env test`" in cloud.wherry("plan", code=2).stderr
    assert "did you mean `prod`?" in cloud.wherry("plan", "--env", "prodd", code=2).stderr
    assert "is this machine" in cloud.wherry("plan", "--env", "local", code=2).stderr
    assert "in prod, eu-central-1," in cloud.wherry("plan", "--env", "prod", "--region", "eu-central-1").stdout


def test_an_existing_bucket_keeps_what_it_tells_others(cloud):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=f"theirs-{cloud.account.id}", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    name = f"theirs-{cloud.account.id}"
    queue = f"arn:aws:sqs:eu-west-1:{cloud.account.id}:theirs"
    cloud.client("sqs").create_queue(QueueName="theirs")
    told = {"Id": "theirs", "QueueArn": queue, "Events": ["s3:ObjectRemoved:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"QueueConfigurations": [told]}, SkipDestinationValidation=True
    )
    text = f"""
app: sales
buckets: {{inbox: {{existing: {name}}}}}
jobs: {{count: {{image: "wherry-busybox:1", on: [{{upload: {{bucket: inbox}}}}], reads: [inbox]}}}}
environments: {{prod: {{region: eu-west-1}}}}
"""
    cloud.project.jobfile(text.replace(name, f"no-{name}"))
    assert f"there is no bucket `no-{name}`" in cloud.wherry("plan", code=2).stderr
    cloud.project.jobfile(text)
    assert cloud.plan()["events"] == [name]
    cloud.wherry("deploy", "--yes")
    known = s3.get_bucket_notification_configuration(Bucket=name)
    assert known["QueueConfigurations"][0]["QueueArn"] == queue
    assert "EventBridgeConfiguration" in known
    assert cloud.plan()["events"] == []
    assert f"stays: bucket {name}, which is somebody else's" in cloud.wherry("destroy", "--yes").stdout
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=name)


KEPT = """
app: sales
buckets: {inbox: {}, outbox: {}}
queues: {old: {from: {bucket: outbox, format: s3}}}
jobs: {count: {image: "wherry-busybox:1"}}
environments: {prod: {region: eu-west-1}}
"""


@pytest.mark.parametrize("is_destroyed", [True, False])
def test_a_bucket_that_is_taken_up_again_tells_what_the_job_file_says_now(cloud, is_destroyed):
    """CloudFormation's import writes nothing to it, and sees no difference later."""
    s3, sqs = cloud.client("s3"), cloud.client("sqs")
    inbox, outbox = (f"sales-prod-{name}-{cloud.account.id}-eu-west-1" for name in ("inbox", "outbox"))
    cloud.project.jobfile(KEPT)
    cloud.wherry("deploy", "--yes")
    told = s3.get_bucket_notification_configuration(Bucket=outbox)["QueueConfigurations"]
    theirs = {
        "Id": "theirs",
        "QueueArn": f"arn:aws:sqs:eu-west-1:{cloud.account.id}:theirs",
        "Events": ["s3:ObjectRemoved:*"],
    }
    s3.put_bucket_notification_configuration(
        Bucket=outbox,
        NotificationConfiguration={"QueueConfigurations": [*told, theirs]},
        SkipDestinationValidation=True,
    )
    if is_destroyed:
        cloud.wherry("destroy", "--yes")
    else:
        cloud.project.jobfile(re.sub("buckets: .*\nqueues: .*\n", "", KEPT))
        cloud.wherry("deploy", "--yes")
    text = KEPT.replace("{old: {from: {bucket: outbox, format: s3}}}", "{new: {from: {bucket: outbox, format: s3}}}")
    cloud.project.jobfile(text.replace('busybox:1"', 'busybox:1", on: [{upload: {bucket: inbox}}]'))
    assert cloud.plan()["notifications"] == [inbox, outbox]
    assert f"bucket {inbox}: it is there already, and tells what the job file says" in cloud.wherry("plan").stdout
    cloud.wherry("deploy", "--yes")
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=inbox)
    known = s3.get_bucket_notification_configuration(Bucket=outbox)
    assert "EventBridgeConfiguration" not in known
    arns = {each["QueueArn"].rpartition(":")[2] for each in known["QueueConfigurations"]}
    assert arns == {"theirs", "sales-prod-new"}
    s3.put_object(Bucket=outbox, Key="a", Body=b"1")
    url = sqs.get_queue_url(QueueName="sales-prod-new")["QueueUrl"]
    bodies = [each["Body"] for each in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
    assert any('"ObjectCreated:Put"' in body for body in bodies)
    assert not cloud.plan()["changed"]


def test_given_subnets_are_of_one_vpc(cloud):
    ec2 = cloud.client("ec2")
    subnets = []
    for number in (1, 2):
        vpc = ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
        subnets.append(ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{number}.1.0/24")["Subnet"]["SubnetId"])
    text = "app: a\njobs: {x: {image: 'wherry-busybox:1'}}\nenvironments: {prod: {region: eu-west-1, network: {subnets: [%s]}}}\n"
    cloud.project.jobfile(text % ", ".join(subnets))
    assert "the subnets are of different VPCs" in cloud.wherry("plan", code=2).stderr
    cloud.project.jobfile(text % subnets[0])
    cloud.wherry("deploy", "--yes")
    body = cloud.client("cloudformation").get_template(StackName="a-prod")["TemplateBody"]
    assert subnets[0] in json.dumps(body)


def test_a_template_asks_nobody(project):
    project.jobfile(JOBFILE)
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "DOCKER_HOST": "unix:///nowhere"}
    text = project.wherry("template", env=nowhere).stdout
    assert text.startswith('AWSTemplateFormatVersion: "2010-09-09"\n')
    assert project.wherry("template", env=nowhere).stdout == text
    made = json.loads(project.wherry("template", "--json", env=nowhere).stdout)
    assert made["Metadata"] == {"Wherry": {"app": "sales", "environment": "prod"}}
    assert "WorkBucket" in json.loads(project.wherry("template", "--json", "--base").stdout)["Resources"]


def test_what_aws_cannot_do_is_refused_before_anybody_is_asked(project):
    project.jobfile(
        "app: a\nenvironments: {prod: {region: eu-west-1}}\njobs: {x: {image: 'wherry-busybox:1', on: [{event: {source: [wherry]}}]}}\n"
    )
    nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "1", "AWS_SECRET_ACCESS_KEY": "1"}
    for verb in (["template"], ["plan"], ["deploy", "--yes"]):
        told = project.wherry(*verb, code=2, env=nowhere).stderr
        assert "wherry.yaml:3:" in told
        assert "what happens to runs is not on the event bus" in told


def test_a_large_template_goes_through_the_work_bucket(cloud):
    jobs = "\n".join(f"  job-{number}: {{image: 'wherry-busybox:1'}}" for number in range(12))
    cloud.project.jobfile(f"app: many\njobs:\n{jobs}\nenvironments: {{prod: {{region: eu-west-1}}}}\n")
    assert len(cloud.wherry("template", "--json").stdout) > 51_200
    cloud.wherry("deploy", "--yes")
    assert cloud.stacks()["many-prod"] == "CREATE_COMPLETE"
    assert not cloud.plan()["changed"]
    cloud.wherry("destroy", "--yes")
    assert cloud.leftovers() == []


def test_no_secret_no_network_no_credentials_each_says_what_to_do(project):
    project.jobfile(JOBFILE)
    told = project.wherry("plan", code=1, env={"AWS_EC2_METADATA_DISABLED": "true"}).stderr
    assert "`aws configure sso` or AWS_PROFILE give some" in told
    keys = {"AWS_ACCESS_KEY_ID": "1", "AWS_SECRET_ACCESS_KEY": "1", "AWS_MAX_ATTEMPTS": "1"}
    told = project.wherry("plan", code=1, env={**keys, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}).stderr
    assert "is the network there, and is AWS_ENDPOINT_URL right" in told
