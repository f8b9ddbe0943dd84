"""Grafana's template variables and intervals, replaced as Grafana would for one view."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firsttoken.config import format_duration

__all__ = ["View", "expand", "initial", "panels", "with_values"]

PIXELS = 1000
"""The width of a panel for which a step is chosen: one point a pixel, as Grafana asks for."""
_REFERENCE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)|\[\[(\w+)\]\]")


_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600)
"""Seconds that Grafana rounds a step to."""


def _rounded(seconds: float) -> float:
    """The step that Grafana takes: it goes up to the next one from half-way on."""
    for step, longer in itertools.pairwise(_STEPS):
        if seconds < (step + longer) / 2:
            return float(step)
    return float(_STEPS[-1])


@dataclass(frozen=True, slots=True)
class View:
    """The time range that a dashboard shows, in unix seconds, and the scrape interval behind it.

    ``pixels`` is how wide a panel is: Grafana asks for about as many points.
    """

    start: float
    end: float
    scrape_interval: float
    pixels: int = PIXELS

    @property
    def step(self) -> float:
        """Seconds between points (``$__interval``)."""
        return max(self.scrape_interval, _rounded((self.end - self.start) / self.pixels))

    def built_in(self) -> dict[str, str]:
        """Grafana's own variables.

        ``$__rate_interval`` is max(interval + scrape interval, 4 x scrape interval), as Grafana's
        Prometheus data source computes it.
        """
        seconds = max(1.0, self.end - self.start)
        rate = max(self.step + self.scrape_interval, 4 * self.scrape_interval)
        return {
            "__interval": format_duration(self.step),
            "__rate_interval": format_duration(rate),
            "__range": format_duration(round(seconds)),
            "__range_s": str(round(seconds)),
        }


def expand(text: str, values: Mapping[str, str]) -> str:
    """The text with every variable replaced; raises ValueError for one without a value."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        if name not in values and not name.isdigit():  # $1 belongs to label_replace
            raise ValueError(f"variable ${name} is not defined")
        return values.get(name, match[0])

    return _REFERENCE.sub(value, text)


def with_values(chosen: Sequence[str]) -> str:
    """The regex that Grafana puts in for several chosen values, quoted for a PromQL string."""
    quoted = [re.escape(value).replace("\\", "\\\\") for value in chosen]
    return quoted[0] if len(quoted) == 1 else f"({'|'.join(quoted)})"


def initial(dashboard: Mapping[str, Any]) -> dict[str, str]:
    """The values with which the dashboard opens: All where there is All, else the default."""
    values = {}
    for variable in dashboard["templating"]["list"]:
        current = variable["current"]["value"]
        every = variable.get("includeAll") and variable.get("allValue")
        values[variable["name"]] = every or str(current)
    return values


def panels(dashboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every panel that asks something, also in collapsed rows."""
    for panel in dashboard["panels"]:
        for shown in (panel, *panel.get("panels", ())):
            if shown.get("targets"):
                yield shown
