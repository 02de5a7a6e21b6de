"""A limit is what clean spans stay below: by chance, given how many users they have, and by what past spans moved beyond that.

A square of an effect is taken for a chi-square times its mean, and the cube root of such a thing for a normal number (Wilson and
Hilferty 1931). So what the past spans did, brought to today's size, gives a prediction limit for one more, which allows for how
few they are (Hahn 1969): mean + t × standard deviation × √(1 + 1/n).
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from scipy.special import chdtri, stdtrit

from widedeep.data.distances import Distance

ENOUGH = 6  # past spans; of fewer the spread can't be told


def by_chance(distance: Distance, false_alarms: float) -> float:
    """What pure chance exceeds as rarely as that."""
    return sqrt(distance.chance * chdtri(distance.freedom, false_alarms) / distance.freedom)


def calibrated(distance: Distance, past: Sequence[Distance], false_alarms: float) -> float:
    """What a span exceeds as rarely as that if it is like the past ones, of which there are `ENOUGH`; no less than they did."""
    beyond = max(0.0, float(np.mean([p.effect**2 - p.chance for p in past])))
    tiny = np.finfo(float).tiny
    scaled = [p.effect**2 * (distance.chance + beyond + tiny) / (p.chance + beyond + tiny) for p in past]
    roots = np.cbrt(scaled)
    t = stdtrit(len(past) - 1, 1 - false_alarms)
    predicted = roots.mean() + t * roots.std(ddof=1) * sqrt(1 + 1 / len(past))
    return max(by_chance(distance, false_alarms), float(predicted) ** 1.5, sqrt(max(scaled)))
