"""The run as Prometheus remembers it: the server's series over time, and what happened when."""

from collections.abc import Callable, Iterator, Sequence

from firsttoken import catalogue, promql
from firsttoken.config import format_duration
from firsttoken.prometheus import Prometheus, QueryError, Series
from firsttoken.promql import Matcher, Scope
from firsttoken.report import series as names
from firsttoken.report.schema import Event, Point
from firsttoken.validate.stack import JOB

__all__ = ["Stretch", "events", "own", "series"]

_GAPS = 1.6
"""Samples further apart than this many steps are two stretches."""
_MOST_EVENTS = 8


class Stretch:
    """A stretch of Prometheus' time, in seconds since ``start`` (unix) for everyone else."""

    def __init__(self, prometheus: Prometheus, start: float, end: float, step: float) -> None:
        self._prometheus = prometheus
        self.start, self.end, self.step = start, end, step

    def query(self, expression: str) -> tuple[Series, ...]:
        """The series of an expression; none where Prometheus refuses it."""
        try:
            return self._prometheus.query_range(expression, self.start, self.end, self.step)
        except QueryError:
            return ()  # a plot without this line says so itself

    def points(self, found: Series) -> tuple[Point, ...]:
        """A series' points on the clock of the run."""
        return tuple((round(at - self.start, 3), value) for at, value in found.points)

    def spells(self, found: Series) -> Iterator[tuple[float, float]]:
        """When a series had samples: (start, end) of each unbroken stretch."""
        begin = last = None
        for at, _ in self.points(found):
            if last is not None and at - last > _GAPS * self.step:
                yield begin or 0.0, last
                begin = None
            begin, last = at if begin is None else begin, at
        if last is not None:
            yield begin or 0.0, last


def series(stretch: Stretch, model: str) -> dict[str, tuple[Point, ...]]:
    """What the server and its GPUs reported over time; what is not reported is left out."""
    scope = Scope((Matcher(catalogue.REQUEST_MODEL.name, model),))
    everywhere = Scope()
    output = scope.matching(Matcher("gen_ai.token.type", "output"))
    window = format_duration(max(2.0, 4 * stretch.step))
    steps = catalogue.find("gen_ai.server.iteration.tokens")
    # Video units have a utilisation of their own, and stand idle.
    computing = everywhere.matching(Matcher("hw.gpu.task", "general|", "=~"))
    used, limit, free = (
        promql.gauge(metric, everywhere)
        for metric in (
            catalogue.GPU_MEMORY_USAGE,
            catalogue.GPU_MEMORY_LIMIT,
            catalogue.GPU_MEMORY_FREE,
        )
    )
    asked: dict[str, Callable[[], str]] = {
        names.RUNNING: lambda: promql.gauge(catalogue.REQUESTS_RUNNING, scope),
        names.WAITING: lambda: promql.gauge(catalogue.REQUESTS_WAITING, scope),
        names.KV_CACHE: lambda: promql.gauge(catalogue.KV_CACHE_UTILIZATION, scope, "max"),
        names.HIT_RATIO: lambda: promql.divide(
            promql.rate(catalogue.PREFIX_CACHE_HITS, window, scope),
            promql.rate(catalogue.PREFIX_CACHE_QUERIES, window, scope),
        ),
        names.OUTPUT_RATE: lambda: promql.rate(catalogue.TOKENS_PROCESSED, window, output),
        names.GPU_BUSY: lambda: promql.gauge(catalogue.GPU_UTILIZATION, computing, "avg"),
        names.GPU_BUSIEST: lambda: promql.gauge(catalogue.GPU_UTILIZATION, computing, "max"),
        names.GPU_MEMORY: lambda: f"{used} / ({limit} or ({used} + {free}) > 0)",
        names.GPU_POWER: lambda: promql.gauge(catalogue.POWER, everywhere),
    }
    if steps is not None:
        asked[names.BATCH] = lambda: promql.mean(steps, window, scope)
    found = {}
    for name, expression in asked.items():
        lines = stretch.query(expression())
        if lines:
            found[name] = stretch.points(lines[0])
    return found


def events(stretch: Stretch, service: str, model: str) -> tuple[Event, ...]:
    """Alerts that fired, restarts and sources that were down, in the order of their beginning."""
    found = [*_alerts(stretch, service), *_restarts(stretch, model), *_down(stretch)]
    return tuple(sorted(found, key=lambda event: (event.start, event.text)))[:_MOST_EVENTS]


def _alerts(stretch: Stretch, service: str) -> Iterator[Event]:
    where = f'{{alertstate="firing", service={promql.quote(service)}, severity!="none"}}'
    # One of an objective's tiers says it all: they fire one after the other.
    firing = stretch.query(f"count by (alertname, slo) (ALERTS{where})")
    for one in firing:
        of = f" ({one.labels['slo']})" if one.labels.get("slo") else ""
        for start, end in stretch.spells(one):
            text = f"alert {one.labels.get('alertname', '?')}{of} fires"
            yield Event(kind="alert", text=text, start=start, end=end)


def _restarts(stretch: Stretch, model: str) -> Iterator[Event]:
    scope = Scope((Matcher(catalogue.REQUEST_MODEL.name, model),))
    window = format_duration(max(2.0, 4 * stretch.step))
    tokens = promql.selector(catalogue.TOKENS_PROCESSED, scope, window=window)
    for one in stretch.query(f"max(resets({tokens})) > 0"):
        for start, _ in stretch.spells(one):
            yield Event(kind="restart", text="the engine restarted", start=start)


def _down(stretch: Stretch) -> Iterator[Event]:
    label = catalogue.SOURCE.label
    up = promql.selector(catalogue.SOURCE_UP, Scope())
    for one in stretch.query(f"min by ({label}) ({up}) == 0"):
        for start, end in stretch.spells(one):
            text = f"source {one.labels.get(label, '?')} cannot be read"
            yield Event(kind="source", text=text, start=start, end=end)
    for one in stretch.query(f"up{{job={promql.quote(JOB)}}} == 0"):
        for start, end in stretch.spells(one):
            yield Event(kind="source", text="the collector cannot be scraped", start=start, end=end)


def own(measure: tuple[float, float], stops: Sequence[tuple[float, str]]) -> tuple[Event, ...]:
    """What is known without Prometheus: the phases, and what ended the load before its time."""
    start, end = measure
    phases = [Event(kind="phase", text="warm-up", start=0.0, end=start)] if start > 0 else []
    phases.append(Event(kind="phase", text="measured", start=start, end=end))
    return (*phases, *(Event(kind="stop", text=text, start=at) for at, text in stops))
