"""The usual way through a machine, state by state: each is a transition that Step Functions bills."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Definition = Mapping[str, Any]

#: The example on AWS's price page counts the start and the end of an execution as well (not verified on a bill).
START_AND_END = 2


def of_run(definition: Definition) -> tuple[int, int]:
    """The transitions of a run that succeeds at once, and those of each further attempt.

    The usual way is the shortest one that runs the task and then succeeds. 0 for a machine that runs no task.
    """
    states = definition.get("States", {})
    run = next((name for name, state in states.items() if runs_task(state)), None)
    if run is None:
        return 0, 0
    there = _shortest(states, [str(definition["StartAt"])], lambda name: name == run)
    rest = _shortest(states, list(_next(states[run])), lambda name: states[name]["Type"] == "Succeed")
    again = _shortest(states, list(_next(states[run])), lambda name: name == run)
    return there + rest + START_AND_END, again


def of_start(definition: Definition, kind: str) -> int:
    """The transitions with which a dispatcher starts a run, for a kind of trigger."""
    states = definition.get("States", {})
    if not states:
        return 0
    first = states[definition["StartAt"]]
    taken = (
        choice["Next"] for choice in first.get("Choices", ()) if f'"{kind}"' in json.dumps(choice).replace("\\", "")
    )
    second = next(taken, first.get("Default"))
    called = next(
        (name for name, state in states.items() if "startExecution" in json.dumps(state.get("Resource", ""))), None
    )
    if second is None or called is None:
        return 0
    there = _shortest(states, [second], lambda name: name == called)
    rest = _shortest(states, list(_next(states[called])), lambda name: states[name]["Type"] == "Succeed")
    return 1 + there + rest + START_AND_END


def runs_task(state: Mapping[str, Any]) -> bool:
    """The state starts an ECS task."""
    return "ecs:runTask" in json.dumps(state.get("Resource", ""))


def _shortest(states: Mapping[str, Any], begin: list[str], is_end: Callable[[str], bool]) -> int:
    """How many states the shortest way from one of these has, both ends counted; 0 when there is none."""
    todo = deque((name, 1) for name in begin)
    seen = set(begin)
    while todo:
        name, steps = todo.popleft()
        if is_end(name):
            return steps
        for following in _next(states.get(name, {})):
            if following not in seen:
                seen.add(following)
                todo.append((following, steps + 1))
    return 0


def _next(state: Mapping[str, Any]) -> Iterator[str]:
    for choice in state.get("Choices", ()):
        yield choice["Next"]
    for key in ("Default", "Next"):
        if key in state:
            yield state[key]
