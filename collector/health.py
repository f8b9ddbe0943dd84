"""The collector's own metrics: whether each source was read, how long it took, how much it said."""

from collections.abc import Sequence

from firsttoken.catalogue import SOURCE, SOURCE_DURATION, SOURCE_SAMPLES, SOURCE_UP
from firsttoken.collector.page import Kind, Reading, Role, Shape
from firsttoken.collector.source import Result
from firsttoken.collector.translate import Member, Offer
from firsttoken.naming import unit_suffix

__all__ = ["health_offers", "health_reading"]

_METRICS = (SOURCE_UP, SOURCE_DURATION, SOURCE_SAMPLES)


def health_offers(sources: Sequence[str]) -> tuple[Shape, tuple[Offer, ...]]:
    """The families, with one series a source, and the shape of their readings."""
    offers = tuple(
        Offer(
            metric.prometheus,
            metric.dotted,
            Kind.GAUGE,
            metric.help,
            unit_suffix(metric.unit),
            tuple(
                Member(Role.VALUE, ((SOURCE.name, name),), (row * len(sources) + place,))
                for place, name in enumerate(sources)
            ),
            metric,
        )
        for row, metric in enumerate(_METRICS)
    )
    return Shape((), len(_METRICS) * len(sources)), offers


def health_reading(shape: Shape, results: Sequence[Result]) -> Reading:
    """The families' values for one scrape of all sources."""
    numbers = [
        *(float(result.up) for result in results),
        *(result.duration for result in results),
        *(float(result.reading.shape.size if result.reading else 0) for result in results),
    ]
    texts = [f"{n:.6f}".rstrip("0").rstrip(".").encode() or b"0" for n in numbers]
    return Reading(shape, texts, numbers)
