"""The collector's own metrics: how it is itself, and how each of its sources is.

They are values like those of any source, so that they are merged and written in the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from firsttoken.catalogue import (
    COLLISIONS,
    CONFIG_LOADED,
    ERROR_TYPE,
    FAMILY_OUTCOME,
    OTLP_OUTCOME,
    OTLP_POINTS,
    OTLP_WAITING,
    SOURCE,
    SOURCE_AGE,
    SOURCE_CACHED,
    SOURCE_DROPPED,
    SOURCE_DURATION,
    SOURCE_ERROR_TIME,
    SOURCE_FAILURES,
    SOURCE_FAMILIES,
    SOURCE_RESTARTS,
    SOURCE_SAMPLES,
    SOURCE_SIZE,
    SOURCE_UP,
    Metric,
)
from firsttoken.collector.page import Kind, Labels, Reading, Role, Shape
from firsttoken.collector.translate import Member, Offer
from firsttoken.naming import unit_suffix

__all__ = ["Health", "Sending", "Vitals"]

_OUTCOMES = FAMILY_OUTCOME.values


@dataclass(frozen=True, slots=True)
class Vitals:
    """How one source is; times in seconds."""

    up: bool
    duration: float
    samples: int = 0
    size: int = 0
    age: float | None = None
    """Since it was last read whole; None if it never was."""
    restarts: int = 0
    dropped: int = 0
    cached: int = 0
    families: Mapping[str, int] = field(default_factory=dict)
    """Outcome -> how many of the page's families have it."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many scrapes failed for it."""
    failed_at: Mapping[str, float] = field(default_factory=dict)
    """Reason -> unix time of the last such failure."""


@dataclass(slots=True)
class Sending:
    """How pushing goes: points by what became of them, and scrapes that wait to be sent.

    ``dropped``: the queue was full.  ``rejected``: the receiver did not take them.  ``left_out``:
    samples that OTLP cannot say.
    """

    sent: int = 0
    dropped: int = 0
    rejected: int = 0
    left_out: int = 0
    waiting: int = 0


class Health:
    """The families for certain sources.  While their series are the same, so is their shape."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = tuple(sources)
        self._layout: tuple[tuple[Metric, Labels], ...] = ()
        self.shape = Shape((), 0)
        self.offers: tuple[Offer, ...] = ()
        self.one = 0
        """The place of a value that is always 1."""

    def reading(
        self,
        vitals: Sequence[Vitals],
        *,
        collisions: int = 0,
        loaded: bool = True,
        sending: Sending | None = None,
    ) -> Reading:
        """The families' values for one scrape of all sources, in the order configured."""
        rows = [
            (CONFIG_LOADED, (), float(loaded)),
            (COLLISIONS, (), float(collisions)),
            *_sending_rows(sending),
            *_rows(self._sources, vitals),
        ]
        layout = tuple([(metric, labels) for metric, labels, _ in rows])
        if layout != self._layout:
            self._lay_out(layout)
        numbers = [*(number for _, _, number in rows), 1.0]
        return Reading(self.shape, [_text(number) for number in numbers], numbers)

    def _lay_out(self, layout: tuple[tuple[Metric, Labels], ...]) -> None:
        self._layout = layout
        self.one = len(layout)
        self.shape = Shape((), len(layout) + 1)
        families: dict[str, tuple[Metric, list[Member]]] = {}
        for place, (metric, labels) in enumerate(layout):
            member = Member(Role.VALUE, labels, (place,))
            families.setdefault(metric.name, (metric, []))[1].append(member)
        self.offers = tuple(
            Offer(
                metric.prometheus,
                metric.dotted,
                Kind(metric.instrument.prometheus_type),
                metric.help,
                unit_suffix(metric.unit),
                tuple(members),
                metric,
            )
            for metric, members in families.values()
        )


def _sending_rows(sending: Sending | None) -> list[tuple[Metric, Labels, float]]:
    if sending is None:
        return []
    rows: list[tuple[Metric, Labels, float]] = [(OTLP_WAITING, (), float(sending.waiting))]
    for outcome in OTLP_OUTCOME.values:
        labels = ((OTLP_OUTCOME.name, outcome),)
        rows.append((OTLP_POINTS, labels, float(getattr(sending, outcome))))
    return rows


def _rows(sources: Sequence[str], vitals: Sequence[Vitals]) -> list[tuple[Metric, Labels, float]]:
    """Metric, labels and number of each series."""
    rows: list[tuple[Metric, Labels, float]] = []
    for name, each in zip(sources, vitals, strict=True):
        own: Labels = ((SOURCE.name, name),)
        rows += (
            (SOURCE_UP, own, float(each.up)),
            (SOURCE_DURATION, own, each.duration),
            (SOURCE_SAMPLES, own, float(each.samples)),
            (SOURCE_SIZE, own, float(each.size)),
            (SOURCE_RESTARTS, own, float(each.restarts)),
            (SOURCE_DROPPED, own, float(each.dropped)),
            (SOURCE_CACHED, own, float(each.cached)),
        )
        if each.age is not None:
            rows.append((SOURCE_AGE, own, each.age))
        for outcome in _OUTCOMES:
            labels = (*own, (FAMILY_OUTCOME.name, outcome))
            rows.append((SOURCE_FAMILIES, labels, float(each.families.get(outcome, 0))))
        for reason, count in each.failures.items():
            labels = (*own, (ERROR_TYPE.name, reason))
            rows.append((SOURCE_FAILURES, labels, float(count)))
            rows.append((SOURCE_ERROR_TIME, labels, each.failed_at[reason]))
    return rows


def _text(number: float) -> bytes:
    return b"%d" % number if number.is_integer() else b"%.6f" % number
