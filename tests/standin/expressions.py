"""JSONata as Step Functions runs it: the reference engine's port, `$states`, variables, six functions more."""

import jsonata
from jsonata.functions import Functions
from jsonata.utils import Utils
from ministack.services import stepfunctions as sfn

_SECONDS = 10  # AWS gives an expression 1 s; machines of tests are noisy


class NotEvaluated(Exception):
    """States.QueryEvaluationError, in AWS's words."""


def fill(template, states: dict, variables: dict, where: str):
    """The template with every `{% ... %}` in it evaluated."""
    if isinstance(template, str):
        if template.startswith("{%") and template.endswith("%}"):
            return evaluate(template[2:-2].strip(), states, variables, where)
        return template
    if isinstance(template, dict):
        return {key: fill(value, states, variables, f"{where}/{key}") for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, states, variables, f"{where}[{i}]") for i, value in enumerate(template)]
    return template


def evaluate(expression: str, states: dict, variables: dict, where: str):
    """One expression; an undefined result is an error, as on AWS; null is not."""
    bindings = {name: Utils.NULL_VALUE if value is None else value for name, value in variables.items()}
    bindings["states"] = states
    told = f"The JSONata expression '{expression}' specified for the field '{where}'"
    try:
        value = _compiled(expression).evaluate(None, bindings)
        defined = value is not None or _compiled(f"$exists(({expression}))").evaluate(None, bindings)
    except Exception as error:
        code = getattr(error, "error", None)
        message = f"{code}: {error}" if isinstance(code, str) and code else str(error)
        raise NotEvaluated(f"{told} threw an error during evaluation. {message}") from error
    if not defined:
        raise NotEvaluated(f"{told} returned nothing (undefined).")
    return _plain(value)


def _compiled(expression: str):
    engine = jsonata.Jsonata.jsonata(expression, timeout=_SECONDS * 1000)
    sfn._register_sfn_jsonata_functions(engine)
    return engine


def install() -> None:
    """$string leaves letters as they are (JSON.stringify); the port escapes what is not ASCII."""

    class Encoder(Functions.Encoder):
        def __init__(self, **how) -> None:
            super().__init__(**{**how, "ensure_ascii": False})

    Functions.Encoder = Encoder


def _plain(value):
    """Numbers without a fraction are whole ones in JSON; functions are no JSON at all."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is Utils.NULL_VALUE:
        return None
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise NotEvaluated("a function is no JSON value")


def word(kind: type) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(kind, "null")
