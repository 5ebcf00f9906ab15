"""A door to AWS that answers what a test has written down, and notes what it is asked."""

from datetime import UTC, datetime, timedelta

from wherry.aws.client import Aws, AwsError
from wherry.aws.site import Site
from wherry.model import Bucket, Environment, EventTrigger, Job, JobFile, ScheduleTrigger

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
JOBFILE = JobFile(
    path="/x/wherry.yaml",
    app="sales",
    buckets={"uploads": Bucket(name="uploads"), "landing": Bucket(name="landing", existing="acme-landing-zone")},
    jobs={
        "nightly": Job(
            name="nightly",
            triggers=(
                ScheduleTrigger(expression="cron(0 5 * * ? *)"),
                EventTrigger(pattern={"source": ["shop"], "detail-type": ["order placed"]}),
            ),
            secrets={"KEY": "the-key"},
        ),
        "report": Job(name="report", overlap="skip", triggers=(ScheduleTrigger(expression="rate(1 hour)"),)),
    },
    environments={"prod": Environment(name="prod", region="eu-central-1")},
)
MISSING = AwsError("there is no such thing", code="ExecutionDoesNotExist")


class Scripted(Aws):
    """`answers` maps an operation to what it gives: a value, an error, or a function of its parameters."""

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []

    region = "eu-central-1"
    account = "123456789012"
    partition = "aws"

    def call(self, service, operation, /, **parameters):
        self.calls.append((service, operation, parameters))
        answer = self.answers[operation]
        answer = answer(**parameters) if callable(answer) else answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def once(self, service, operation, /, *, is_known_again, **parameters):
        return self.call(service, operation, **parameters)

    def carefully(self, service, operation, is_done, /, **parameters):
        self.call(service, operation, **parameters)

    def pages(self, service, operation, key, /, **parameters):
        yield from self.call(service, operation, **parameters)

    def asked(self, operation):
        return [parameters for _, name, parameters in self.calls if name == operation]


def site(aws):
    return Site(jobfile=JOBFILE, environment=JOBFILE.environments["prod"], aws=aws, clock=lambda: NOW)


def execution(name, minutes, status="SUCCEEDED", took=1):
    started = NOW - timedelta(minutes=minutes)
    ended = {} if status == "RUNNING" else {"stopDate": started + timedelta(minutes=took)}
    return {"name": name, "status": status, "startDate": started, **ended}
