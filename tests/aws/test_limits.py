"""What CloudFormation would refuse after an upload is refused before it, with the number."""

import json
import re

import pytest
import yaml

#: As long as the name of a bucket may be.
BUCKETS = [f"{number:02}".ljust(63, "x") for number in range(70)]


def write(project, jobs):
    lines = "\n".join(f"  {name}: {json.dumps(job)}" for name, job in jobs.items())
    project.jobfile(f"app: many\njobs:\n{lines}\nenvironments: {{prod: {{region: eu-central-1}}}}\n")


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        (
            {f"job-{number}": {"image": "x:1"} for number in range(101)},
            r"error: a stack has at most 500 resources, and this would be one of 6\d\d\n",
        ),
        (
            {f"job-{number}": {"image": "x:1", "command": "x" * 100_000} for number in range(5)},
            r"error: a template has at most 1,000,000 bytes, and this would be one of 1,\d{3},\d{3}\n",
        ),
    ],
    ids=["resources", "bytes"],
)
def test_a_stack_that_is_too_large_is_refused_with_the_number(project, jobs, said):
    write(project, jobs)
    refused = project.wherry("template", "--env", "prod", code=2)
    assert re.match(said, refused.stderr)
    assert "divide the jobs between two job files" in refused.stderr


@pytest.mark.parametrize("count", [40, 70])
def test_a_role_says_its_actions_once_and_is_refused_when_it_is_too_long_all_the_same(project, count):
    buckets = "\n".join(f"  {name}: {{existing: {name}}}" for name in BUCKETS[:count])
    named = json.dumps(BUCKETS[:count])
    project.jobfile(
        f"app: many\nbuckets:\n{buckets}\njobs:\n  job:\n    image: x:1\n    reads: {named}\n    writes: {named}\n"
        "environments: {prod: {region: eu-central-1}}\n"
    )
    if count == 40:
        role = yaml.safe_load(project.wherry("template", "--env", "prod").stdout)["Resources"]["JobJobTaskRole"]
        assert json.dumps(role).count("s3:PutObject") == 1
        return
    said = project.wherry("template", "--env", "prod", code=2).stderr
    assert f"wherry.yaml:{count + 6}:5: job `job`: a role of IAM has at most 10,240 characters of permissions" in said
    assert "divide the work between two jobs" in said
