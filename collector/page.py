"""What a source's page says, as values: series, families, and one reading of them.

Families are named as in Prometheus' text format, whichever format the page had: a counter's name
includes ``_total``, an info metric's ``_info``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

__all__ = [
    "Family",
    "Kind",
    "Labels",
    "Layout",
    "LimitError",
    "MalformedError",
    "Reading",
    "Role",
    "Series",
    "Shape",
    "apart",
]

Labels = tuple[tuple[str, str], ...]
"""Label names and values, unescaped, in the page's order; an empty value is no label."""


class MalformedError(ValueError):
    """Raised when a page cannot be read; the text says what and where."""


class LimitError(MalformedError):
    """Raised when a page is larger than the configuration allows."""


class Kind(StrEnum):
    """The type of a family, in OpenMetrics' words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    GAUGE_HISTOGRAM = "gaugehistogram"
    SUMMARY = "summary"
    INFO = "info"
    STATESET = "stateset"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """What a sample is within its family; the value is its suffix."""

    VALUE = ""
    BUCKET = "_bucket"
    COUNT = "_count"
    SUM = "_sum"
    CREATED = "_created"
    GCOUNT = "_gcount"
    GSUM = "_gsum"


class Series(NamedTuple):
    """The identity of one line of a page.  The same identity is the same object in every scrape."""

    name: str
    labels: Labels


@dataclass(slots=True, eq=False)
class Layout:
    """Which samples a family has, in their order; families with the same ones share it.

    It never changes; a frozen one takes several times as long to make, and a page has dozens.
    Many do: each gauge of a server, each histogram with the same buckets.  So what is worked out
    for labels is worked out for a layout, once.
    """

    roles: tuple[Role, ...]
    labels: tuple[Labels, ...]
    metric: Labels | None = None
    """The labels of a family that is one metric of several samples, less each bucket's bound."""
    bounds: tuple[tuple[str, str] | None, ...] = ()
    """Then each bucket's bound, the label ``le``, and None for every other sample."""


class Family(NamedTuple):
    """A metric family; ``places`` are those of its samples in the reading's values."""

    name: str
    kind: Kind
    help: str | None
    unit: str
    layout: Layout
    places: Sequence[int]

    @property
    def samples(self) -> Iterator[tuple[int, Role, Labels]]:
        """Place, role and labels of each sample."""
        return zip(self.places, self.layout.roles, self.layout.labels, strict=True)


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Everything about a page but its values.

    While a source's page has the same shape, each reading of it has the same object, so that what
    was worked out for a shape can be kept by identity.
    """

    families: tuple[Family, ...]
    size: int
    """How many values a reading has."""
    openmetrics: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The names of the families."""
        return frozenset(family.name for family in self.families)


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One scrape of one source, read whole."""

    shape: Shape
    values: Sequence[bytes]
    """The numbers' text as on the page."""
    numbers: Sequence[float]
    timestamps: Mapping[int, bytes] = field(default_factory=dict)
    """Place -> timestamp's text, in seconds in OpenMetrics and milliseconds in the text format."""
    exemplars: Mapping[int, bytes] = field(default_factory=dict)
    """Place -> ``{labels} value [timestamp]``."""


def apart(labels: Labels, bound: str) -> tuple[Labels, tuple[str, str] | None]:
    """The labels without ``bound``, and that."""
    if labels and labels[-1][0] == bound:
        return labels[:-1], labels[-1]
    for place, item in enumerate(labels):
        if item[0] == bound:
            return labels[:place] + labels[place + 1 :], item
    return labels, None
