"""`widedeep erase` in this process: it only shows until told to delete, and wants to know why."""

import io
import json
from contextlib import contextmanager
from datetime import date

import pytest
from rich.console import Console

from widedeep import steps
from widedeep.cli import keeping, terminal
from widedeep.errors import UsageError
from widedeep.steps.erasure_report import ErasureReport

NOTHING = ErasureReport(
    user_sha256="0" * 64,
    until=date(2026, 1, 1),
    made=None,
    rows=(),
    gone=(),
    size_bytes=0,
    followed=(),
    learnt=(),
    relearn=(),
    delivered=(),
    unsearched=("landing/a.bin: unknown kind of file",),
)


@pytest.fixture
def erased(monkeypatch):
    """The reasons of what was carried out, and what was told."""
    carried, told = [], io.StringIO()

    @contextmanager
    def place():
        yield None

    def carry_out(_, found, reason, on_item):
        carried.append((found, reason))
        return NOTHING

    console = Console(file=told, width=200)
    monkeypatch.setattr(keeping, "workplace", place)
    monkeypatch.setattr(keeping, "out", console)
    monkeypatch.setattr(terminal, "out", console)
    monkeypatch.setattr(steps, "plan_erasure", lambda *_: ("found", NOTHING))
    monkeypatch.setattr(steps, "erase", carry_out)
    return carried, told


def test_without_delete_nothing_is_carried_out_and_what_was_not_searched_is_told(erased):
    carried, told = erased
    keeping.erase(user="c12")
    assert not carried
    assert "nothing that is kept holds this user's key" in told.getvalue()
    assert "not searched: landing/a.bin" in told.getvalue()
    assert "c12" not in told.getvalue()


def test_it_is_carried_out_with_its_reason_and_told_as_json(erased):
    carried, told = erased
    keeping.erase(user="c12", delete=True, reason="asked", as_json=True)
    assert carried == [("found", "asked")]
    assert json.loads(told.getvalue())["unsearched"] == list(NOTHING.unsearched)


@pytest.mark.parametrize("reason", [None, " "])
def test_nothing_is_erased_without_a_reason(erased, reason):
    with pytest.raises(UsageError, match="--reason"):
        keeping.erase(user="c12", delete=True, reason=reason)
    assert not erased[0]
