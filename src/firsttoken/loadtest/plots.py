"""The curve of a search and the front of a sweep as pictures of their own, SVG and PNG."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from firsttoken.loadgen.judge import parse_objective
from firsttoken.loadtest.schema import CapacityReport, Latency, Point, StepResult, SweepReport

__all__ = ["capacity_figure", "save", "sweep_figure"]

INK, MUTED, GRID = "#1f2329", "#6b7281", "#d8dce1"
GOOD, BAD, OPEN, LINE = "#15924f", "#cc2936", "#e07a12", "#2463eb"
SHAPES = ("#2463eb", "#e07a12", "#15924f", "#8b3fc7", "#cc2936", "#0f8b8d", "#7a5b1e", "#5b6472")
_VERDICT = {
    "holds": (GOOD, "o"), "fails": (BAD, "X"), "undecided": (OPEN, "D"), "not judged": (MUTED, "s"),
}  # fmt: skip
_NEAR = 4.0
"""Steps this many times below or above the capacity's interval are not drawn."""
_SETTINGS: Any = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.5,
    "axes.edgecolor": GRID, "axes.labelcolor": MUTED, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "axes.titlelocation": "left", "axes.titlesize": 10, "axes.titlecolor": INK,
    "grid.color": GRID, "grid.linewidth": 0.6, "xtick.color": MUTED, "ytick.color": MUTED,
    "text.color": INK, "legend.frameon": False, "legend.fontsize": 9, "savefig.facecolor": "white",
    "svg.hashsalt": "firsttoken",
}  # fmt: skip


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(_SETTINGS):
        yield


def save(figure: Figure, path: Path) -> None:
    """Write ``path`` with the endings .svg and .png."""
    with _style():
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
        figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})


# --- Capacity -------------------------------------------------------------------------------------


def capacity_figure(report: CapacityReport) -> Figure:
    """TTFT, TPOT, goodput and errors against the rate, with the capacity's interval."""
    steps = sorted(_near(report), key=lambda step: step.point.offered_rate)
    away = len(report.steps) - len(steps)
    elsewhere = f" ({away} further off: see the table)" if away else ""
    with _style():
        figure = Figure(figsize=(9, 6.4), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True)
        _latency(axes[0][0], steps, lambda one: one.ttft, "TTFT p95 (ms)")
        _latency(axes[0][1], steps, lambda one: one.tpot, "TPOT p95 (ms)")
        _goodput(axes[1][0], steps)
        _failures(axes[1][1], steps)
        for axis, metric in ((axes[0][0], "ttft"), (axes[0][1], "tpot")):
            _limits(axis, report, metric)
        for row in axes:
            for axis in row:
                _capacity(axis, report)
        for axis in axes[1]:
            axis.set_xlabel(f"requests per second{elsewhere}")
        labels = _legend(axes[0][0], report, steps)
        figure.legend(*labels, loc="outside lower center", ncols=len(labels[1]))
        figure.suptitle(report.headline, x=0.01, ha="left", fontsize=11)
    return figure


def _near(report: CapacityReport) -> list[StepResult]:
    """The steps that show the curve: a first guess far off would leave no room for it."""
    if report.low is None or report.high is None:
        return list(report.steps)
    lowest, highest = report.low / _NEAR, report.high * _NEAR
    return [step for step in report.steps if lowest <= step.point.offered_rate <= highest]


def _latency(
    axis: Axes, steps: Sequence[StepResult], of: Callable[[Point], Latency | None], title: str
) -> None:
    known = [(step, found) for step in steps if (found := of(step.point))]
    axis.plot(
        [step.point.offered_rate for step, _ in known], [one.p95 * 1000 for _, one in known],
        color=LINE, linewidth=1, zorder=1,
    )  # fmt: skip
    for step, one in known:
        colour, marker = _VERDICT[step.verdict]
        x, y = step.point.offered_rate, one.p95 * 1000
        if one.p95_low is not None and one.p95_high is not None:
            axis.plot([x, x], [one.p95_low * 1000, one.p95_high * 1000], color=colour, linewidth=2)
        axis.plot([x], [y], color=colour, marker=marker, markersize=6, linestyle="", zorder=3)
    axis.set_title(title)
    axis.set_yscale("log")
    _plain(axis)


def _limits(axis: Axes, report: CapacityReport, metric: str) -> None:
    """What the objectives allow, each as a line."""
    for one in map(parse_objective, report.objectives):
        if one.metric == metric and one.threshold is not None:
            axis.axhline(one.threshold * 1000, color=BAD, linewidth=1, linestyle=(0, (4, 3)))
            axis.annotate(
                f"{one.target * 100:g} % within", (0, one.threshold * 1000),
                xycoords=("axes fraction", "data"), xytext=(4, 3), textcoords="offset points",
                fontsize=8, color=BAD,
            )  # fmt: skip


def _goodput(axis: Axes, steps: Sequence[StepResult]) -> None:
    known = [(step, step.point.goodput) for step in steps if step.point.goodput is not None]
    axis.plot(
        [step.point.offered_rate for step, _ in known], [good for _, good in known],
        color=LINE, linewidth=1, zorder=1,
    )  # fmt: skip
    for step, good in known:
        colour, marker = _VERDICT[step.verdict]
        x, at = step.point.offered_rate, step.point
        if at.goodput_low is not None and at.goodput_high is not None:
            axis.plot([x, x], [at.goodput_low, at.goodput_high], color=colour, linewidth=2)
        axis.plot([x], [good], color=colour, marker=marker, markersize=6, linestyle="", zorder=3)
    axis.set_title("goodput (requests/s that met every objective)")
    axis.set_ylim(bottom=0)


def _failures(axis: Axes, steps: Sequence[StepResult]) -> None:
    known = [step for step in steps if step.point.requests]
    for step in known:
        colour, marker = _VERDICT[step.verdict]
        share = 100 * step.point.failed / step.point.requests
        axis.plot(
            [step.point.offered_rate], [share], color=colour, marker=marker, markersize=6,
            linestyle="", clip_on=False, zorder=3,
        )  # fmt: skip
    axis.set_title("failed requests (%)")
    axis.set_ylim(0, max(1.0, axis.get_ylim()[1]))


def _capacity(axis: Axes, report: CapacityReport) -> None:
    axis.set_xscale("log")
    if report.low is not None and report.high is not None:
        axis.axvspan(report.low, report.high, color=GOOD, alpha=0.15, linewidth=0, zorder=0)
    if report.estimate is not None:
        axis.axvline(report.estimate, color=GOOD, linewidth=1.2, zorder=0)
    _plain(axis)


def _legend(
    axis: Axes, report: CapacityReport, steps: Sequence[StepResult]
) -> tuple[list[Any], list[str]]:
    found = dict.fromkeys(step.verdict for step in steps)
    marks: list[Any] = [
        axis.plot([], [], color=colour, marker=marker, linestyle="", markersize=6)[0]
        for verdict in found
        for colour, marker in (_VERDICT[verdict],)
    ]
    names = [str(verdict) for verdict in found]
    if report.estimate is not None:
        marks.append(axis.axvspan(0, 0, color=GOOD, alpha=0.15))
        names.append(f"capacity, {report.confidence * 100:g} % interval")
    return marks, names


def _plain(axis: Axes) -> None:
    """Numbers on a logarithmic axis as people write them."""
    for one in (axis.xaxis, axis.yaxis):
        if one.get_scale() == "log":
            one.set_major_locator(LogLocator(subs=(1, 2, 5)))
            one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            one.set_minor_formatter(NullFormatter())


# --- Sweep ----------------------------------------------------------------------------------------


def sweep_figure(report: SweepReport) -> Figure:
    """Output rate against TTFT and TPOT, a colour for each shape of request, fronts as lines."""
    shapes = list(dict.fromkeys((one.prompt_tokens, one.output_tokens) for one in report.points))
    with _style():
        figure = Figure(figsize=(9, 4.2), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, name, members in (
            (axes[0], "ttft", report.front_ttft), (axes[1], "tpot", report.front_tpot),
        ):  # fmt: skip
            for colour, shape in zip(SHAPES * len(shapes), shapes, strict=False):
                _shape(axis, report, name, members, shape, colour)
            axis.set_xlabel(f"{name.upper()} p95 (ms)")
            axis.set_xscale("log")
            axis.margins(x=0.1, y=0.08)
            axis.set_ylim(bottom=0)
            _plain(axis)
        axes[0].set_ylabel("output tokens per second")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels) or 1))
        title = f"{report.model}: throughput against latency; filled points are on the front"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def _shape(
    axis: Axes, report: SweepReport, name: str, members: Sequence[int],
    shape: tuple[int | None, int | None], colour: str,
) -> None:  # fmt: skip
    own = [
        (latency.p95 * 1000, one.output_rate, one, place)
        for place, one in enumerate(report.points)
        if (one.prompt_tokens, one.output_tokens) == shape
        and (latency := getattr(one, name)) is not None
    ]
    front = sorted((x, y) for x, y, _, place in own if place in members)
    lengths = [f"{n} {side}" for n, side in zip(shape, ("in", "out"), strict=True) if n is not None]
    axis.plot(
        [x for x, _ in front], [y for _, y in front], color=colour, linewidth=1.3,
        label=", ".join(lengths) or "all loads",
    )  # fmt: skip
    for x, y, one, place in own:
        face = colour if place in members else "white"
        axis.plot([x], [y], marker="o", color=colour, markerfacecolor=face, linestyle="", zorder=3)
        text = f"{one.rate:g}/s" if one.rate is not None else f"{one.concurrency} users"
        axis.annotate(
            text, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8, color=MUTED
        )
