"""`widedeep prune` in this process: what is told of uploads that nobody completed, and that they go."""

import io
import json
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from rich.console import Console

from widedeep import steps
from widedeep.cli import keeping
from widedeep.publishing.removal import Plan
from widedeep.publishing.store import Unfinished

PLANNED = Plan((), (Unfinished("releases/r-1/weights", "u1", datetime(2026, 1, 1, tzinfo=UTC), 5_000),))


@pytest.fixture
def pruned(monkeypatch):
    """What was carried out, and what was told."""
    carried, told = [], io.StringIO()

    @contextmanager
    def place():
        yield None

    def carry_out(_, planned, on_item):
        carried.append(planned)
        return planned

    monkeypatch.setattr(keeping, "workplace", place)
    monkeypatch.setattr(keeping, "out", Console(file=told, width=200))
    monkeypatch.setattr(steps, "plan_prune", lambda _: PLANNED)
    monkeypatch.setattr(steps, "prune", carry_out)
    return carried, told


def test_where_only_uploads_are_left_they_go_too(pruned):
    carried, told = pruned
    keeping.prune(delete=True)
    assert carried == [PLANNED]
    assert told.getvalue() == "5.0 kB freed; 1 unfinished uploads\n"


def test_without_delete_nothing_is_carried_out_and_json_tells_of_uploads(pruned):
    carried, told = pruned
    keeping.prune(as_json=True)
    assert not carried
    (upload,) = json.loads(told.getvalue())
    assert (upload["kind"], upload["name"], upload["size_bytes"]) == ("upload", "releases/r-1/weights", 5_000)
