"""Figures as SVG for a page: text stays text, and colours are the page's, so that both its light
and its dark style apply.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from firsttoken.report.figure import Picture

__all__ = ["COLOURS", "axes", "style", "svg"]

COLOURS = {
    "ink": "#1f2329",
    "muted": "#6b7281",
    "grid": "#d8dce1",
    "client": "#2463eb",
    "server": "#e07a12",
    "good": "#15924f",
    "bad": "#cc2936",
    "shade": "#eef0f3",
}
"""Each is written into the picture as ``var(--plot-NAME)``."""

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": COLOURS["grid"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": COLOURS["ink"],
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": COLOURS["ink"],
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "timezone": "UTC",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the house style inside the block."""
    with mpl.rc_context(_SETTINGS):
        yield


def axes(rows: int = 1, *, width: float = 6.4, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """A figure without a window, ``rows`` plots above one another on one axis; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    made = figure.subplots(rows, 1, sharex=True, squeeze=False)
    return figure, [row[0] for row in made]


def svg(figure: Figure, name: str, title: str, caption: str) -> Picture:
    """The figure as an accessible SVG element without a fixed size."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # Names inside a picture must not meet those of another one on the same page.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", text)
    text = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1system-ui, sans-serif", text)
    for key, colour in COLOURS.items():
        text = text.replace(colour, f"var(--plot-{key})")
    head = f'<svg role="img" aria-labelledby="{name}-title" '
    text = text.replace("<svg ", head, 1)
    text = re.sub(r"(<svg[^>]*>)", rf'\1<title id="{name}-title">{title}</title>', text, count=1)
    return Picture(name, title, caption, text)
