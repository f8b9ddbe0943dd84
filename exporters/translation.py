"""One family of a source as a catalogue entry: which series, labels and values come out.

Nothing here reads or writes; the collector calls ``labels`` once for each series that it has not
seen, and ``drops`` for each value of a family that has sentinels.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from firsttoken.attributes import HW_ID, HW_PARENT
from firsttoken.catalogue import Metric
from firsttoken.exporters.schema import Instance, Merge, Part
from firsttoken.naming import label_name

__all__ = ["LabelRules", "Translation", "combine"]

_ID, _PARENT = HW_ID.name, HW_PARENT.name


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

    def apply(self, labels: Mapping[str, str]) -> dict[str, str] | None:
        """Attribute -> value of a series, or None for one that is not served."""
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
        taken = {label_name(name) for name in (*self.defaults, *found, *self.add)}
        for label, value in labels.items():
            # An empty label is no label; a name that a convention owns is not the source's to use.
            if value and label not in self.rename:
                found[f"exported_{label}" if label in taken else label] = value
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
