"""The house style: one colour per meaning, the same words for the same absence, shared shapes.

Red and orange are kept for values that are judged.  The other colours are distinguishable with
the common kinds of colour blindness on dark and light ground, and no meaning hangs on colour alone.
"""

from collections.abc import Mapping
from typing import Any

__all__ = [
    "BAD",
    "BLUE",
    "GOOD",
    "NEUTRAL",
    "NOT_REPORTED",
    "NO_TRAFFIC",
    "OBJECTIVE",
    "WARN",
    "by_name",
    "colours",
    "gauge_cell",
    "idle_mapping",
    "objective_line",
    "steps",
    "values",
]

NOT_REPORTED = "not reported"
"""Shown where no series exists: the source does not have the metric, or cannot be scraped."""
NO_TRAFFIC = "no traffic"
"""Shown where the series exist and there was nothing to measure; a query gives NaN for it."""

GOOD, WARN, BAD, NEUTRAL = "#56A64B", "#FF9830", "#E02F44", "#8E8E8E"
OBJECTIVE = "#F2495C"
"""Lines that a value is held against."""

BLUE, SKY, MAGENTA, YELLOW, TEAL = "#3274D9", "#8AB8FF", "#CC66B3", "#F2CC0C", "#37BBB0"

BY_MEANING: Mapping[str, str] = {
    "p50": SKY,
    "p95": BLUE,
    "p99": MAGENTA,
    "mean": YELLOW,
    "queue": YELLOW,
    "prefill": BLUE,
    "decode": MAGENTA,
    "input": SKY,
    "output": BLUE,
    "running": BLUE,
    "waiting": YELLOW,
    "stop": TEAL,
    "length": BLUE,
    "abort": YELLOW,
    "error": BAD,
    "2xx": TEAL,
    "4xx": YELLOW,
    "5xx": BAD,
    "page, fast": MAGENTA,
    "page, slow": BLUE,
    "ticket, fast": SKY,
    "ticket, slow": YELLOW,
    "good": TEAL,
    "bad": BAD,
}


def by_name(name: str, *properties: Mapping[str, Any]) -> dict[str, Any]:
    """A field override for the series or column of that name."""
    return {"matcher": {"id": "byName", "options": name}, "properties": list(properties)}


def fixed(colour: str) -> dict[str, Any]:
    """The override property that fixes a colour."""
    return {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}


def colours(*names: str) -> tuple[dict[str, Any], ...]:
    """Overrides that give series of these names the colour of their meaning."""
    return tuple(by_name(name, fixed(BY_MEANING[name])) for name in names)


def objective_line(name: str = "objective") -> dict[str, Any]:
    """The override that draws a series as the line that others are held against."""
    return by_name(
        name,
        fixed(OBJECTIVE),
        {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
        {"id": "custom.lineWidth", "value": 2},
        {"id": "custom.fillOpacity", "value": 0},
    )


def gauge_cell() -> tuple[dict[str, Any], ...]:
    """Properties of a table column that draws a ratio as a bar; without bounds it stays empty."""
    options = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
    return (
        {"id": "min", "value": 0},
        {"id": "max", "value": 1},
        {"id": "custom.cellOptions", "value": options},
    )


def steps(*pairs: tuple[float | None, str]) -> dict[str, Any]:
    """Thresholds from (lower bound or None for the first, colour)."""
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": colour} for value, colour in pairs],
    }


def values(texts: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """A mapping of exact values to (text, colour), so that a colour never stands alone."""
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(texts.items())
    }
    return {"type": "value", "options": options}


def idle_mapping(index: int = 9) -> dict[str, Any]:
    """NaN means that the series exist and there was nothing to measure."""
    result = {"text": NO_TRAFFIC, "color": NEUTRAL, "index": index}
    return {"type": "special", "options": {"match": "nan", "result": result}}
