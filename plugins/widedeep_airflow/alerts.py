"""What alerts say: what happened to which span, the first reasons, where to look, what to do next. Nothing is sent from here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from widedeep.artifacts import Audit, Outcome

REASONS_SHOWN = 3


@dataclass(frozen=True)
class Alert:
    """`title` is one line, also a mail's subject. `links` lead from what they show to an address."""

    title: str
    reasons: tuple[str, ...]
    links: Mapping[str, str]
    advice: str

    def text(self) -> str:
        """All of it, as plain lines."""
        links = (f"{name}: {address}" for name, address in self.links.items())
        return "\n".join([self.title, *first(self.reasons), *links, f"Next: {self.advice}"])


def first(reasons: Iterable[str]) -> Iterable[str]:
    """The first reasons, each on a line of its own, and how many more there are."""
    told = tuple(reasons)
    yield from (f"- {' '.join(reason.split())}" for reason in islice(told, REASONS_SHOWN))
    if len(told) > REASONS_SHOWN:
        yield f"- and {len(told) - REASONS_SHOWN} more"


def settled(outcome: Outcome, links: Mapping[str, str]) -> Alert:
    """A span of the live lane is quarantined or held."""
    what, advice = _what(outcome)
    return Alert(f"widedeep: span {outcome.span} {what}", outcome.reasons, links, advice)


def _what(outcome: Outcome) -> tuple[str, str]:
    if outcome.result == "quarantined":
        return "is quarantined: nothing is learnt from it", (
            "later days go on. Have the day mended at its source and delivered again: the next run takes it in."
        )
    answer = f"answer under Required Actions, or by `widedeep review --span {outcome.span}`. Later days go on meanwhile."
    if outcome.validation:
        return "is held: its data changed drastically", answer
    if outcome.verdict:
        return f"is held: the gate did not pass its candidate {outcome.release_id}", answer
    return f"is held: its candidate {outcome.release_id} passed, and was not promoted", (
        "`widedeep champion --history` tells who froze the lane or withdrew the release, and why. Its rows are learnt again."
    )


def owing(audit: Audit, proposed: Outcome | None, links: Mapping[str, str]) -> Alert:
    """The champion owes more than the limit to a twin from scratch; `proposed`: what became of it; None: too late."""
    if proposed is None:
        advice = "another champion leads by now: `widedeep audit` measures what that one owes."
        reasons: tuple[str, ...] = (audit.told(),)
    elif proposed.result == "held":
        command = f"`widedeep review --span {proposed.span} --release {proposed.release_id}`"
        advice = f"decide under Required Actions, or by {command}, whether the chain goes on from the twin."
        reasons = (audit.told(),)
    else:
        advice = (
            "`widedeep audit --history` tells since when. Look for days that taught it wrongly, and at the contract's `training`."
        )
        reasons = (audit.told(), *proposed.reasons)
    return Alert(f"widedeep: champion {audit.release_id} owes too much to a twin from scratch", reasons, links, advice)


def failed(dag_id: str, run_id: str, span: str | None, tasks: tuple[str, ...], links: Mapping[str, str]) -> Alert:
    """A run failed; `tasks` are those that failed first."""
    broken = ", ".join(tasks) or "a task"
    return Alert(
        f"widedeep: {dag_id} failed at {broken}" + (f", span {span}" if span else ""),
        (f"run {run_id}",),
        links,
        f"mend what the log of {broken} names, then clear {broken} with Downstream. What is done already is found, not repeated.",
    )


def late(dag_id: str, run_id: str, state: str, due: datetime, links: Mapping[str, str]) -> Alert:
    """A daily run has not settled its span in time."""
    return Alert(
        f"widedeep: no release by {due:%Y-%m-%d %H:%M} UTC: {dag_id} is {state}",
        (f"run {run_id}",),
        links,
        "look which task it is at: a late delivery, a fault, or an earlier day that has to be cleared first.",
    )
