"""Interrupted at any call to AWS, the next deploy or destroy completes what was begun."""

import os
import random
import signal
import subprocess
import threading
import time

import pytest

from tests.aws.conftest import leftovers
from tests.conftest import BIN
from wherry import jobfile
from wherry.aws import deploy, destroy
from wherry.aws.client import Aws
from wherry.aws.survey import site_of, survey

FIRST = """
app: sales
buckets: {uploads: {}}
jobs:
  count: {image: "wherry-busybox:1", on: [{upload: {bucket: uploads}}], reads: [uploads]}
  old: {image: "wherry-busybox:1"}
environments: {prod: {region: eu-west-1}}
"""
SECOND = FIRST.replace("reads: [uploads]", "writes: [uploads]").replace("old:", "new:")


class Interrupted(BaseException):
    """Whatever ends a process in the middle."""


class Fragile(Aws):
    """Dies right after its nth call: AWS has done what was asked, and we never hear of it."""

    left = -1
    lock = threading.Lock()

    def call(self, service, operation, **parameters):
        answer = super().call(service, operation, **parameters)
        self._count()
        return answer

    def pages(self, service, operation, key, **parameters):
        items = list(super().pages(service, operation, key, **parameters))
        self._count()
        return iter(items)

    def _count(self):
        with self.lock:
            self.left -= 1
            if self.left == 0:
                raise Interrupted


class Quiet:
    def stage(self, text):
        pass

    def event(self, what, event):
        pass

    def output(self, line):
        pass


@pytest.fixture
def place(project, account, monkeypatch):
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    project.jobfile(FIRST)
    return project, account


def bring(aws, project, text):
    project.jobfile(text)
    loaded = jobfile.load(str(project.folder / "wherry.yaml"))
    site = site_of(aws, loaded, loaded.environments["prod"])
    plan = deploy.plan(survey(site), keep=True)
    if not plan.is_empty:
        deploy.carry_out(plan, Quiet())
    return site


def take_away(aws, project, text):
    project.jobfile(text)
    loaded = jobfile.load(str(project.folder / "wherry.yaml"))
    site = site_of(aws, loaded, loaded.environments["prod"])
    destroy.destroy(site, Quiet(), data=destroy.look(site).buckets)


def calls_of(action, *arguments) -> int:
    aws = Fragile(region="eu-west-1")
    aws.left = 10_000
    action(aws, *arguments)
    return 10_000 - aws.left


def interrupted(action, at, *arguments) -> None:
    aws = Fragile(region="eu-west-1")
    aws.left = at
    with pytest.raises(Interrupted):
        action(aws, *arguments)


def is_complete(aws, project, text, account) -> None:
    loaded = jobfile.load(str(project.folder / "wherry.yaml"))
    site = site_of(aws, loaded, loaded.environments["prod"])
    assert deploy.plan(survey(site)).is_empty
    client = account.client("cloudformation")
    for stack in (site.main, site.base):
        state = stack.look()
        assert state.is_settled
        waiting = [
            one
            for one in client.list_change_sets(StackName=stack.name)["Summaries"]
            # MiniStack gives an abandoned shell a new id, where AWS goes on with it
            if one["ExecutionStatus"] == "AVAILABLE" and one["StackId"] == state.id
        ]
        assert waiting == []


@pytest.mark.timeout(900)
def test_every_call(place, standin, monkeypatch):
    project, _account = place
    first = calls_of(bring, project, FIRST)
    second = calls_of(bring, project, SECOND)
    last = calls_of(take_away, project, SECOND)
    assert min(first, second, last) > 10
    for at in range(1, max(first, second, last) + 1):
        fresh = standin.account()
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", fresh.id)
        sane = Aws(region="eu-west-1")
        for limit, text in ((first, FIRST), (second, SECOND)):
            if at < limit - 2:  # the number varies a little with the pauses
                interrupted(bring, at, project, text)
                bring(sane, project, text)
                is_complete(sane, project, text, fresh)
        if at >= second - 2:
            bring(sane, project, SECOND)  # something that can be taken away
        if at < last - 2:
            interrupted(take_away, at, project, SECOND)
        take_away(sane, project, SECOND)
        assert leftovers(fresh) == [], at


def test_killed_at_any_moment(cloud):
    cloud.project.jobfile(FIRST)
    chance = random.Random(7)
    environment = {**os.environ, **cloud.account.environment}
    for _ in range(5):
        process = subprocess.Popen(
            [f"{BIN}/wherry", "deploy", "--yes"],
            cwd=cloud.project.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(chance.uniform(0.8, 2.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    cloud.wherry("deploy", "--yes")
    assert cloud.stacks() == {"sales-prod": "CREATE_COMPLETE", "sales-prod-base": "CREATE_COMPLETE"}
    assert not cloud.plan()["changed"]
