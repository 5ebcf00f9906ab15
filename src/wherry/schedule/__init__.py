"""When jobs fire: EventBridge `cron()`, `rate()` and `at()`, and five-field unix cron.

`parse` makes a frozen `Schedule` of an expression; a schedule computes its firings from a given instant. Nothing here
reads the clock. Expressions are what EventBridge Scheduler accepts (Scheduler User Guide, "Schedule types"; the grammar
of `cron()` is in the EventBridge User Guide, "Creating a rule that runs on a schedule"), so `rate(1 minutes)` and a
`cron()` of five fields are fine although scheduled rules refuse them.

Wall time and daylight saving follow AWS ("adjust EventBridge schedule for daylight saving", re:Post Knowledge Center):

- a wall time that does not exist is skipped, not moved,
- a wall time that happens twice fires once. AWS does not say when; here it is the first of the two instants, so that a
  job is never an hour late. A cron finer than an hour makes one pass through the repeated hour, the first,
- `rate()` counts elapsed time: `rate(1 day)` is 24 hours also over a change of the clocks.
"""

from wherry.schedule.base import Firing, Schedule
from wherry.schedule.kinds import At, Cron, Rate
from wherry.schedule.parser import parse
from wherry.schedule.zones import find_zone

__all__ = ["At", "Cron", "Firing", "Rate", "Schedule", "find_zone", "parse"]
