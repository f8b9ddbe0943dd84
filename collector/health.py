"""The collector's own metrics: how it is itself, and how each of its sources is.

They are values like those of any source, so that they are merged and written in the same way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

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
from firsttoken.collector.translate import Member, Offer, layout_of
from firsttoken.naming import unit_suffix

__all__ = ["Health", "Sending", "Vitals"]

_OUTCOMES = FAMILY_OUTCOME.values


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Vitals(NamedTuple):
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
    families: Mapping[str, int] = _NOTHING
    """Outcome -> how many of the page's families have it."""
    failures: Mapping[str, int] = _NOTHING
    """Reason -> how many scrapes failed for it."""
    failed_at: Mapping[str, float] = _NOTHING
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


_PLAIN: tuple[tuple[Metric, str], ...] = (
    (SOURCE_UP, "up"),
    (SOURCE_DURATION, "duration"),
    (SOURCE_SAMPLES, "samples"),
    (SOURCE_SIZE, "size"),
    (SOURCE_RESTARTS, "restarts"),
    (SOURCE_DROPPED, "dropped"),
    (SOURCE_CACHED, "cached"),
)
"""What there is one number of for each source, always: metric, and field of ``Vitals``."""
_plain = attrgetter(*[name for _, name in _PLAIN])


class Health:
    """The families for certain sources.  While their series are the same, so is their shape."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = tuple(sources)
        self._kinds: object = None
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
        rows: list[tuple[Metric, Labels, float]] = [
            (CONFIG_LOADED, (), float(loaded)),
            (COLLISIONS, (), float(collisions)),
            *_sending_rows(sending),
        ]
        # Of all that is told only this can change which series there are.
        kinds = [len(rows), *((each.age is None, *each.failures) for each in vitals)]
        if kinds != self._kinds:
            self._kinds = kinds
            first = [(metric, labels) for metric, labels, _ in rows]
            self._lay_out([*first, *self._series(vitals)])
        numbers = [number for _, _, number in rows]
        for each in vitals:
            numbers += _numbers(each)
        numbers.append(1.0)
        return Reading(self.shape, list(map(_text, numbers)), numbers)

    def _series(self, vitals: Sequence[Vitals]) -> Iterator[tuple[Metric, Labels]]:
        """Metric and labels of each number, in the order of ``_numbers``."""
        for name, each in zip(self._sources, vitals, strict=True):
            own: Labels = ((SOURCE.name, name),)
            yield from ((metric, own) for metric, _ in _PLAIN)
            yield from ((SOURCE_FAMILIES, (*own, (FAMILY_OUTCOME.name, o))) for o in _OUTCOMES)
            if each.age is not None:
                yield SOURCE_AGE, own
            for reason in each.failures:
                labels = (*own, (ERROR_TYPE.name, reason))
                yield from ((SOURCE_FAILURES, labels), (SOURCE_ERROR_TIME, labels))

    def _lay_out(self, layout: Sequence[tuple[Metric, Labels]]) -> None:
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
                layout_of(members),
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


def _numbers(each: Vitals) -> Iterator[float]:
    """A source's numbers, in the order of ``_series``."""
    yield from map(float, _plain(each))
    yield from [float(each.families.get(outcome, 0)) for outcome in _OUTCOMES]
    if each.age is not None:
        yield each.age
    for reason, count in each.failures.items():
        yield float(count)
        yield each.failed_at[reason]


def _text(number: float) -> bytes:
    return b"%d" % number if number.is_integer() else b"%.6f" % number
