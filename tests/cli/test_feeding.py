"""What feeds queues while no engine runs: each command declares the queues that it finds in the job file."""

import json

JOBFILE = """\
app: fed
buckets: {inbox: {}}
queues:
  files: {from: {bucket: inbox}}
  shop: {from: {event: {source: [shop]}}}
jobs:
  f:
    command: [cat, "${event.file}"]
    on: [{queue: files, workers: {max: 2}}]
"""


def waiting(project):
    return [state["waiting"] for state in json.loads(project.wherry("queues", "--json").stdout)]


def test_a_command_that_finds_the_queues_new_or_changed_feeds_them(project):
    project.jobfile(JOBFILE)
    project.file("x", "one\n")
    project.wherry("cp", "x", "s3://inbox/1")
    assert waiting(project) == [1, 0]
    project.jobfile(JOBFILE.replace("files: {", "files: {visibility: 9s, "))
    project.wherry("cp", "x", "s3://inbox/2")
    project.jobfile(JOBFILE.replace("shop: {", "shop: {visibility: 9s, "))
    project.wherry("emit", '{"source": "shop", "detail-type": "order", "detail": {}}')
    assert waiting(project) == [2, 1]
    done = project.wherry(
        "run",
        "f",
        "--event",
        json.dumps(
            {
                "source": "aws.s3",
                "detail-type": "Object Created",
                "detail": {"bucket": {"name": "inbox"}, "object": {"key": "1"}},
            }
        ),
    )
    assert done.stdout == "one\n"
