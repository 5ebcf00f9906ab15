"""Draws what the simulation shows, for docs/images/scaling.svg: `python -m tests.aws.scaling_plot > docs/images/scaling.svg`."""

import sys
from dataclasses import dataclass
from html import escape

from tests.aws.simulation import World
from tests.aws.test_scaling import DAY, HOUR, resources

MINUTE = 60
WIDTH, LEFT, RIGHT, TOP = 860, 64, 24, 74
LANE, GAP, PANEL = 62, 12, 196
INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
WAITING, DESIRED, RUNNING, WORKING = "#9fb3c8", "#d9e2ec", "#2f6690", "#e08e45"


@dataclass
class Scene:
    title: str
    begins: int
    #: Minutes before and after.
    before: int
    after: int
    arrivals: dict
    work: int
    by_upload: bool = True


def scenes():
    at = 8 * HOUR + 20
    return [
        Scene("40 uploads at once, two minutes of work each", at, 4, 44, {at: 40}, 120),
        Scene("5,000 uploads within ten seconds, two seconds each", at, 4, 44, {at + n: 500 for n in range(10)}, 2),
        Scene("an upload every four minutes, twenty seconds each", at, 4, 44, {at + n * 240: 1 for n in range(8)}, 20),
        Scene("one message from an SDK after a silence of a day", DAY + 20, 4, 13, {DAY + 20: 1}, 30, by_upload=False),
        Scene("one upload, two hours of work", at, 8, 142, {at: 1}, 2 * HOUR),
    ]


def draw():
    """The picture as text."""
    panels = []
    for number, scene in enumerate(scenes()):
        world = World(resources(), work=scene.work)
        world.run(scene.begins + scene.after * MINUTE, scene.arrivals, by_upload=scene.by_upload)
        begin = scene.begins - scene.before * MINUTE
        shown = [moment for moment in world.history if moment.at >= begin]
        panels.append(_panel(scene, shown, TOP + number * PANEL))
    height = TOP + len(panels) * PANEL + 6
    font = "font-family=\"ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" {font} role="img">',
            "<title>Messages that wait and workers over time, for five patterns of arrival</title>",
            f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
            _text(LEFT, 30, "Workers of a queue on AWS", size=17, weight=600),
            *_legend(),
            *panels,
            "</svg>\n",
        ]
    )


def _legend():
    items = [
        (WAITING, "messages that wait"),
        (DESIRED, "workers asked for"),
        (RUNNING, "workers running"),
        (WORKING, "messages worked on"),
    ]
    found = []
    for number, (colour, words) in enumerate(items):
        x = LEFT + number * 178
        found += [
            f'<rect x="{x}" y="43" width="12" height="12" rx="2" fill="{colour}"/>',
            _text(x + 18, 53, words, size=12, colour=FAINT),
        ]
    return found


def _panel(scene, shown, top):
    begin, end = scene.begins - scene.before * MINUTE, scene.begins + scene.after * MINUTE
    most_waiting = max([moment.waiting for moment in shown] + [1])
    most_workers = max([max(moment.desired, moment.working) for moment in shown] + [1])
    upper, lower = top + 24 + LANE, top + 24 + LANE + GAP + LANE

    def x(at):
        return LEFT + (at - begin) / (end - begin) * (WIDTH - LEFT - RIGHT)

    def path(value, base, most, *, closed):
        """A step for each change, so that the text stays small."""
        height = lambda moment: base - value(moment) / most * (LANE - 6)  # noqa: E731
        points, last = [f"M{x(begin):.1f},{height(shown[0]):.1f}"], height(shown[0])
        for moment in shown:
            if height(moment) != last:
                last = height(moment)
                points.append(f"H{x(moment.at):.1f}V{last:.1f}")
        points.append(f"H{x(end):.1f}")
        return "".join(points) + (f"V{base}H{x(begin):.1f}Z" if closed else "")

    line = path(lambda m: m.working, lower, most_workers, closed=False)
    return "\n".join(
        [
            "<g>",
            _text(LEFT, top + 12, escape(scene.title), size=13, weight=600),
            *_minutes(scene, x, upper - LANE + 4, lower),
            f'<path d="{path(lambda m: m.waiting, upper, most_waiting, closed=True)}" fill="{WAITING}"/>',
            f'<path d="{path(lambda m: m.desired, lower, most_workers, closed=True)}" fill="{DESIRED}"/>',
            f'<path d="{path(lambda m: m.running, lower, most_workers, closed=True)}" fill="{RUNNING}"/>',
            f'<path d="{line}" fill="none" stroke="{WORKING}" stroke-width="1.6"/>',
            *(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" stroke="{FAINT}" stroke-width="0.8"/>'
                for base in (upper, lower)
            ),
            _text(LEFT - 8, upper - LANE + 12, f"{most_waiting:,}", size=11, colour=FAINT, anchor="end"),
            _text(LEFT - 8, lower - LANE + 12, f"{most_workers:,}", size=11, colour=FAINT, anchor="end"),
            _text(LEFT - 8, upper, "0", size=11, colour=FAINT, anchor="end"),
            _text(LEFT - 8, lower, "0", size=11, colour=FAINT, anchor="end"),
            "</g>",
        ]
    )


def _minutes(scene, x, top, bottom):
    every = 20 if scene.after > 100 else 2 if scene.after < 20 else 5
    found = []
    for minute in range(0, scene.after + 1, every):
        at = x(scene.begins + minute * MINUTE)
        found += [
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top}" y2="{bottom}" stroke="{GRID}" stroke-width="1"/>',
            _text(
                at, bottom + 14, f"{minute} min" if minute else "first message", size=11, colour=FAINT, anchor="middle"
            ),
        ]
    return found


def _text(x, y, words, *, size, colour=INK, weight=400, anchor="start"):
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{colour}"'
        f' text-anchor="{anchor}">{words}</text>'
    )


if __name__ == "__main__":
    sys.stdout.write(draw())
