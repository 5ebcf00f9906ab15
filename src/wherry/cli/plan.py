"""`wherry plan`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wherry.cli import output
from wherry.cli.cloud import add_options, open_site
from wherry.cli.context import add_json
from wherry.jobfile.doubts import doubts

if TYPE_CHECKING:
    from wherry.aws.changes import Change
    from wherry.aws.deploy import Plan
    from wherry.aws.permissions import Grant

_SIGNS = {"add": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red"), "adopt": ("<", "blue")}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_options(parser)
    add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Show it; nothing is changed, and nothing left behind."""
    from wherry.aws import deploy
    from wherry.aws.survey import survey

    made = deploy.plan(survey(open_site(arguments)))
    if arguments.json:
        output.say_json(_as_json(made))
    else:
        show(made)
    return 0


def show(plan: Plan) -> None:
    """A plan for people."""
    site = plan.survey.site
    where = f"{site.names.app} in {site.environment.name}, {site.aws.region}, account {site.names.account}"
    output.say(output.paint(where, "bold"))
    if plan.is_empty:
        output.say("no changes")
        return
    if plan.first:
        output.say(f"  {output.paint('!', 'yellow')} {plan.first}")
    for image in plan.to_ship:
        output.say(f"  {output.paint('+', 'green')} job {image.key}: its image is built and pushed")
    for bucket, told in _told(plan):
        output.say(f"  {output.paint('~', 'yellow')} bucket {bucket}: {told}")
    templates = (plan.template, plan.survey.base, plan.survey.deployed, plan.survey.base_deployed)
    for line in _lines([*plan.base_changes, *plan.changes], templates):
        output.say(line)
    _permissions(plan)
    _cost(plan)
    output.say(_sum([*plan.base_changes, *plan.changes]))
    output.doubts(doubts(site.jobfile))
    for text in _notes(plan):
        output.note(text)


def _notes(plan: Plan) -> Iterator[str]:
    """What somebody has to know besides the changes."""
    site = plan.survey.site
    if site.environment.bus.is_elsewhere:
        from wherry.aws.buses import leave_for

        statement = leave_for(site.environment.bus, site.names.account)
        yield f"the bus is another account's, and needs this statement in its policy:\n{statement}"
    for image in plan.survey.images:
        if image.doubt:
            yield f"{image.key}: `{image.reference}` is used as it is, not by its digest: {image.doubt}"


def _told(plan: Plan) -> Iterator[tuple[str, str]]:
    """What buckets are made to tell besides what the templates say, and to whom."""
    for bucket in plan.survey.to_switch_on:
        yield bucket, "its events are told to EventBridge as well"
    for notices in plan.survey.notices:
        if notices.are_new:
            yield notices.bucket, "it tells the queues of uploads"
        elif notices.are_old:
            yield notices.bucket, "it does not tell all the queues any more"
    for bucket in plan.survey.forgotten:
        yield bucket, "it does not tell the queues any more"
    for left in plan.survey.left:
        yield left.bucket, "it is there already, and tells what the job file says"


def _lines(changes: Sequence[Change], templates: Sequence[Any]) -> list[str]:
    """A line for each thing that is made or removed with all its parts, and for each part that changes."""
    from wherry.aws.words import about

    things: dict[tuple[str, str], list[str]] = {}
    rest = []
    for change in changes:
        words = about(change.logical_id, *templates)
        if change.action == "change" or change.loses or change.is_kept or change.replacement != "no":
            rest.append(_line(change, words))
            continue
        thing, _, part = words.partition(": ") if words.startswith(("job ", "queue ")) else (words, "", "")
        parts = things.setdefault((change.action, thing), [])
        parts += [part] if part and part not in parts else []
    lines = []
    for (action, thing), parts in things.items():
        sign, colour = _SIGNS[action]
        adopted = output.paint("  is there already, and becomes part of the stack", "grey") if action == "adopt" else ""
        named = f"{thing}: {', '.join(parts)}" if parts else thing
        lines.append(f"  {output.paint(sign, colour)} {named}{adopted}")
    return lines + rest


def _line(change: Change, words: str) -> str:
    sign, colour = _SIGNS[change.action]
    text = f"  {output.paint(sign, colour)} {words}"
    if change.action == "change" and change.properties:
        text += output.paint(f"  {', '.join(change.properties)}", "grey")
    if change.replacement != "no":
        text += "  " + output.paint("made anew" if change.replacement == "yes" else "perhaps made anew", "yellow")
    if change.loses:
        text += "  " + output.paint(f"its {change.loses} are lost", "red")
    if change.is_kept:
        text += "  " + output.paint("stays in the account, outside the stack", "yellow")
    return text


def _permissions(plan: Plan) -> None:
    from wherry.aws.permissions import lines
    from wherry.aws.words import spelled

    known = spelled(plan.survey.site.names, plan.survey.deployed, plan.template)
    for head, sign, granted in (
        ("permissions granted", "+", plan.granted),
        ("permissions taken back", "-", plan.revoked),
    ):
        if granted:
            output.say(output.paint(head, "bold"))
            who = ""
            for row in lines(granted, known):
                if row[0] != who:
                    who = row[0]
                    output.say(f"  {who}")
                colour = "green" if sign == "+" else "red"
                output.say(f"    {output.paint(sign, colour)} {row[1]}  {output.paint(row[2], 'grey')}")


def _cost(plan: Plan) -> None:
    from wherry.cli import difference

    difference.show(plan)


def _sum(changes: Sequence[Change]) -> str:
    counts = {word: sum(change.action == word for change in changes) for word in _SIGNS}
    words = {"add": "to make", "change": "to change", "remove": "to remove", "adopt": "to adopt"}
    return ", ".join(f"{number} {words[word]}" for word, number in counts.items() if number) or "no resource changes"


def _as_json(plan: Plan) -> dict[str, Any]:
    from wherry.aws.words import about
    from wherry.cli import difference

    templates = (plan.template, plan.survey.base, plan.survey.deployed, plan.survey.base_deployed)

    def change(one: Change) -> dict[str, Any]:
        return {
            "action": one.action,
            "what": about(one.logical_id, *templates),
            "id": one.logical_id,
            "type": one.kind,
            "name": one.physical_id or None,
            "replacement": one.replacement,
            "properties": list(one.properties),
            "loses": one.loses or None,
            "stays": one.is_kept,
        }

    def grants(granted: frozenset[Grant]) -> list[dict[str, str]]:
        return [grant._asdict() for grant in sorted(granted)]

    return {
        "app": plan.survey.site.names.app,
        "environment": plan.survey.site.environment.name,
        "region": plan.survey.site.aws.region,
        "account": plan.survey.site.names.account,
        "changed": not plan.is_empty,
        "first": plan.first or None,
        "images": [image.key for image in plan.to_ship],
        "events": list(plan.survey.to_switch_on),
        "notifications": sorted(
            {each.bucket for each in plan.survey.notices if each.are_new or each.are_old}
            | {each.bucket for each in plan.survey.left}
            | {*plan.survey.forgotten}
        ),
        "base": [change(one) for one in plan.base_changes],
        "changes": [change(one) for one in plan.changes],
        "granted": grants(plan.granted),
        "revoked": grants(plan.revoked),
        "cost": None if plan.is_empty else difference.as_json(plan),
        "notes": [] if plan.is_empty else [*map(str, doubts(plan.survey.site.jobfile)), *_notes(plan)],
    }
