"""Which simulated stores the limits and the corpus were worked out on, and which they are judged on. No store is in both."""

TUNED_ON = (0, 1, 2, *range(10, 14), *range(20, 30), *range(40, 50), 60, 61)  # all whose days were looked at
CLEAN = tuple(range(140, 150))
DAMAGED = (160, 161, 162, 163, 164)
NOISE = (60, 61)  # tuned on; the sampling error of the graded faults is theirs
