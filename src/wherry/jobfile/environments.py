"""The keys of an environment: where jobs run."""

from __future__ import annotations

from typing import Final

from wherry.jobfile import names
from wherry.jobfile.elsewhere import elsewhere
from wherry.jobfile.kinds import Boolean, Choice, Duration, Integer, Name, Size, Text
from wherry.jobfile.shapes import Command, Either, Key, ListOf, MapOf, OneOrMany, Record

ALERT: Final = Record(
    noun="an alert",
    keys=(
        Key(
            name="command",
            kind=Command("[./notify.sh]"),
            about="what to run; the report is JSON on its standard input",
            required=True,
        ),
    ),
    example="{command: [./notify.sh]}",
    elsewhere=elsewhere,
)

KEEP: Final = Record(
    noun="`keep`",
    keys=(
        Key(name="age", kind=Duration("30d"), about="history is kept so long (30d)"),
        Key(name="runs", kind=Integer(1, 100_000_000, "10000"), about="so many ended runs (100000)"),
        Key(name="logs", kind=Size("10GB"), about="the size of all logs together (10GB)"),
    ),
    example="{age: 30d}",
    elsewhere=elsewhere,
)

NETWORK: Final = Record(
    noun="`network`",
    keys=(
        Key(
            name="subnets",
            kind=ListOf(
                Text("the id of a subnet", "subnet-0a1b2c3d", pattern="subnet-[0-9a-f]+"),
                "subnets",
                "[subnet-0a1b2c3d]",
                least=1,
                most=16,
            ),
            about="where the tasks stand; all in one VPC",
            required=True,
        ),
        Key(
            name="security_groups",
            kind=ListOf(
                Text("the id of a security group", "sg-0a1b2c3d", pattern="sg-[0-9a-f]+"),
                "security groups",
                "[sg-0a1b2c3d]",
                least=1,
                most=5,
            ),
            about="what the tasks may reach (a group of wherry's own that lets everything out and nothing in)",
        ),
        Key(name="public_ip", kind=Boolean(), about="whether tasks get a public address (true)"),
    ),
    example="{subnets: [subnet-0a1b2c3d]}",
    elsewhere=elsewhere,
)

INSTANCES: Final = Record(
    noun="`instances`",
    keys=(
        Key(
            name="type",
            kind=Text("an EC2 instance type such as `m7i.large`", "m7i.large", pattern=r"[a-z0-9-]+\.[a-z0-9-]+"),
            about="the EC2 instance type (m7i.large, or m7g.large for linux/arm64)",
        ),
        Key(name="max", kind=Integer(1, 1000, "4"), about="no more instances than this (4)"),
    ),
    example="{type: m7i.large, max: 4}",
    elsewhere=elsewhere,
)

BUS: Final = Record(
    noun="`bus`",
    keys=(
        Key(
            name="name",
            kind=Text("the name of an event bus", "shop", pattern=r"[A-Za-z0-9._-]{1,256}"),
            about="its name; it is made with the environment and goes with it",
            required=True,
        ),
        Key(
            name="accounts",
            kind=ListOf(
                Text("an AWS account, 12 digits in quotes", '"111122223333"', pattern="[0-9]{12}"),
                "accounts",
                '["111122223333"]',
                most=50,
            ),
            about="the accounts that may put events on it besides this one (none)",
        ),
    ),
    example='{name: shop, accounts: ["111122223333"]}',
    elsewhere=elsewhere,
)

_REGISTRY: Final = Text(
    "a registry such as `ghcr.io/acme`",
    "ghcr.io/acme",
    pattern=r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*",
    mistaken=(("://", "write a registry's address without `https://`"),),
)

REGISTRY: Final = Record(
    noun="`registry`",
    keys=(
        Key(name="url", kind=_REGISTRY, about="where images are pushed", required=True),
        Key(
            name="credentials",
            kind=Name(names.SECRET, "ghcr-login"),
            about="the secret with which tasks pull from there: JSON with `username` and `password` (none)",
        ),
    ),
    example="{url: ghcr.io/acme, credentials: ghcr-login}",
    elsewhere=elsewhere,
)

ENVIRONMENT: Final = Record(
    noun="an environment",
    keys=(
        Key(
            name="region",
            kind=Text(
                "an AWS region such as `eu-central-1`",
                "eu-central-1",
                pattern=names.REGION_PATTERN,
                mistaken=((r"-[0-9][a-z]$", "this is an availability zone: leave out its last letter"),),
            ),
            about="the AWS region",
        ),
        Key(
            name="capacity",
            kind=Choice(("fargate", "fargate-spot", "ec2")),
            about="what the tasks run on (fargate)",
        ),
        Key(name="instances", kind=INSTANCES, about="the EC2 instances of `capacity: ec2`"),
        Key(
            name="platform",
            kind=Choice(("linux/amd64", "linux/arm64")),
            about="the processors that images are built for (linux/amd64)",
        ),
        Key(
            name="network",
            kind=Either(Choice(("default", "own")), NETWORK),
            about="where the tasks stand: `default` is the default VPC, `own` a small VPC of the app's own "
            "(the first where there is one)",
        ),
        Key(
            name="registry",
            kind=Either(_REGISTRY, REGISTRY),
            about="where images are pushed (ECR, in repositories of the app's own); `{url, credentials}` where tasks "
            "need a login to pull from there",
        ),
        Key(
            name="bus",
            kind=Either(
                Text(
                    "the name of an event bus, or the ARN of another account's",
                    "orders",
                    pattern=r"[A-Za-z0-9/._-]{1,256}|arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9/._-]{1,256}",
                ),
                BUS,
            ),
            about="the event bus that `event` triggers listen on: one that exists, by name or ARN, or with "
            "`{name, accounts}` one of the environment's own (default)",
        ),
        Key(
            name="buckets",
            kind=MapOf(names.BUCKET, Name(names.BUCKET, "acme-uploads"), "{user-uploads: acme-uploads}"),
            about="names on AWS for buckets of this file (APP-ENV-BUCKET-ACCOUNT-REGION)",
        ),
        Key(
            name="alerts",
            kind=OneOrMany(
                Either(
                    Text(
                        "an e-mail address, an `https://` URL or the ARN of an SNS topic",
                        "ops@example.com",
                        pattern=r"[^@\s:/]+@[^@\s:/]+\.[^@\s:/]+|https://[^\s/]+\S*|http://(localhost|127\.0\.0\.1)(:[0-9]+)?(/\S*)?|arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w.-]+",
                        mistaken=(("^http://", "failures are not sent in the clear: use `https://`"),),
                    ),
                    ALERT,
                ),
                "addresses",
            ),
            about="where failures are reported: e-mail addresses, https URLs, SNS topics, commands (`local` only)",
        ),
        Key(
            name="dashboard",
            kind=Boolean(),
            about="whether CloudWatch has a page of graphs (false); the first three of an account cost nothing",
        ),
        Key(
            name="aws",
            kind=Choice(("inherit",)),
            about="`inherit`: jobs get the caller's own AWS configuration (`local` only)",
        ),
        Key(
            name="create_queues",
            kind=Boolean(),
            about="whether clients may create queues that are not declared (false; `local` only)",
        ),
        Key(name="keep", kind=KEEP, about="how much history is kept; on AWS only `age` is possible, for the logs"),
    ),
    example="{region: eu-central-1}",
    elsewhere=elsewhere,
)
