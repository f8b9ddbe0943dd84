"""One family of a source as a catalogue entry: which series, labels and values come out.

Nothing here reads or writes; the collector calls ``labels`` once for each series that it has not
seen, and ``drops`` for each value of a family that has sentinels.
"""

import math
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from firsttoken.attributes import HW_ID, HW_PARENT
from firsttoken.catalogue import Metric
from firsttoken.exporters.schema import Instance, Merge, Part
from firsttoken.naming import label_name

__all__ = ["LabelRules", "Said", "Translation", "combine"]

_ID, _PARENT = HW_ID.name, HW_PARENT.name


class Said(NamedTuple):
    """What a series' labels say, before what its line adds of its own."""

    found: Mapping[str, str]
    """Attribute -> value."""
    others: tuple[tuple[str, str], ...]
    """Labels that the profile does not know, with their values."""
    part: str
    """The instance's own name, where the series is one's."""


@dataclass(frozen=True, slots=True)
class LabelRules:
    """What becomes of the labels of a family's series."""

    defaults: Mapping[str, str] = field(default_factory=dict)
    """Attribute -> value, where the source says nothing."""
    rename: Mapping[str, str | None] = field(default_factory=dict)
    """Label -> attribute; None drops the label.  Of two labels for one attribute the first with a
    value counts."""
    fallback: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Attribute -> labels; the first with a value gives it where no label of its own does."""
    translate: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Label -> value -> another value, or an empty one for a value that says nothing."""
    add: Mapping[str, str] = field(default_factory=dict)
    """Attribute -> value, whatever the source says."""
    where: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    """Label -> what its whole value must match; a missing label has an empty value."""
    instance: Instance | None = None
    per_device: bool = False
    """Whether the values are the device's, repeated on each of its instances."""
    reading: object = field(init=False, repr=False, compare=False)
    """One object for all rules that ``read`` alike."""
    same: object = field(init=False, repr=False, compare=False)
    """One object for all rules that are alike."""

    def __post_init__(self) -> None:
        reading = (
            *map(tuple, (self.rename.items(), self.fallback.items(), self.where.items())),
            tuple([(label, *values.items()) for label, values in self.translate.items()]),
            repr(self.instance),
            self.per_device,
        )
        added = (tuple(self.defaults.items()), tuple(self.add.items()))
        object.__setattr__(self, "reading", _one(reading))
        object.__setattr__(self, "same", _one((reading, added)))

    def apply(self, labels: Mapping[str, str]) -> dict[str, str] | None:
        """Attribute -> value of a series, or None for one that is not served."""
        said = self.read(labels)
        return None if said is None else self.complete(said)

    def read(self, labels: Mapping[str, str]) -> Said | None:
        """What the labels say, or None for a series that is not served."""
        if any(not rx.fullmatch(labels.get(label, "")) for label, rx in self.where.items()):
            return None
        part = self._part(labels)
        if part and self.per_device and self.instance:
            labels = {k: v for k, v in labels.items() if k not in self.instance.drop}
        found: dict[str, str] = {}
        for label, attribute in self.rename.items():
            if label not in labels or attribute is None or attribute in found:
                continue
            value = self._value(labels, label)
            if value:
                found[attribute] = value
        for attribute, others in self.fallback.items():
            if attribute in found:
                continue
            value = next((v for v in (self._value(labels, label) for label in others) if v), "")
            if value:
                found[attribute] = value
        # An empty label is no label.
        more = [item for item in labels.items() if item[1] and item[0] not in self.rename]
        return Said(found, tuple(more), part)

    def complete(self, said: Said) -> dict[str, str]:
        """What a series' labels say with what all series of these rules have."""
        found, others, part = said
        if others:
            # A name that a convention owns is not the source's to use.
            taken = {label_name(name) for name in (*self.defaults, *found, *self.add)}
            own = {f"exported_{name}" if name in taken else name: value for name, value in others}
            found = {**found, **own}
        out = {**self.defaults, **found, **self.add}
        if part and self.instance and not self.per_device and _ID in out:
            out[_PARENT] = out[_ID]
            out[_ID] = f"{out[_ID]}{self.instance.suffix}{part}"
        return out

    def _value(self, labels: Mapping[str, str], label: str) -> str:
        value = labels.get(label, "")
        other = self.translate.get(label)
        return other.get(value, value) if other else value

    def _part(self, labels: Mapping[str, str]) -> str:
        """The instance's own name, or an empty string for a whole device."""
        if self.instance is None:
            return ""
        whole = any(
            re.fullmatch(rx, labels.get(label, "")) for label, rx in self.instance.unless.items()
        )
        return "" if whole else labels.get(self.instance.label, "")


@lru_cache(maxsize=4096)
def _one(_: Hashable) -> object:
    """One object for all that are equal, which is quicker to look up by."""
    return object()


@dataclass(frozen=True, slots=True)
class Translation:
    """What a family of a page becomes.

    ``scale`` applies to the values of counters and gauges and to ``le`` and ``_sum`` of histograms,
    never to counts; None leaves the number's text as it is.  ``merge`` says what is true where
    several series of the *same family* come out as one: ``first`` and ``max`` and ``sum`` are for
    copies that the source is known to make (``combine`` does it); with ``refuse`` such a collision
    is a mistake, to be counted and reported, and no value may be made up.
    """

    metric: Metric
    scale: Decimal | None
    merge: Merge
    rules: LabelRules
    minimum: float = -math.inf
    below: float = math.inf
    part: Part | None = None
    """Of a histogram only this is read, as the value of a counter."""

    @property
    def has_sentinels(self) -> bool:
        """Whether ``drops`` can be true at all."""
        return self.minimum > -math.inf or self.below < math.inf

    def labels(self, source_labels: Mapping[str, str]) -> Mapping[str, str] | None:
        """Attribute -> value of a series (``le`` and ``quantile`` pass); None drops the series.

        A label that the profile does not know passes under its own name.
        """
        return self.rules.apply(source_labels)

    def drops(self, value: float) -> bool:
        """Whether a value, in the source's unit, stands for "not measured"; NaN does not."""
        return self.has_sentinels and not (self.minimum <= value < self.below or math.isnan(value))


def combine(merge: Merge, values: Iterable[float]) -> float | None:
    """The one value of series that came out as one, in the page's order.

    None where ``merge`` is ``refuse`` and there are several.  Of MIG slices that each repeat their
    board's value the ``first`` is as good as any; of the copies that a multi-process server leaves
    per ``pid``, all but one of them stale zeros, the ``max`` is the live one.
    """
    given = list(values)
    if not given:
        raise ValueError("no values to combine")
    if len(given) == 1 or merge == "first":
        return given[0]
    if merge == "refuse":
        return None
    return max(given) if merge == "max" else math.fsum(given)
