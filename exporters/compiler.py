"""A profile's file to a profile; what cannot be right is refused with file and line."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import yaml

from firsttoken.catalogue import OPERATION, PROVIDER, Instrument, Metric, Requirement
from firsttoken.config import load_yaml
from firsttoken.errors import ConfigError
from firsttoken.exporters.schema import Kind, MetricLine, ProfileFile
from firsttoken.exporters.table import Known, Line, Profile, key
from firsttoken.exporters.translation import LabelRules
from firsttoken.exporters.units import factor

__all__ = ["DEFAULT_OPERATION", "compile_file"]

DEFAULT_OPERATION = "chat"
"""No server reports the operation, which the conventions require; a target can say another."""

_UNTYPED = ("unknown", "untyped")
_KINDS: Mapping[Kind, frozenset[str]] = {
    "counter": frozenset({"counter", *_UNTYPED}),
    "gauge": frozenset({"gauge", *_UNTYPED}),
    "histogram": frozenset({"histogram"}),
    "any": frozenset({"counter", "gauge", *_UNTYPED}),
}


def compile_file(path: Path, include: Callable[[str], Profile]) -> Profile:
    """The profile of a file; ``include`` finds the profiles that it includes by name.

    Raises ConfigError with a sentence for each mistake.
    """
    file = load_yaml(path, ProfileFile)
    numbers = _line_numbers(path)
    own = [_line(file, line, number) for line, number in zip(file.metrics, numbers, strict=True)]
    inherited = [line for name in file.include for line in _included(file, include(name))]
    lines = (*own, *inherited)
    problems = [*_missing_attributes(own), *_doubled(file.name, lines)]
    if problems:
        raise ConfigError(path, [f"line {number}: {text}" for number, text in sorted(problems)])
    known = [Known(re.compile(line.match), line.why) for line in file.known]
    known += [known for name in file.include for known in include(name).known]
    return Profile(
        name=file.name,
        title=file.title,
        provider=file.provider,
        detects=tuple(re.compile(rx) for rx in file.detect),
        lines=lines,
        known=tuple(known),
        ignore_case=file.ignore_case,
        url=file.url,
    )


def _line_numbers(path: Path) -> list[int]:
    """The line of the file on which each entry of ``metrics`` begins."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=loader)
    for name, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if name.value == "metrics":
            return [item.start_mark.line + 1 for item in value.value]
    return []


def _line(file: ProfileFile, line: MetricLine, number: int) -> Line:
    metric = line.metric
    has = {attribute.name for attribute in metric.attributes}
    defaults = {OPERATION.name: DEFAULT_OPERATION, PROVIDER.name: file.provider}
    shared = {name: value for name, value in file.add.items() if name in has}
    values = line.values or file.values
    return Line(
        source=line.source,
        names=_names(file, line.source),
        kinds=_KINDS["histogram" if line.part else line.type or _natural_kind(metric)],
        metric=metric,
        part=line.part,
        scale=_scale(line, metric),
        merge="first" if line.scope == "device" and line.merge == "refuse" else line.merge,
        rules=LabelRules(
            defaults={
                **{name: value for name, value in defaults.items() if name in has and value},
                **line.default,
            },
            # The line's own labels come first, so that they win over the file's.
            rename={
                **line.labels,
                **{k: v for k, v in file.labels.items() if k not in line.labels},
            },
            fallback={name: labels for name, labels in file.fallback.items() if name in has},
            translate={**file.translate, **line.translate},
            add={**shared, **line.add},
            where={label: re.compile(rx) for label, rx in line.where.items()},
            instance=file.instance,
            per_device=line.scope == "device",
        ),
        minimum=-math.inf if values.min is None else values.min,
        below=math.inf if values.below is None else values.below,
        superseded_by=frozenset().union(*(_names(file, name) for name in line.superseded_by)),
        since=line.since,
        until=line.until,
        optional=line.optional,
        note=line.note,
        profile=file.name,
        number=number,
    )


def _natural_kind(metric: Metric) -> Kind:
    if metric.instrument is Instrument.HISTOGRAM:
        return "histogram"
    return "counter" if metric.instrument is Instrument.COUNTER else "gauge"


def _scale(line: MetricLine, metric: Metric) -> Decimal | None:
    scale = factor(line.unit, metric.unit) if line.unit is not None else Decimal(1)
    return None if scale == 1 else scale


def _names(file: ProfileFile, name: str) -> frozenset[str]:
    """The keys of a family: under its own name and under each other prefix."""
    names = [name]
    for prefix, others in file.prefixes.items():
        if name.startswith(prefix):
            names += [other + name.removeprefix(prefix) for other in others]
    return frozenset(key(name, ignore_case=file.ignore_case) for name in names)


def _included(file: ProfileFile, profile: Profile) -> list[Line]:
    """Another profile's lines, with this file's labels before theirs and its prefixes besides."""
    own = {line.source for line in file.metrics}
    lines = []
    for line in profile.lines:
        if line.source in own:
            continue
        rename = {
            **file.labels,
            **{k: v for k, v in line.rules.rename.items() if k not in file.labels},
        }
        rules = LabelRules(
            defaults=line.rules.defaults,
            rename=rename,
            fallback={**line.rules.fallback, **file.fallback},
            translate={**line.rules.translate, **file.translate},
            add=line.rules.add,
            where=line.rules.where,
            instance=line.rules.instance,
            per_device=line.rules.per_device,
        )
        names = line.names | _names(file, line.source)
        lines.append(replace(line, rules=rules, names=names))
    return lines


def _missing_attributes(lines: list[Line]) -> Iterator[tuple[int, str]]:
    """Lines whose series would lack an attribute that the conventions require."""
    for line in lines:
        rules = line.rules
        given = {*rules.defaults, *rules.add, *rules.fallback, *rules.rename.values()}
        for attribute in line.metric.attributes:
            if attribute.requirement is Requirement.REQUIRED and attribute.name not in given:
                yield line.number, f"{line.metric.name} needs {attribute.name}: add it or a label"


def _doubled(name: str, lines: tuple[Line, ...]) -> Iterator[tuple[int, str]]:
    """Pairs of lines that could give the same series, or that read the same family.

    ``lines`` of the profile ``name`` itself come first, before those that it includes.  Lines that
    read different series of one family are no pair.
    """
    readers: dict[tuple[str, str], list[Line]] = {}
    writers: dict[tuple[str, frozenset[tuple[str, str]]], list[Line]] = {}
    for line in lines:
        keys = sorted((family, kind) for family in line.names for kind in line.kinds)
        others = [r for k in keys for r in readers.get(k, ()) if not _apart(r, line)]
        if others:
            yield others[0].number, f"{others[0].source} is read by {_place(name, line)} too"
        for k in keys:
            readers.setdefault(k, []).append(line)
        same = writers.setdefault((line.metric.name, frozenset(line.rules.add.items())), [])
        for other in same:
            if not (line.superseded_by & other.names or other.superseded_by & line.names):
                yield (
                    other.number,
                    f"{other.source} and {line.source} ({_place(name, line)}) would both be "
                    f"{line.metric.name}: say which is superseded_by the other, or add an "
                    "attribute that tells them apart",
                )
        same.append(line)


def _apart(one: Line, other: Line) -> bool:
    """Whether no series is read by both: they read other parts, or other values of a label.

    The values are lists such as ``a|b``, or all others: ``(?!(a|b)$).*``.
    """
    if one.part != other.part:
        return True
    for label in one.rules.where.keys() & other.rules.where.keys():
        first, second = (line.rules.where[label].pattern for line in (one, other))
        listed = [pattern.split("|") for pattern in (first, second)]
        plain = [all(value == re.escape(value) for value in values) for values in listed]
        if all(plain) and not set(listed[0]) & set(listed[1]):
            return True
        if f"(?!({first})$).*" == second or f"(?!({second})$).*" == first:
            return True
    return False


def _place(name: str, line: Line) -> str:
    return f"line {line.number}" if line.profile == name else f"the included {line.profile}"
