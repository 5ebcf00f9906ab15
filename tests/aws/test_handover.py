"""What a deploy says of workers that are at work, and what it refuses to do with them."""

import dataclasses

import pytest

from tests.aws.scripted import Scripted
from wherry.aws import handover
from wherry.aws.client import AwsError
from wherry.aws.compile import compile_template
from wherry.aws.given import Given
from wherry.aws.survey import site_of
from wherry.errors import UserError
from wherry.model import Environment, Job, JobFile, Queue, QueueTrigger


def app(capacity=None, **trigger):
    job = Job(name="read", image="reader:1", triggers=(QueueTrigger(queue="letters", **trigger),))
    environment = Environment(name="prod", region="eu-central-1", capacity=capacity)
    return JobFile(
        path="/x/wherry.yaml",
        app="mail",
        queues={"letters": Queue(name="letters")},
        jobs={"read": job},
        environments={"prod": environment},
    )


def template(jobfile, **job):
    jobs = {name: dataclasses.replace(each, **job) for name, each in jobfile.jobs.items()}
    return compile_template(dataclasses.replace(jobfile, jobs=jobs), jobfile.environments["prod"], Given())


def site(jobfile, in_flight=0):
    told = {"Attributes": {"ApproximateNumberOfMessagesNotVisible": str(in_flight)}}
    told = AwsError("gone", code="QueueDoesNotExist") if in_flight is None else told
    aws = Scripted(get_queue_url={"QueueUrl": "https://sqs/letters"}, get_queue_attributes=told)
    return site_of(aws, jobfile, jobfile.environments["prod"])


@pytest.mark.parametrize(
    ("in_flight", "said"), [(0, ""), (None, ""), (1, "a message is being worked on"), (3, "3 messages are")]
)
def test_a_deploy_says_that_it_waits_for_messages(in_flight, said):
    found = handover.waits_for(site(app(), in_flight), template(app()), template(app(), command=("other",)))
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_it_waits_for_nobody_who_stays_as_he_is_or_polls_by_himself():
    assert handover.waits_for(site(app(), 3), template(app()), template(app())) == ""
    alone = app(mode="self-polling")
    assert handover.waits_for(site(alone, 3), template(alone), template(alone, command=("other",))) == ""
    assert handover.waits_for(site(app(), 3), {}, template(app())) == ""


@pytest.mark.parametrize(("old", "new", "to"), [(None, "ec2", "instances"), ("ec2", None, "Fargate")])
def test_workers_do_not_move_between_fargate_and_instances(old, new, to):
    size = {"cpu": 0.25, "memory": 512 * 1024 * 1024}
    before, after = template(app(old), **size), template(app(new), **size)
    with pytest.raises(UserError, match=f"moves to {to}, and its workers cannot go along: read_letters"):
        handover.refuse_to_move(site(app(new)), before, after)
    handover.refuse_to_move(site(app(new)), template(app(old), triggers=(), **size), after)
    handover.refuse_to_move(site(app(new)), after, after)
    handover.refuse_to_move(site(app(new)), {}, after)
