"""All figures of a report, in the order in which they are read."""

from dataclasses import dataclass, replace

from firsttoken.loadgen.records import Run
from firsttoken.report import axis, over_time, server_side, shapes
from firsttoken.report.figure import Figure
from firsttoken.report.schema import Report

__all__ = ["Section", "sections"]


@dataclass(frozen=True, slots=True)
class Section:
    """Figures under one heading; ``name`` is its anchor on the page."""

    name: str
    title: str
    figures: tuple[Figure, ...]


def sections(report: Report, run: Run) -> tuple[Section, ...]:
    """The figures that the data allow; none where no request was sent."""
    sent = [r for r in run.records if r.sent is not None]
    if not sent:
        return ()
    x = axis.time(max(r.ended or r.sent or 0.0 for r in sent))
    answered = any(record.ok for record in run.records)
    client = (
        over_time.latency(report, run, x) if answered else None,
        over_time.throughput(report, run, x),
        over_time.heatmap(report, run, x),
        over_time.errors(run, x),
    )
    shown = (
        *(shapes.distribution(report, run, metric) for metric in ("ttft", "tpot", "e2e")),
        shapes.gaps(run),
        shapes.ttft_by_prompt(report, run),
        shapes.tpot_by_concurrency(report, run),
    )
    server = (
        server_side.queue(report, run, x),
        server_side.cache(report, run, x),
        server_side.batch(report, run, x),
        server_side.gpu(report, run, x),
        server_side.stages(report, run),
        over_time.lag(report, run, x),
    )
    every = (
        Section("over-time", "Over time", _there(client)),
        Section("distributions", "Distributions", _there(shown)),
        Section("server", "Server and load generator", _there(server)),
    )
    return tuple(section for section in every if section.figures)


def _there(figures: tuple[Figure | None, ...]) -> tuple[Figure, ...]:
    """Those that there are; one that would stand alone in its row takes all of it."""
    found = [figure for figure in figures if figure is not None]
    if found and sum(not figure.wide for figure in found) % 2:
        found[-1] = replace(found[-1], wide=True)
    return tuple(found)
