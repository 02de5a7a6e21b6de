"""How fast rows are learnt, in plain lines for a log: one about every ten seconds and one at the end, terminal or not."""

import time
from collections.abc import Callable

EVERY_S = 10.0
MINUTE_S, HOUR_S = 60, 3600


class RateLines:
    """Hears (rows learnt, rows in all) of each batch and says a line when one is due. A count of 0 starts a new measurement."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._began = self._said = clock()

    def __call__(self, learnt: int, rows: int) -> None:
        now = self._clock()
        if learnt == 0:
            self._began = self._said = now
        elif learnt == rows or now - self._said >= EVERY_S:
            self._said = now
            self._say(rate_line(learnt, rows, now - self._began))


def rate_line(learnt: int, rows: int, elapsed_s: float) -> str:
    """Such as "learnt 1,200,000 of 20,000,000 rows, 14,200 rows/s, 22 min left"; at the end it says how long it took."""
    told = f"learnt {learnt:,} of {rows:,} rows"
    if not (learnt and elapsed_s):
        return told
    rate = learnt / elapsed_s
    rest = f"{_duration((rows - learnt) / rate)} left" if learnt < rows else f"{_duration(elapsed_s)} in all"
    return f"{told}, {rate:,.0f} rows/s, {rest}"


def _duration(seconds: float) -> str:
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE_S:.0f} min" if seconds < 2 * HOUR_S else f"{seconds / HOUR_S:.1f} h"
