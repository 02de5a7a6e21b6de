"""What a terminal shows while a step runs: one line that names the step and, while training, rows, rate and time left."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from rich.console import Console

from widedeep.cli import terminal


@dataclass(frozen=True)
class Place:
    """As much of a workplace as the bar replaces."""

    on_rows: Callable[[int, int], None]


@pytest.fixture
def screen(monkeypatch):
    """Standard error as the terminal (or not) that a test asks for."""

    def make(*, is_terminal):
        file = io.StringIO()
        monkeypatch.setattr(terminal, "err", Console(file=file, force_terminal=is_terminal, width=100))
        return file

    return make


def test_a_terminal_shows_the_step_and_while_training_how_far_it_is(screen):
    file = screen(is_terminal=True)
    with terminal.watched(Place(None), "2026-11-20") as (watched, on_step):
        for step in ("ingest", "train"):
            on_step(step)
        watched.on_rows(0, 40_000)
        watched.on_rows(10_000, 40_000)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    last = re.split(r"[\r\n]+", shown.strip())[-1]
    assert "2026-11-20: train" in last
    assert re.search(r"learnt 10,000 of 40,000 rows, [\d,]+ rows/s, \d+ s left", last)


def test_without_a_terminal_the_workplace_keeps_its_lines_and_no_bar_is_drawn(screen):
    file, place = screen(is_terminal=False), Place(print)
    with terminal.watched(place, "2026-11-20") as (watched, on_step):
        on_step("train")
        assert watched is place
    assert file.getvalue() == ""
