"""What a task is started with beyond its definition, as JSONata: the values that are known only when a run begins.

What does not depend on the event stands in the task definition. ECS overrides are added by name (ECS Developer Guide,
"RunTask", ContainerOverride), so both together are what `wherry.local.environment` makes of a job here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wherry import mapping
from wherry.aws.jsonata import AT, is_dynamic, literal, needs, value
from wherry.model import Helper, Job

#: ECS takes 8,192 characters of overrides, everything counted; the rest is for what is added to each attempt.
LIMIT = 7_600
#: The container that decides.
MAIN = "main"
_NEXT = ",\n    "
#: What a shell's text needs to pass arguments on, and to become another program.
_ARGS, _EXEC = ' "$@"', 'exec "$@"'


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Expressions over a run's input."""

    #: What the event lacks, in words; an empty text when nothing.
    missing: str
    #: The overrides of the containers, the main one first, without what changes with each attempt.
    containers: str


def plan_of(job: Job, named: Mapping[str, str], *, main: str = MAIN, helpers: Iterable[str] = ()) -> Plan:
    """The plan of a job; `named` are expressions (`jsonata.key`), `helpers` further containers that get the facts."""
    parts = [_container(main, job.env, named, _command(job, named), override=True)]
    parts += [_helper(helper, named) for helper in job.helpers]
    parts += [_container(name, {}, named, "") for name in helpers]
    return Plan(
        missing=_missing(job),
        containers=_within(f"[{_NEXT.join(parts)}]"),
    )


def static_env(env: Mapping[str, str]) -> dict[str, mapping.Template]:
    """The variables that are known before any run."""
    parsed = {name: mapping.parse(text) for name, text in env.items()}
    return {name: template for name, template in parsed.items() if not is_dynamic(template)}


def _within(expression: str) -> str:
    """An expression with what it speaks of."""
    return f"""(
  {AT}
  $event := $states.input.event;
  $overrides := $exists($states.input.overrides) ? $states.input.overrides : {{}};
  $args := $exists($overrides.args) ? $overrides.args : [];
  $interval := $at($at($event, "detail"), "interval");
  $facts := $merge([
    {{
      "WHERRY_RUN_ID": $exists($states.input.run) ? $states.input.run : $states.context.Execution.Name,
      "WHERRY_TRIGGER": $states.input.trigger
    }},
    $states.input.trigger = "schedule" ? {{"WHERRY_SCHEDULED_AT": $at($at($event, "detail"), "scheduled-time")}} : {{}},
    $exists($at($interval, "start")) and $exists($at($interval, "end"))
      ? {{"WHERRY_INTERVAL_START": $interval.start, "WHERRY_INTERVAL_END": $interval.end}} : {{}}
  ]);
  $pairs := function($env) {{ [$each($env, function($value, $name) {{ {{"Name": $name, "Value": $value}} }})] }};
  {expression}
)"""


def _container(
    name: str, env: Mapping[str, str], named: Mapping[str, str], command: str, *, override: bool = False
) -> str:
    parsed = {variable: mapping.parse(text) for variable, text in env.items()}
    own = ", ".join(
        f"{literal(variable)}: {value(template, named)}"
        for variable, template in parsed.items()
        if is_dynamic(template)
    )
    given = ", $exists($overrides.env) ? $overrides.env : {}" if override else ""
    start = f'"Command": {command}, ' if command else ""
    return f'{{"Name": {literal(name)}, {start}"Environment": $pairs($merge([$facts, {{{own}}}{given}]))}}'


def _command(job: Job, named: Mapping[str, str]) -> str:
    """The command where it is not the task definition's own: nothing (an undefined value) leaves that in force."""
    if isinstance(job.command, str):
        text = value(mapping.parse(job.command), named)  # what `/bin/sh -c`, the entry point, is given
        plain, more = f"[{text}]", f'[{text} & {literal(_ARGS)}, "sh", $args]'
        dynamic = is_dynamic(mapping.parse(job.command))
        other = f'[{literal(_EXEC)}, "sh", $overrides.command, $args]'
    else:
        templates = [mapping.parse(argument) for argument in job.command]
        words = ", ".join(value(template, named) for template in templates)
        plain, more = f"[{words}]", f"[{words}{', ' if words else ''}$args]"
        dynamic = any(is_dynamic(template) for template in templates)
        other = "[$overrides.command, $args]"
    own = f"$count($args) > 0 ? {more}{f' : {plain}' if dynamic else ''}"
    return f"($exists($overrides.command) ? {other} : {own})"


def _helper(helper: Helper, named: Mapping[str, str]) -> str:
    texts = [helper.command] if isinstance(helper.command, str) else list(helper.command)
    templates = [mapping.parse(text) for text in texts]
    command = f"[{', '.join(value(template, named) for template in templates)}]"
    dynamic = any(is_dynamic(template) for template in templates)
    return _container(helper.name, helper.env, named, command if dynamic else "")


def _missing(job: Job) -> str:
    command = (job.command,) if isinstance(job.command, str) else job.command
    wanted = _needs(job.env.values())
    for helper in job.helpers:
        own = (helper.command,) if isinstance(helper.command, str) else helper.command
        wanted += _needs([*helper.env.values(), *own])
    items = [f"$exists({found}) ? [] : {literal(said)}" for found, said in dict.fromkeys(wanted)]
    replaced = "$exists($states.input.overrides.command)"
    items += [
        f"{replaced} or $exists({found}) ? [] : {literal(said)}" for found, said in dict.fromkeys(_needs(command))
    ]
    if not items:
        return '""'
    listed = ",\n    ".join(dict.fromkeys(items))
    return f"""(
  {AT}
  $event := $states.input.event;
  $missing := [
    {listed}
  ];
  $count($missing) = 0 ? "" : "could not start: " & $join($distinct($missing), "; ")
)"""


def _needs(texts: Iterable[str]) -> list[tuple[str, str]]:
    return [need for text in texts for need in needs(mapping.parse(text))]
