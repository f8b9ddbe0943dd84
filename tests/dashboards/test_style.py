"""What a reader sees: colours that differ for everybody, words beside them, panels that explain."""

import itertools
import json
import re
from typing import Any

import pytest

from firsttoken.dashboards.expand import panels
from firsttoken.dashboards.render import dashboards
from firsttoken.dashboards.style import BAD, BY_MEANING, GOOD, NEUTRAL, WARN

SHAPES = dashboards()
EVERY = [(uid, dict(panel)) for uid, shape in SHAPES.items() for panel in panels(shape)]
# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
BLINDNESS = {
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
WHITE = (0.95047, 1.0, 1.08883)
APART = 15.0
"""CIE76 distance that two lines of one chart keep: about seven times what can just be told."""


def _times(matrix: Any, vector: Any) -> tuple[float, ...]:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def lab(colour: str, blindness: str) -> tuple[float, float, float]:
    """CIELAB of a colour as somebody sees it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    seen = [min(1.0, max(0.0, p)) for p in _times(BLINDNESS[blindness], linear)]

    def f(t: float) -> float:
        return t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116

    x, y, z = (f(a / w) for a, w in zip(_times(XYZ, seen), WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(a: str, b: str, blindness: str) -> float:
    pairs = zip(lab(a, blindness), lab(b, blindness), strict=True)
    return float(sum((x - y) ** 2 for x, y in pairs) ** 0.5)


def colours_of(panel: dict[str, Any]) -> dict[str, str]:
    """The series of a panel that have a colour of their own."""
    return {
        override["matcher"]["options"]: prop["value"]["fixedColor"]
        for override in panel["fieldConfig"]["overrides"]
        for prop in override["properties"]
        if prop["id"] == "color"
    }


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_lines_of_one_chart_can_be_told_apart_by_everybody(blindness: str) -> None:
    for uid, panel in EVERY:
        found = colours_of(panel)
        for (one, a), (other, b) in itertools.combinations(found.items(), 2):
            if "objective" in (one, other):  # the objective is dashed and thicker too
                continue
            assert distance(a, b, blindness) > APART, (uid, panel["title"], one, other)


def test_a_meaning_has_one_colour_on_all_dashboards() -> None:
    for _, panel in EVERY:
        for name, colour in colours_of(panel).items():
            assert BY_MEANING.get(name, colour) == colour


def test_red_and_orange_are_for_what_is_judged() -> None:
    judged = {"error", "bad", "5xx"}
    assert {name for name, colour in BY_MEANING.items() if colour in (BAD, WARN)} == judged
    for _, panel in EVERY:
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        colours = {step["color"] for step in steps}
        assert len(steps) < 2 or colours & {GOOD, BAD, WARN, NEUTRAL}


def test_every_panel_says_what_it_means_and_names_its_metrics() -> None:
    for uid, panel in EVERY:
        text, _, metrics = panel["description"].partition("\n\nMetrics: ")
        assert len(text) > 30, (uid, panel["title"])
        assert re.fullmatch(r"(`[\w:]+`(, )?)+[.]", metrics) or "__name__" in json.dumps(panel)


def test_ratios_have_a_minimum_or_a_maximum_and_seconds_stay_seconds() -> None:
    for uid, panel in EVERY:
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults.get("unit") not in ("ms", "percent"), (uid, panel["title"])
        for target in panel["targets"]:
            assert "1000 *" not in target["expr"]
            assert "* 100" not in target["expr"]


def test_a_latency_chart_has_the_line_of_its_objective() -> None:
    for uid, title in (
        ("firsttoken-service", "Time to first token"),
        ("firsttoken-service", "Time per output token"),
        ("firsttoken-service", "Request duration"),
        ("firsttoken-capacity", "TTFT p95"),
    ):
        panel = next(
            p for u, p in EVERY if (u, p["title"]) == (uid, title) and len(p["targets"]) > 1
        )
        line = next(t for t in panel["targets"] if t["legendFormat"] == "objective")
        assert line["expr"].startswith("min(slo:threshold:seconds{metric=")


def test_a_heatmap_reads_the_buckets_of_the_percentiles_beside_it() -> None:
    service = [panel for uid, panel in EVERY if uid == "firsttoken-service"]
    read = {p["title"]: set(re.findall(r"\w+_bucket", p["targets"][0]["expr"])) for p in service}
    maps = [panel for panel in service if panel["type"] == "heatmap"]

    assert len(maps) == 5
    for panel in maps:
        assert panel["targets"][0]["format"] == "heatmap"
        assert panel["options"]["filterValues"]["le"] > 0
        assert panel["options"]["yAxis"]["unit"] == "s"
        beside = panel["title"].removesuffix(", distribution")
        if beside in read:
            assert read[panel["title"]] == read[beside]


def test_exemplars_are_asked_of_nobody_who_has_none_and_the_panel_says_so() -> None:
    assert '"exemplar": true' not in json.dumps(list(SHAPES.values()))
    maps = [panel for _, panel in EVERY if panel["type"] == "heatmap"]
    assert all("exemplars" in panel["description"] for panel in maps)
