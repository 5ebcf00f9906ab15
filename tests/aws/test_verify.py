"""`wherry verify` against the stand-in: what can be wrong is made wrong, and the line says so."""

import json

import pytest

from tests.aws.test_deploy import worked
from tests.aws.test_deployer import user
from wherry.aws import deployer
from wherry.executors import images

JOBFILE = """
app: sales
buckets: {uploads: {}}
jobs:
  count:
    build: image
    on: [{upload: {bucket: uploads}}, {schedule: rate(1 hour)}]
    secrets: {TOKEN: api-token}
    concurrency: 4
environments:
  prod: {region: eu-west-1}
"""


def trust(service):
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def sales(cloud):
    cloud.project.jobfile(JOBFILE)
    folder = cloud.project.folder / "image"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM wherry-busybox:1\nCOPY a.txt /\n")
    (folder / "a.txt").write_text(cloud.account.id)
    cloud.secret("api-token")
    return cloud


def verified(cloud, *, code=0, env=None):
    """Subject -> (verdict, reason, hint)."""
    done = cloud.project.wherry("verify", "--json", env={**cloud.account.environment, **(env or {})}, code=code)
    return {each["subject"]: (each["verdict"], each["reason"], each["hint"]) for each in json.loads(done.stdout)}


def failed(cloud, subject):
    """Why a subject is not as it must be: everything else is."""
    found = verified(cloud, code=1)
    assert [each for each, (verdict, *_) in found.items() if verdict == "NG"] == [subject], found
    return found[subject]


def test_everything_is_fine_before_and_after_the_deploy(sales):
    took, before = min((worked(verified, sales) for _ in range(2)), key=lambda pair: pair[0])
    assert took < 3
    assert {verdict for verdict, *_ in before.values()} == {"OK"}
    assert before["image of count"][1] == "is not built yet: the next deploy builds and pushes it"
    sales.wherry("deploy", "--yes")
    after = verified(sales)
    assert {verdict for verdict, *_ in after.values()} == {"OK"}
    assert after.keys() == before.keys()
    assert after["image of count"][1] == "is in its registry, for linux/amd64"
    assert after["roles of job count"][1] == "are there, and trust ECS"
    shown = sales.wherry("verify").stdout
    assert "[OK] secret api-token: is there\n" in shown
    assert sales.wherry("verify").returncode == 0

    # somebody changes things by hand
    iam = sales.client("iam")
    role = next(each["RoleName"] for each in iam.list_roles()["Roles"] if "CountTaskRole" in each["RoleName"])
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust("ec2.amazonaws.com"))
    _, reason, hint = failed(sales, "roles of job count")
    assert reason == f"`{role}` cannot be assumed: it does not trust ecs-tasks.amazonaws.com"
    assert '"Service": "ecs-tasks.amazonaws.com"' in hint
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=trust("ecs-tasks.amazonaws.com"))
    sales.client("logs").delete_log_group(logGroupName="/wherry/sales/prod/count")
    assert failed(sales, "log group /wherry/sales/prod/count")[1] == "is gone: tasks that write to it fail to start"
    sales.wherry("run", "count", "--env", "prod", code=1)
    run = json.loads(sales.wherry("runs", "--json", "--env", "prod").stdout)[0]["id"]
    assert "`wherry verify --env prod` checks what tasks need" in sales.wherry("explain", run, "--env", "prod").stdout
    sales.client("logs").create_log_group(logGroupName="/wherry/sales/prod/count")
    sales.client("s3").delete_bucket(Bucket=f"sales-prod-uploads-{sales.account.id}-eu-west-1")
    assert "is gone: somebody has deleted it" in failed(sales, "bucket uploads")[1]


def test_without_its_secret(sales):
    sales.project.jobfile(JOBFILE.replace("TOKEN: api-token", "TOKEN: api-token, OTHER: db-password"))
    _, reason, hint = failed(sales, "secret db-password")
    assert (reason, hint) == ("is not there", "`wherry secrets set db-password`")
    shown = sales.wherry("verify", code=1).stdout.splitlines()
    assert shown[:2] == ["[NG] secret db-password: is not there", "     `wherry secrets set db-password --env prod`"]
    sales.secret("db-password")
    sales.client("secretsmanager").delete_secret(SecretId="db-password", RecoveryWindowInDays=7)
    assert failed(sales, "secret db-password")[1] == "is being deleted"


def test_a_quota_that_is_too_small(sales):
    sales.account.quota("L-3032A538", 0.5)
    _, reason, hint = failed(sales, "quota Fargate On-Demand vCPUs")
    assert (
        reason == "is 0.5, and the jobs need at most 1 vCPUs at once (count (4 times)): what is over it does not start"
    )
    assert "request-service-quota-increase --service-code fargate --quota-code L-3032A538 --desired-value 1`" in hint
    sales.project.jobfile(JOBFILE.replace("eu-west-1}", "eu-west-1, capacity: fargate-spot}"))
    # where Spot is in vain a run is started on demand
    _, reason, _ = failed(sales, "quota Fargate On-Demand vCPUs")
    assert "at most 1 vCPUs at once (count (4 times)) where Spot is in vain: what is over it" in reason
    assert verified(sales, code=1)["quota Fargate Spot vCPUs"][1].startswith("is 6, ")


def network(sales, *, public_ip=False, groups=()):
    """A VPC with a subnet and its route table; the job file names the subnet."""
    ec2 = sales.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{name: {"Value": True}})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    own = [ec2.create_security_group(VpcId=vpc, GroupName=each, Description=each)["GroupId"] for each in groups]
    more = f", security_groups: [{', '.join(own)}]" if own else ""
    given = f"network: {{subnets: [{subnet}], public_ip: {str(public_ip).lower()}{more}}}"
    sales.project.jobfile(JOBFILE.replace("eu-west-1}", f"eu-west-1, {given}}}"))
    return ec2, vpc, subnet, table, own


def test_a_public_subnet_whose_tasks_get_no_public_address(sales):
    ec2, vpc, subnet, table, _ = network(sales)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    _, reason, hint = failed(sales, f"subnet {subnet}")
    expected = f"it leads out through {gateway}, and its tasks get no public address"
    assert reason == f"a task that is launched here fails to run: {expected}"
    assert hint == "write `public_ip: true`, or choose a subnet that leads out through a NAT gateway"
    sales.project.jobfile(
        (sales.project.folder / "wherry.yaml").read_text().replace("public_ip: false", "public_ip: true")
    )
    assert verified(sales)[f"subnet {subnet}"][1] == f"leads out through {gateway}, and its tasks get public addresses"


def leads_out(ec2, vpc):
    """A public subnet."""
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.2.0/24")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(VpcId=vpc, InternetGatewayId=gateway)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    return subnet


def test_a_private_subnet_with_a_nat_gateway(sales):
    ec2, vpc, subnet, table, _ = network(sales)
    said = "a task that is launched here fails to run: it has no outbound access"
    assert failed(sales, f"subnet {subnet}")[1] == said
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    public = leads_out(ec2, vpc)
    nat = ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]["NatGatewayId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
    assert verified(sales)[f"subnet {subnet}"][1] == f"leads out through {nat}"
    ec2.delete_nat_gateway(NatGatewayId=nat)
    assert f"its NAT gateway {nat} is" in failed(sales, f"subnet {subnet}")[1]


def test_a_private_subnet_with_endpoints(sales):
    ec2, vpc, subnet, table, (group,) = network(sales, groups=["endpoints"])
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.1.0.0/16"}]}],
    )
    made = {}
    for service in ("ecr.api", "ecr.dkr", "secretsmanager", "logs"):
        made[service] = ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName=f"com.amazonaws.eu-west-1.{service}", VpcEndpointType="Interface", SubnetIds=[subnet],
            SecurityGroupIds=[group], PrivateDnsEnabled=True,
        )["VpcEndpoint"]["VpcEndpointId"]  # fmt: skip
    s3 = {"VpcId": vpc, "ServiceName": "com.amazonaws.eu-west-1.s3", "VpcEndpointType": "Gateway"}
    ec2.create_vpc_endpoint(**s3, RouteTableIds=[table])
    found = verified(sales)[f"subnet {subnet}"]
    assert found[:2] == ("OK", "reaches ecr.api, ecr.dkr, s3, logs, secretsmanager by VPC endpoints")
    ec2.delete_vpc_endpoints(VpcEndpointIds=[made["logs"]])
    reason = failed(sales, f"subnet {subnet}")[1]
    assert reason.endswith("it has no outbound access, and there is no endpoint for logs")


def test_a_security_group_that_lets_nothing_out(sales):
    ec2, _, _, _, (group,) = network(sales, groups=["closed"])
    out = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
    assert verified(sales, code=1)[f"security group {group}"][:2] == ("OK", "lets HTTPS out")
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=out)
    assert "lets nothing out on port 443" in verified(sales, code=1)[f"security group {group}"][1]


def test_an_image_for_other_processors(sales):
    sales.wherry("deploy", "--yes")
    # somebody's builder has made an image for this machine under the name of one for the other kind
    ecr, repository = sales.client("ecr"), "sales-prod/count"
    (there,) = ecr.describe_images(repositoryName=repository)["imageDetails"]
    (image,) = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": there["imageDigest"]}])[
        "images"
    ]
    other = images.fingerprint(str(sales.project.folder / "image"), "linux/arm64")[:32]
    ecr.put_image(repositoryName=repository, imageManifest=image["imageManifest"], imageTag=other)
    sales.project.jobfile(JOBFILE.replace("eu-west-1}", "eu-west-1, platform: linux/arm64}"))
    _, reason, hint = failed(sales, "image of count")
    assert reason.endswith("is for linux/amd64, and the environment's tasks run on linux/arm64: exec format error")
    assert "--platform linux/arm64" in hint


def test_roles_of_ones_own(sales):
    iam = sales.client("iam")
    definition = {
        "family": "own",
        "taskRoleArn": f"arn:aws:iam::{sales.account.id}:role/own-task",
        "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "main", "image": "wherry-busybox:1", "essential": True}],
    }  # fmt: skip
    (sales.project.folder / "own.json").write_text(json.dumps(definition))
    text = "app: sales\njobs: {own: {task_definition: own.json}}\nenvironments: {prod: {region: eu-west-1}}\n"
    sales.project.jobfile(text)
    assert failed(sales, "roles of job own")[1] == "`own-task` is not there"
    iam.create_role(RoleName="own-task", AssumeRolePolicyDocument=trust("lambda.amazonaws.com"))
    assert "does not trust ecs-tasks.amazonaws.com" in failed(sales, "roles of job own")[1]
    iam.update_assume_role_policy(RoleName="own-task", PolicyDocument=trust("ecs-tasks.amazonaws.com"))
    policy = json.loads(sales.wherry("policy", "--account", sales.account.id).stdout)
    simulate = {"Effect": "Allow", "Action": "iam:SimulatePrincipalPolicy", "Resource": "*"}
    keys = user(sales, *deployer.parts(policy), {"Version": "2012-10-17", "Statement": [simulate]})
    assert verified(sales, env=keys)["roles of job own"][:2] == ("OK", "are there, and trust ECS")
    less = [each for each in policy["Statement"] if each["Sid"] != "RolesForServices"]
    keys = user(sales, *deployer.parts({**policy, "Statement": [*less, simulate]}))
    assert verified(sales, env=keys, code=1)["roles of job own"][1] == "you may not hand `own-task` to ECS"


def test_what_may_not_be_asked_is_left_out_by_name(sales):
    keys = user(
        sales, {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]}
    )
    found = verified(sales, env=keys)
    assert found["secret api-token"][:2] == (
        "SKIP",
        "the caller may not look: that needs secretsmanager:DescribeSecret",
    )
    assert found["network"][1].endswith("needs ec2:DescribeVpcs")
    assert found["quota Fargate On-Demand vCPUs"][1].endswith("needs servicequotas:GetServiceQuota")
    assert found["region eu-west-1"][0] == "OK"
    policy = json.loads(sales.wherry("policy", "--account", sales.account.id).stdout)
    keys = user(sales, *deployer.parts(policy))
    assert {verdict for verdict, *_ in verified(sales, env=keys).values()} == {"OK"}


def test_names_that_others_have(sales):
    sales.client("logs").create_log_group(logGroupName="/wherry/sales/prod/count")
    _, reason, hint = failed(sales, "log group /wherry/sales/prod/count")
    assert reason == "is there already, and no stack's: the deploy fails for it"
    assert "aws logs delete-log-group --log-group-name /wherry/sales/prod/count" in hint
    sales.client("logs").delete_log_group(logGroupName="/wherry/sales/prod/count")
    taken = f"taken-{sales.account.id}"
    other = sales.account.standin.account()
    other.client("s3").create_bucket(Bucket=taken, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    sales.project.jobfile(JOBFILE.replace("eu-west-1}", f"eu-west-1, buckets: {{uploads: {taken}}}}}"))
    assert failed(sales, "bucket uploads")[1] == f"`{taken}` is another account's, or closed to you"


def test_buckets_and_buses_of_others(sales):
    s3, name = sales.client("s3"), f"theirs-{sales.account.id}"
    text = JOBFILE.replace("uploads: {}", f"uploads: {{existing: {name}}}").replace(
        "eu-west-1}", "eu-west-1, bus: shop}"
    )
    sales.project.jobfile(text)
    found = verified(sales, code=1)
    assert found["bucket uploads"][1] == f"bucket `uploads`: there is no bucket `{name}`"
    assert found["event bus shop"][1] == "is not there: no event reaches a job"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    sales.client("events").create_event_bus(Name="shop")
    assert "the deploy lets it tell EventBridge" in verified(sales)["bucket uploads"][1]
    sales.wherry("deploy", "--yes")
    assert verified(sales)["bucket uploads"][1] == f"`{name}` is there, and tells EventBridge of uploads"
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration={})
    assert "no job starts for them" in failed(sales, "bucket uploads")[1]


def test_no_such_region(sales):
    sales.project.jobfile(JOBFILE.replace("eu-west-1", "eu-wets-1"))
    assert failed(sales, "region eu-wets-1")[1] == "is none that boto3 knows"
