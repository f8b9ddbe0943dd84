"""Drawing: what a figure is made of, as SVG that stretches to its page while its text does not.

Places along the page are percentages, so that one drawing fits a desktop, a phone and paper
without a script; lines are in an inner SVG that is stretched, with strokes that are not.  Colours
are classes, for which the page has a light and a dark style.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from firsttoken.report.axis import Axis

__all__ = ["Figure", "Key", "Lane", "Panel", "Table", "lanes"]

WIDE = 1000
"""Units of the inner SVG from left to right."""
_A_LETTER = 0.011
"""The share of a wide plot that a letter takes."""
_LEVELS = 6
_LANE = 24
Points = Iterable[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Table:
    """The same data in words, for who cannot see the drawing."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Key:
    """One line of a legend; ``kind`` is ``line``, ``dash``, ``dot``, ``ring`` or ``area``."""

    kind: str
    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure for the page; ``body`` is HTML of this module's own making."""

    name: str
    title: str
    caption: str
    body: str
    table: Table
    keys: tuple[Key, ...] = ()
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Lane:
    """Something that lasted, beside a plot over time."""

    text: str
    tone: str
    start: float
    end: float


@dataclass(slots=True)
class Panel:
    """One pair of axes; marks are drawn in the order of their layers, not of the calls."""

    x: Axis
    y: Axis
    height: int = 190
    label: str = ""
    bottom: bool = True
    """Whether the ticks of ``x`` are written below it."""
    _back: list[str] = field(default_factory=list)
    _inner: list[str] = field(default_factory=list)
    _dots: list[str] = field(default_factory=list)
    _front: list[str] = field(default_factory=list)

    # --- Places -----------------------------------------------------------------------------------

    def _px(self, value: float) -> str:
        return f"{self.x.place(value) * 100:.2f}%"

    def _py(self, value: float) -> float:
        return round(self.height * (1 - self.y.place(value)), 1)

    def _at(self, x: float, y: float) -> str:
        return f"{self.x.place(x) * WIDE:.1f} {self._py(y):g}"

    # --- Marks ------------------------------------------------------------------------------------

    def span(self, start: float, end: float, text: str = "") -> None:
        """A shaded stretch of the x axis, with a word where it has room for one."""
        left, right = self.x.place(start), self.x.place(end)
        if right <= left:
            return
        self._back.append(
            f'<rect class="shade" x="{left * 100:.2f}%" width="{(right - left) * 100:.2f}%"'
            f' y="0" height="{self.height}"/>'
        )
        if text and right - left > _A_LETTER * len(text):
            # At the right the words of an objective are above.
            late = left > 0.6
            x, shift, y = (right, -4, self.height - 8) if late else (left, 4, 12)
            anchor = ' text-anchor="end"' if late else ""
            self._back.append(
                f'<text class="note" x="{x * 100:.2f}%" dx="{shift}" y="{y}"{anchor}>'
                f"{escape(text)}</text>"
            )

    def line(self, points: Points, tone: str, *, step: bool = False, kind: str = "line") -> None:
        """A line through the points; a step holds each value until the next."""
        parts: list[str] = []
        before: tuple[str, str] | None = None
        for x, y in points:
            here = (f"{self.x.place(x) * WIDE:.1f}", f"{self._py(y):g}")
            if before is None:
                parts.append(f"M{here[0]} {here[1]}")
            elif here != before:
                if step and here[1] != before[1]:
                    parts.append(f"H{here[0]}V{here[1]}")
                elif step:
                    parts.append(f"H{here[0]}")
                else:
                    parts.append(f"L{here[0]} {here[1]}")
            before = here
        if parts:
            self._inner.append(f'<path class="{kind} {tone}" d="{"".join(parts)}"/>')

    def area(self, points: Sequence[tuple[float, float, float]], tone: str) -> None:
        """The band between two values at each x: (x, lower, upper)."""
        if len(points) < 2:
            return
        there = "L".join(self._at(x, high) for x, _, high in points)
        back = "L".join(self._at(x, low) for x, low, _ in reversed(points))
        self._inner.append(f'<path class="area {tone}" d="M{there}L{back}Z"/>')

    def dots(self, points: Points, tone: str, kind: str = "dots") -> None:
        """A dot at each point: round caps of lines of no length, a tenth of so many circles."""
        marks = "".join(f"M{self._at(x, y)}h0" for x, y in points)
        if marks:
            self._dots.append(f'<path class="{kind} {tone}" d="{marks}"/>')

    def rings(self, points: Points, tone: str) -> None:
        """A hollow circle at each of a few points."""
        self._front += [
            f'<circle class="ring {tone}" cx="{self._px(x)}" cy="{self._py(y):g}" r="3.2"/>'
            for x, y in points
        ]

    def bars(self, bars: Iterable[tuple[float, float, float, float]], tone: str) -> None:
        """Upright bars: (left, right, lower, upper)."""
        shapes = []
        for left, right, low, high in bars:
            if high > low:
                a, b = self.x.place(left) * WIDE, self.x.place(right) * WIDE
                inset = min(1.0, (b - a) / 8)
                shapes.append(
                    f"M{a + inset:.1f} {self._py(low):g}V{self._py(high):g}"
                    f"H{b - inset:.1f}V{self._py(low):g}Z"
                )
        if shapes:
            self._inner.append(f'<path class="bar {tone}" d="{"".join(shapes)}"/>')

    def cells(self, cells: Iterable[tuple[float, float, float, float, float]], tone: str) -> None:
        """A heatmap: (left, right, lower, upper, strength from 0 to 1)."""
        levels: dict[int, list[str]] = {}
        for left, right, low, high, strength in cells:
            level = max(1, min(_LEVELS, round(strength * _LEVELS)))
            a, b = self.x.place(left) * WIDE, self.x.place(right) * WIDE
            top, base = self._py(high), self._py(low)
            levels.setdefault(level, []).append(f"M{a:.1f} {base:g}V{top:g}H{b:.1f}V{base:g}Z")
        for level, shapes in sorted(levels.items()):
            shade = level / _LEVELS
            self._inner.append(
                f'<path class="cell {tone}" opacity="{shade:.2f}" d="{"".join(shapes)}"/>'
            )

    def limit(self, value: float, text: str, *, upright: bool = False) -> None:
        """A dashed line at an objective, with its words."""
        if upright:
            place = self._px(value)
            self._front.append(f'<line class="limit" x1="{place}" x2="{place}" y1="0" y2="100%"/>')
            late = self.x.place(value) > 0.6
            anchor, shift = ("end", -5) if late else ("start", 5)
            where = f'x="{place}" dx="{shift}" y="{self.height - 8}" text-anchor="{anchor}"'
        else:
            y = self._py(value)
            if value > self.y.high:  # beyond the axis: an arrow that points there
                text, y = f"↑ {text}", 0
            else:
                self._front.append(f'<line class="limit" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/>')
            above = y - 5 if y > 16 else y + 13
            where = f'x="100%" dx="-4" y="{above:g}" text-anchor="end"'
        self._front.append(f'<text class="limit-text" {where}>{escape(text)}</text>')

    def mark(self, x: float, text: str) -> None:
        """A moment: an upright line with its words."""
        place = self._px(x)
        anchor, shift = ("end", -4) if self.x.place(x) > 0.7 else ("start", 4)
        self._front.append(f'<line class="event" x1="{place}" x2="{place}" y1="0" y2="100%"/>')
        self._front.append(
            f'<text class="event-text" x="{place}" dx="{shift}" y="24" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    # --- The whole --------------------------------------------------------------------------------

    def html(self, name: str, title: str, description: str) -> str:
        """The panel as HTML; ``name`` makes its ids differ from all others on the page."""
        inner = "".join((*self._inner, *self._dots))
        label = f'<p class="axis">{escape(self.label)}</p>' if self.label else ""
        below = f'<p class="axis below">{escape(self.x.title)}</p>' if self.bottom else ""
        return (
            f'{label}<div class="plot{"" if self.bottom else " joined"}">'
            f'<svg role="img" aria-labelledby="{name}-t {name}-d" width="100%"'
            f' height="{self.height}">'
            f'<title id="{name}-t">{escape(title)}</title>'
            f'<desc id="{name}-d">{escape(description)}</desc>'
            f"{''.join(self._back)}{self._grid()}"
            f'<svg class="stretch" width="100%" height="{self.height}"'
            f' viewBox="0 0 {WIDE} {self.height}" preserveAspectRatio="none">{inner}</svg>'
            f"{''.join(self._front)}</svg></div>{below}"
        )

    def _grid(self) -> str:
        parts = []
        for value, text in self.y.ticks:
            y = self._py(value)
            parts.append(f'<line class="grid" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/>')
            parts.append(f'<text class="tick y" x="0" dx="-8" y="{y + 4:g}">{escape(text)}</text>')
        for number, (value, text) in enumerate(self.x.ticks):
            place = self._px(value)
            parts.append(f'<line class="grid" x1="{place}" x2="{place}" y1="0" y2="100%"/>')
            if self.bottom:
                # On a narrow page every other one is left out.
                odd = " odd" if number % 2 else ""
                parts.append(
                    f'<text class="tick x{odd}" x="{place}" y="{self.height + 17}">'
                    f"{escape(text)}</text>"
                )
        parts.append(f'<line class="base" x1="0" x2="100%" y1="{self.height}" y2="{self.height}"/>')
        return "".join(parts)


def lanes(x: Axis, rows: Sequence[Lane], name: str) -> str:
    """Bars over time, one row each, above a panel with the same axis."""
    if not rows:
        return ""
    parts = []
    for number, row in enumerate(rows):
        left, right = x.place(row.start), x.place(row.end)
        top = number * _LANE
        # Towards the right end, words would run off a narrow page.
        anchor, place = ("end", right) if left > 0.12 and right > 0.5 else ("start", left)
        parts.append(
            f'<text class="event-text" x="{place * 100:.2f}%" y="{top + 11}"'
            f' text-anchor="{anchor}">{escape(row.text)}</text>'
            f'<rect class="lane {row.tone}" x="{left * 100:.2f}%"'
            f' width="{max(right - left, 0.003) * 100:.2f}%" y="{top + 15}" height="5" rx="2.5"/>'
        )
    text = "; ".join(f"{r.text} from {r.start:.0f} s to {r.end:.0f} s" for r in rows)
    return (
        f'<div class="plot joined lanes"><svg role="img" aria-labelledby="{name}-t" width="100%"'
        f' height="{len(rows) * _LANE}"><title id="{name}-t">Events: {escape(text)}</title>'
        f"{''.join(parts)}</svg></div>"
    )
