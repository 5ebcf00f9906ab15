"""A day of a queue on AWS in a second: SQS, its metrics, alarms, Application Auto Scaling and a service of workers.

What decides is read from a compiled template: the alarms, the step policies, the bounds, the waker's definition and how
often it looks. The rest is AWS as it is documented, and where documents leave a range, as bad as it allows:

- SQS gives CloudWatch one value a minute, which is there `lag` seconds later. A queue that nobody has touched and that
  held nothing for six hours gives none; once touched it gives the first ones a quarter of an hour later (SQS Developer
  Guide, "Available CloudWatch metrics").
- An alarm looks every minute. It takes the newest values of a range that is a little longer than its periods; with too
  few of them, missing ones are as `TreatMissingData` says (CloudWatch User Guide, "Evaluating an alarm").
- While it is in ALARM it calls its policy every minute. A step is chosen by the value's distance from the threshold;
  scaling out is not repeated within the cooldown, but a larger step is taken by the difference; capacity stays within
  the bounds; of policies that disagree the one with more workers counts (Application Auto Scaling API Reference).
- A task needs `start` seconds; one with task protection is not stopped by scaling in.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field

import jsonata

SIX_HOURS, QUARTER = 6 * 3600, 900
#: An alarm looks at so many periods more than it evaluates.
_MORE = 3


@dataclass
class Task:
    ready_at: int
    #: When the message that it works on is done, and when it was taken; None: it is idle.
    done_at: int | None = None
    begun_at: int = 0


@dataclass
class Moment:
    at: int
    waiting: int
    working: int
    desired: int
    running: int


@dataclass
class World:
    """One queue, its workers, and everything that decides how many there are."""

    resources: dict
    #: Seconds that a message takes; seconds that a task needs to start; seconds until a metric's value is there.
    work: int = 5
    start: int = 45
    lag: int = 60
    #: Whether workers protect themselves while they work (managed mode).
    protected: bool = True
    #: Whether steps are added to the tasks that run, or to the number that is desired: documents say both.
    from_running: bool = False
    #: All of a second's messages are counted before the waker hears of the first.
    counted_first: bool = False

    now: int = 0
    waiting: int = 0
    desired: int = 0
    tasks: list = field(default_factory=list)
    done: int = 0
    #: (when, how long it had been worked on) of work that was cut off.
    cut: list = field(default_factory=list)
    #: Seconds of waiting for messages in vain, of all workers: each poll takes twenty.
    polled: int = 0
    taken: int = 0
    #: Questions that were asked of ECS by the waker.
    looks: int = 0
    history: list = field(default_factory=list)

    def __post_init__(self):
        kinds = lambda kind: {k: r["Properties"] for k, r in self.resources.items() if r["Type"] == kind}  # noqa: E731
        (target,) = kinds("AWS::ApplicationAutoScaling::ScalableTarget").values()
        self.least, self.most = target["MinCapacity"], target["MaxCapacity"]
        policies = kinds("AWS::ApplicationAutoScaling::ScalingPolicy")
        self.alarms = [
            (alarm, policies[alarm["AlarmActions"][0]["Ref"]]["StepScalingPolicyConfiguration"], _Invoked())
            for alarm in kinds("AWS::CloudWatch::Alarm").values()
            if isinstance(alarm["AlarmActions"][0], dict) and alarm["AlarmActions"][0].get("Ref") in policies
        ]
        looks = [
            rule["ScheduleExpression"] for rule in kinds("AWS::Events::Rule").values() if "ScheduleExpression" in rule
        ]
        self.every = 60 * int(re.fullmatch(r"rate\((\d+) minutes?\)", looks[0])[1]) if looks else 0
        waker = self.resources.get("Waker", {}).get("Properties", {}).get("Definition", {}).get("States", {})
        self.wants = waker["Sleeps"]["Choices"][0]["Condition"] if waker else None
        self.gone = waker["Look"]["Assign"]["gone"] if waker else None
        self.woken = waker["Wake"]["Arguments"]["DesiredCount"] if waker else None
        self.desired = max(self.desired, self.least)
        self.tasks = [Task(ready_at=0) for _ in range(self.desired)]
        self.touched = 0
        self.active_from = 0
        #: (minute, when it is there, values)
        self.metrics: list[tuple[int, int, dict]] = []

    # ------------------------------------------------------------------------------------------------ what happens

    def run(self, until: int, arrivals=None, *, by_upload=True):
        """Let time go by; `arrivals` is second -> messages."""
        arrivals = arrivals or {}
        while self.now < until:
            self.now += 1
            self._arrive(arrivals.get(self.now, 0), by_upload)
            if self.every and self.now % self.every == 0:
                self._wake("look")
            self._work()
            if self.now % 60 == 0:
                self._measure()
                self._scale()
            self._place()
            if self.now % 10 == 0 or self.history == []:
                self._note()
        return self

    def _arrive(self, count, by_upload):
        if count:
            self._touch()
        self.waiting += count if self.counted_first else 0
        for _ in range(count):
            # the event reaches the waker as it reaches the queue, which may not have counted it yet
            if by_upload:
                self._wake("message")
            self.waiting += 0 if self.counted_first else 1

    def _wake(self, asked):
        """The waker's own conditions."""
        if self.wants is None:
            return
        if asked == "look":
            self._touch()
        wants = _evaluate(self.wants, asked=asked, waiting=float(self.waiting), working=float(self.working))
        if wants:
            self.looks += 1
            service = {"Status": "ACTIVE", "DesiredCount": self.desired}
            if _evaluate(self.gone, states={"result": {"Services": [service]}}):
                self.desired = self.woken

    def _work(self):
        for task in self.tasks:
            if task.ready_at > self.now:
                continue
            self._touch()  # a worker polls
            if task.done_at is not None and task.done_at <= self.now:
                task.done_at, self.done = None, self.done + 1
            if task.done_at is None and self.waiting:
                self.waiting -= 1
                self.taken += 1
                task.done_at, task.begun_at = self.now + self.work, self.now
            self.polled += task.done_at is None

    def _place(self):
        """The service has as many tasks as it wants, but that protected ones stay until they have finished."""
        while len(self.tasks) < self.desired:
            self.tasks.append(Task(ready_at=self.now + self.start))
        # unprotected ones go in the worst order: those that work first
        for task in sorted(self.tasks, key=lambda each: each.done_at is None):
            if len(self.tasks) <= self.desired or (self.protected and task.done_at is not None):
                continue
            self.tasks.remove(task)
            if task.done_at is not None:
                self.cut.append((self.now, self.now - task.begun_at))
                self.waiting += 1

    # ------------------------------------------------------------------------------------------------ what is measured

    @property
    def working(self):
        return sum(task.done_at is not None for task in self.tasks)

    @property
    def running(self):
        return sum(task.ready_at <= self.now for task in self.tasks)

    def _touch(self):
        if self.now - self.touched > SIX_HOURS:
            self.active_from = self.now + QUARTER
        self.touched = self.now

    def _measure(self):
        """What SQS tells of this minute; of a queue that is asleep nothing."""
        if self.waiting or self.working:
            self._touch()
        if self.now - self.touched > SIX_HOURS or self.now < self.active_from:
            self.polled = self.taken = 0
            return
        values = {
            "ApproximateNumberOfMessagesVisible": self.waiting,
            "ApproximateNumberOfMessagesNotVisible": self.working,
            "NumberOfMessagesReceived": self.taken,
            "NumberOfEmptyReceives": self.polled // 20,
        }
        self.polled = self.taken = 0
        self.metrics.append((self.now // 60, self.now + self.lag, values))
        del self.metrics[:-2000]

    def _note(self):
        self.history.append(Moment(self.now, self.waiting, self.working, self.desired, self.running))

    # ------------------------------------------------------------------------------------------------- what is decided

    def _scale(self):
        """All alarms look; what they want is done, the most of it."""
        wanted = [
            number
            for alarm, policy, invoked in self.alarms
            if (value := self._breach(alarm)) is not None
            and (number := self._adjusted(alarm, policy, invoked, value)) is not None
        ]
        if wanted:
            self.desired = max(self.least, min(max(wanted), self.most))

    def _breach(self, alarm):
        """The value that puts an alarm into ALARM; None where it is not."""
        periods = alarm["EvaluationPeriods"]
        since = self.now // 60 - periods - _MORE
        found = [
            self._value(alarm, values)
            for minute, there_at, values in self.metrics
            if minute > since and there_at <= self.now
        ][-periods:]
        assert alarm["TreatMissingData"] == "notBreaching"
        is_over = {
            "GreaterThanOrEqualToThreshold": lambda value: value >= alarm["Threshold"],
            "LessThanOrEqualToThreshold": lambda value: value <= alarm["Threshold"],
        }[alarm["ComparisonOperator"]]
        return found[-1] if len(found) == periods and all(map(is_over, found)) else None

    @staticmethod
    def _value(alarm, values):
        if "MetricName" in alarm:
            return values[alarm["MetricName"]]
        (expression,) = [each["Expression"] for each in alarm["Metrics"] if each["ReturnData"]]
        names = {
            each["Id"]: each["MetricStat"]["Metric"]["MetricName"] for each in alarm["Metrics"] if "MetricStat" in each
        }
        known = {name: values[metric] for name, metric in names.items()}
        known["IF"] = lambda condition, then, otherwise: then if condition else otherwise
        return eval(expression, {"__builtins__": {}}, known)

    def _adjusted(self, alarm, policy, invoked, value):
        """The number of workers that a policy asks for; None where it does nothing."""
        step = _step(policy["StepAdjustments"], value - alarm["Threshold"], alarm["ComparisonOperator"])
        is_cooling = self.now < invoked.at + policy["Cooldown"]
        if policy["AdjustmentType"] == "ExactCapacity":
            if is_cooling or step == self.desired:
                return None
            invoked.at = self.now
            return step
        assert policy["AdjustmentType"] == "ChangeInCapacity"
        if is_cooling and step <= invoked.step:
            return None
        add = step - invoked.step if is_cooling else step
        base = self.running + (invoked.step if is_cooling else 0) if self.from_running else self.desired
        if not is_cooling:
            invoked.at = self.now
        invoked.step = step
        return max(base + add, self.desired)


@dataclass
class _Invoked:
    at: int = -(10**9)
    step: int = 0


def _step(adjustments, distance, operator):
    above = operator.startswith("Greater")
    for each in adjustments:
        lower, upper = each.get("MetricIntervalLowerBound"), each.get("MetricIntervalUpperBound")
        if above and (lower is None or distance >= lower) and (upper is None or distance < upper):
            return each["ScalingAdjustment"]
        if not above and (lower is None or distance > lower) and (upper is None or distance <= upper):
            return each["ScalingAdjustment"]
    raise AssertionError((adjustments, distance))


@functools.cache
def _compiled(expression):
    return jsonata.Jsonata.jsonata(expression[2:-2].strip())


def _evaluate(expression, **bindings):
    return _compiled(expression).evaluate(None, bindings)
