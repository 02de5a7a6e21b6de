"""Drawing in SVG: a frame with axes, marks and lines. Texts are escaped here, so whoever draws passes them as they are.

Coordinates are in a box of WIDTH units, so that on a telephone (375 px) a unit is about a pixel and text stays legible.
The candidate is a circle and a solid line, the champion a square and a dashed line: colour alone tells nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH = 360
ROW = 34
"""Height of a line of a list: its name above, its bar below."""

MOST_DIGITS = 7
"""Behind the point."""

Point = tuple[float, float]


def svg(height: float, told: str, parts: Iterable[str]) -> str:
    """A picture; `told` is what a reader who can't see it hears."""
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(told)}">{body}</svg>'


def text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def line(start: Point, end: Point, kind: str) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def path(points: Iterable[Point], kind: str) -> str:
    return f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="{kind}"/>'


def circle(at: Point, kind: str = "candidate") -> str:
    return f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4" class="{kind}"/>'


def square(at: Point, kind: str = "champion") -> str:
    return f'<rect x="{at[0] - 3.5:.1f}" y="{at[1] - 3.5:.1f}" width="7" height="7" class="{kind}"/>'


@dataclass(frozen=True)
class Axis:
    """A linear map of [low, high] to [start, end]; what lies outside is drawn at the border."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 4) -> list[float]:
        """Round numbers from `low` to `high`, between half and twice as many as wanted."""
        span = (self.high - self.low) or 1
        step: float = 10.0 ** floor(log10(span / about))
        step *= next(times for times in (1, 2, 5, 10) if span / (step * times) <= about)
        first = ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, floor(self.high / step + 1e-9) + 1)]


def below(axis: Axis, y: float, ticks: Sequence[tuple[float, str]]) -> list[str]:
    """A horizontal axis with its numbers beneath."""
    marks = [text(axis.at(value), y + 14, told, anchor="middle") for value, told in ticks]
    return [line((axis.start, y), (axis.end, y), "axis"), *marks]


def beside(axis: Axis, x: float, right: float, ticks: Sequence[tuple[float, str]]) -> list[str]:
    """A vertical axis with its numbers on the left and a faint line across at each."""
    lines = [line((x, axis.at(value)), (right, axis.at(value)), "grid") for value, _ in ticks]
    return [*lines, *(text(x - 5, axis.at(value) + 4, told, anchor="end") for value, told in ticks)]


def number(value: float) -> str:
    """Three significant digits; an exponent only where there were too many zeros to count."""
    digits = 0 if value == 0 else max(0, 2 - floor(log10(abs(value))))
    if digits > MOST_DIGITS:
        return f"{value:.0e}"
    return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"


def percent(share: float) -> str:
    return f"{number(100 * share)}\u202f%"


def signed(value: float) -> str:
    """A difference: with its sign, and a minus that lines up with the plus."""
    return f"{'+' if value > 0 else '−' if value < 0 else '±'}{number(abs(value))}"


def loss(value: float) -> str:
    """A difference of losses, ranks or rates, as the gate writes it."""
    return f"{value:+.4f}".replace("-", "−")
