"""What CloudFormation would refuse after an upload is refused before it, with the number."""

import json
import re

import pytest


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
