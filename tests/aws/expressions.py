"""Evaluates the machines' JSONata as Step Functions does, with the reference implementation's port."""

import hashlib
import json

import jsonata
from jsonata.utils import Utils


def evaluate(expression, **bindings):
    """The value of `{% ... %}` with variables; None for an undefined one."""
    assert expression.startswith("{%"), expression
    assert expression.endswith("%}"), expression
    compiled = jsonata.Jsonata.jsonata(expression[2:-2].strip())
    compiled.register_lambda("parse", json.loads)
    compiled.register_lambda(
        "hash", lambda text, algorithm: hashlib.new(algorithm.replace("-", ""), text.encode()).hexdigest()
    )
    given = {name: Utils.NULL_VALUE if value is None else value for name, value in bindings.items()}
    return compiled.evaluate(None, given)


def states(run_input, *, name="run-1", **more):
    """`$states` of a machine of account 123456789012 in eu-central-1."""
    execution = f"arn:aws:states:eu-central-1:123456789012:execution:machine:{name}"
    context = {"Execution": {"Id": execution, "Name": name, "StartTime": "2026-03-01T12:00:00.000Z"}}
    return {"input": run_input, "context": context, **more}
