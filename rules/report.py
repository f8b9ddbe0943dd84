"""Compliance: how far each objective was kept over a time, from what Prometheus recorded."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from firsttoken import recorded
from firsttoken.config import format_duration
from firsttoken.errors import NotJudgedError
from firsttoken.prometheus import Prometheus, Series

__all__ = ["Line", "Report", "collect"]

_NOT_SHOWN = {recorded.SERVICE_LABEL, recorded.OBJECTIVE_LABEL, "__name__"}
_PARTS = 31
"""Into so many parts of equal length the time is cut at most, to show its course."""
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Line:
    """One objective of one model; shares are 0 to 1, times unix seconds.

    ``attained`` and what follows are None where nothing was measured.  ``trend`` is the share of
    the second half of the time less that of the first; ``course`` the share of each of its parts.
    ``covered`` is the share of the time for which Prometheus has data.
    """

    service: str
    objective: str
    of: str
    target: float
    kind: str = ""
    threshold: float | None = None
    attained: float | None = None
    budget_left: float | None = None
    worst: float | None = None
    worst_at: float | None = None
    trend: float | None = None
    events: float = 0.0
    bad_events: float = 0.0
    covered: float = 0.0
    course: tuple[float | None, ...] = ()

    @property
    def kept(self) -> bool | None:
        """Whether the objective was met; None where nothing was measured."""
        return None if self.attained is None else self.attained >= self.target - 1e-12


@dataclass(frozen=True, slots=True)
class Report:
    """All lines, the time that they are of, and which hours of it count."""

    start: float
    end: float
    part: float
    lines: tuple[Line, ...]
    hours: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether every objective was met; None where nothing is known of one and none missed."""
        found = {line.kept for line in self.lines}
        return False if False in found else None if None in found else True


def collect(
    prometheus: Prometheus,
    start: float,
    end: float,
    *,
    service: str = "",
    counts: Callable[[float], bool] | None = None,
    hours: str = "",
) -> Report:
    """The report of a time, in unix seconds; of one service where it is named.

    ``counts`` says of a moment whether it is within the hours, called ``hours``, that count.
    Raises NotJudgedError where Prometheus has no objectives, QueryError where it cannot be asked.
    """
    window = 3600 if end - start >= 6 * 3600 else 300
    name = format_duration(window)
    # A value at t covers the window before it, so the first one that counts is a window later.
    span = (start + window, max(end, start + window), float(window))
    asked = _Asked(prometheus, max(60, int(end - start)), end, service)
    targets = {_own(one): one.last for one in asked.over(recorded.OBJECTIVE)}
    if not targets:
        whose = f" of {service}" if service else ""
        raise NotJudgedError(
            f"Prometheus at {prometheus.url} has no objectives{whose} ({recorded.OBJECTIVE}) for"
            " that time; are the generated rules loaded?"
        )
    kinds = {_own(one): one.labels.get("kind", "") for one in asked.over(recorded.INFO)}
    thresholds = {_own(one): one.last for one in asked.over(recorded.THRESHOLD)}
    totals = _by_labels(prometheus.query_range(recorded.total(name), *span))
    bads = _by_labels(prometheus.query_range(recorded.bad(name), *span))
    part = _DAY if end - start >= 2 * _DAY else max(window, (end - start) / _PARTS)
    times = [at for at in _times(*span) if counts is None or counts(at - window / 2)]
    parts = _cut(times, start, part, end)
    lines = []
    for own, target in targets.items():
        head = Line(*own, "", target, kinds.get(own, ""), thresholds.get(own))
        found = _of(totals, own)
        lines += [
            _line(head, labels, points, bads.get(labels, {}), window, times, parts)
            for labels, points in found
        ] or [head]
    lines.sort(key=lambda line: (line.service, line.objective, line.of))
    return Report(start, end, part, tuple(lines), hours)


_Key = frozenset[tuple[str, str]]
_Own = tuple[str, str]
_Points = dict[float, float]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was recorded last within a time."""

    prometheus: Prometheus
    seconds: int
    end: float
    service: str

    def over(self, name: str) -> tuple[Series, ...]:
        """The last value of each series of a name."""
        query = f"last_over_time({name}[{self.seconds}s])"
        found = self.prometheus.query(query, at=self.end)
        return tuple(
            one for one in found if not self.service or one.labels.get("service") == self.service
        )


def _own(series: Series) -> _Own:
    return (
        series.labels.get(recorded.SERVICE_LABEL, ""),
        series.labels.get(recorded.OBJECTIVE_LABEL, ""),
    )


def _by_labels(series: Iterable[Series]) -> dict[_Key, _Points]:
    return {
        frozenset((k, v) for k, v in one.labels.items() if k != "__name__"): dict(one.points)
        for one in series
    }


def _of(totals: Mapping[_Key, _Points], own: _Own) -> list[tuple[_Key, _Points]]:
    wanted = {(recorded.SERVICE_LABEL, own[0]), (recorded.OBJECTIVE_LABEL, own[1])}
    return [(labels, points) for labels, points in totals.items() if wanted <= labels]


def _times(start: float, end: float, step: float) -> list[float]:
    return [round(start + n * step, 3) for n in range(int((end - start) / step) + 1)]


def _cut(times: Sequence[float], start: float, part: float, end: float) -> list[list[float]]:
    """The times of each part; one at a boundary is of the part that ends there."""
    count = max(1, round((end - start) / part))
    parts: list[list[float]] = [[] for _ in range(count)]
    for at in times:
        parts[min(count - 1, max(0, int((at - start - 1) // part)))].append(at)
    return parts


def _line(
    head: Line, labels: _Key, totals: _Points, bads: _Points, window: int,
    times: Sequence[float], parts: Sequence[Sequence[float]],
) -> Line:  # fmt: skip
    of = ", ".join(value for key, value in sorted(labels) if key not in _NOT_SHOWN)
    known = [at for at in times if at in totals]
    head = replace(
        head, of=of, events=sum(totals[at] for at in known) * window,
        bad_events=sum(bads.get(at, 0.0) for at in known) * window,
        covered=len(known) / len(times) if times else 0.0,
    )  # fmt: skip
    attained = _share(totals, bads, known)
    if attained is None:
        return head
    busy = [at for at in known if totals[at] > 0]
    worst = max(busy, key=lambda at: bads.get(at, 0.0) / totals[at])
    middle = len(known) // 2
    halves = [_share(totals, bads, part) for part in (known[:middle], known[middle:])]
    return replace(
        head,
        attained=attained,
        budget_left=1 - (1 - attained) / (1 - head.target),
        worst=1 - bads.get(worst, 0.0) / totals[worst],
        worst_at=worst,
        trend=None if halves[0] is None or halves[1] is None else halves[1] - halves[0],
        course=tuple(_share(totals, bads, part) for part in parts),
    )


def _share(totals: _Points, bads: _Points, times: Iterable[float]) -> float | None:
    """The share of good events, weighted by events."""
    known = [at for at in times if at in totals]
    total = sum(totals[at] for at in known)
    return None if total <= 0 else 1 - sum(bads.get(at, 0.0) for at in known) / total
