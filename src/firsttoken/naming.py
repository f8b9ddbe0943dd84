"""OpenTelemetry metric and attribute names as Prometheus names.

Source of the rules: the OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility",
section "Metric Metadata", and Prometheus' own otlptranslator, which keeps ``_ratio`` for gauges of
unit 1.  Both forms keep the unit and ``_total`` suffixes: ``dotted_name`` is what a client that
allows UTF-8 names is served, ``prometheus_name`` is its escaped form.
"""

import re
from functools import lru_cache

__all__ = ["RENAMED", "current", "dotted_name", "label_name", "prometheus_name", "unit_suffix"]

RENAMED: dict[str, str] = {}
"""What a convention renames: the name that this project's files say -> the newer name.

The conventions are in development.  A line here renames a metric or an attribute in everything
that is served, recorded, drawn and documented; files of users may go on saying the older name.
"""

# UCUM unit -> word in a Prometheus name.
UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
    "1": "",
}
PER_UNITS = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}
_NOT_NAME = re.compile(r"[^a-zA-Z0-9:]+")


def current(name: str) -> str:
    """The newest name of a metric or an attribute."""
    return RENAMED.get(name, name)


def unit_suffix(unit: str) -> str:
    """The words that a UCUM unit adds to a name, joined by ``_``; empty for ``1`` and ``{...}``."""
    main, _, per = re.sub(r"\{[^}]*\}", "", unit).partition("/")
    words = [UNITS.get(main, main)]
    if per:
        words += ["per", PER_UNITS.get(per, UNITS.get(per, per))]
    return "_".join(_NOT_NAME.sub("_", word).strip("_") for word in words if word)


def dotted_name(name: str, unit: str, *, counter: bool = False, gauge: bool = False) -> str:
    """The name with its unit and type suffixes, dots kept; for clients that take UTF-8 names.

    ``counter`` means a monotonic sum (``_total``), ``gauge`` a gauge (``_ratio`` for unit 1).
    """
    words = [word for word in _NOT_NAME.split(name) if word]
    suffixes = []
    unit_words = unit_suffix(unit)
    if unit_words and unit_words not in words and not name.endswith(unit_words):
        suffixes.append(unit_words)
    if counter:
        name = re.sub(r"[._]total$", "", name)
        suffixes.append("total")
    if gauge and unit == "1":
        name = re.sub(r"[._]ratio$", "", name)
        suffixes.append("ratio")
    return "_".join([name, *suffixes])


def prometheus_name(name: str, unit: str, *, counter: bool = False, gauge: bool = False) -> str:
    """The name as Prometheus' classic character set has it."""
    dotted = dotted_name(name, unit, counter=counter, gauge=gauge)
    escaped = _NOT_NAME.sub("_", dotted).strip("_")
    return f"_{escaped}" if escaped[:1].isdigit() else escaped


@lru_cache(maxsize=1024)
def label_name(attribute: str) -> str:
    """The label name of an attribute: each character that a label cannot have becomes ``_``."""
    label = re.sub(r"[^a-zA-Z0-9_]", "_", attribute)
    return f"key_{label}" if label[:1].isdigit() else label
