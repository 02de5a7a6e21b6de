"""How fast rows are learnt is told in plain lines: seldom, with what is left, and once at the end."""

import pytest

from widedeep.steps.pace import RateLines, rate_line


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def lines_of(batches, seconds_each):
    """What is said while `batches` of ten rows each take so long, after a hundred seconds of other work."""
    clock, said = Clock(), []
    hear = RateLines(said.append, clock)
    clock.now += 100
    hear(0, 10 * batches)
    for batch in range(1, batches + 1):
        clock.now += seconds_each
        hear(10 * batch, 10 * batches)
    return said


def test_a_line_is_said_about_every_ten_seconds_and_one_at_the_end():
    assert lines_of(batches=10, seconds_each=4) == [
        "learnt 30 of 100 rows, 2 rows/s, 28 s left",
        "learnt 60 of 100 rows, 2 rows/s, 16 s left",
        "learnt 90 of 100 rows, 2 rows/s, 4 s left",
        "learnt 100 of 100 rows, 2 rows/s, 40 s in all",
    ]


def test_a_short_training_says_one_line_and_the_work_before_it_does_not_count():
    assert lines_of(batches=5, seconds_each=0.5) == ["learnt 50 of 50 rows, 20 rows/s, 2 s in all"]


def test_a_second_training_is_measured_from_its_own_start():
    clock, said = Clock(), []
    hear = RateLines(said.append, clock)
    for _ in range(2):
        hear(0, 8)
        clock.now += 4
        hear(8, 8)
    assert said == ["learnt 8 of 8 rows, 2 rows/s, 4 s in all"] * 2


def test_a_training_without_rows_says_nothing():
    said = []
    RateLines(said.append, Clock())(0, 0)
    assert said == []


@pytest.mark.parametrize(
    ("learnt", "rows", "elapsed_s", "line"),
    [
        (1_200_000, 20_000_000, 1_200_000 / 14_200, "learnt 1,200,000 of 20,000,000 rows, 14,200 rows/s, 22 min left"),
        (10_000, 100_000_000, 1, "learnt 10,000 of 100,000,000 rows, 10,000 rows/s, 2.8 h left"),
        (100, 100, 0.0, "learnt 100 of 100 rows"),
        (0, 100, 3.0, "learnt 0 of 100 rows"),
    ],
)
def test_rates_and_times_are_readable_at_every_size(learnt, rows, elapsed_s, line):
    assert rate_line(learnt, rows, elapsed_s) == line
