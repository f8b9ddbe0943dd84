"""Drawing: marks lie where their values are, and stay well-formed."""

import re
from xml.etree import ElementTree as ET

from firsttoken.report import axis
from firsttoken.report.figure import Lane, Panel, lanes

HOSTILE = '<script>alert("x")</script>'


def drawn(panel: Panel) -> ET.Element:
    html = panel.html("name", "A title", "A description")
    return ET.fromstring(f"<div>{html}</div>")  # noqa: S314 (our own)


def panel(height: int = 100) -> Panel:
    return Panel(axis.linear([10.0], most=10.0), axis.linear([1.0], most=1.0), height)


def test_a_line_goes_through_its_points() -> None:
    plot = panel()
    plot.line([(0.0, 0.0), (5.0, 1.0), (10.0, 0.5)], "client")

    (path,) = drawn(plot).iter("path")
    assert path.attrib["d"] == "M0.0 100L500.0 0L1000.0 50"


def test_a_step_holds_its_value_until_the_next() -> None:
    plot = panel()
    plot.line([(0.0, 0.5), (5.0, 1.0)], "client", step=True)

    (path,) = drawn(plot).iter("path")
    assert path.attrib["d"] == "M0.0 50H500.0V0"


def test_a_stretch_is_named_where_there_is_room_for_it() -> None:
    plot = panel()
    plot.span(0.0, 2.0, "warm-up")
    plot.span(9.8, 10.0, "drain")
    shown = drawn(plot)

    assert [text.text for text in shown.iter("text") if text.text in ("warm-up", "drain")] == [
        "warm-up"
    ]
    assert sum(rect.attrib.get("class") == "shade" for rect in shown.iter("rect")) == 2


def test_an_objective_beyond_the_axis_is_named_and_not_drawn() -> None:
    plot = panel()
    plot.limit(5.0, "objective")

    text = ET.tostring(drawn(plot), encoding="unicode")
    assert "↑ objective" in text
    assert 'class="limit"' not in text


def test_a_panel_says_what_it_is_to_who_cannot_see_it() -> None:
    root = drawn(panel())

    (svg,) = [one for one in root.iter("svg") if "role" in one.attrib]
    names = svg.attrib["aria-labelledby"].split()
    assert [root.find(f".//*[@id='{name}']") is not None for name in names] == [True, True]


def test_words_from_elsewhere_are_no_markup() -> None:
    plot = panel()
    plot.limit(0.5, HOSTILE)
    plot.span(0.0, 5.0, HOSTILE)
    text = plot.html("name", HOSTILE, HOSTILE) + lanes(
        plot.x, [Lane(HOSTILE, "bad", 1.0, 2.0)], "events"
    )

    assert "<script" not in text


def test_no_place_is_outside_the_drawing() -> None:
    plot = panel()
    plot.dots([(-5.0, 9.0), (50.0, -3.0)], "client")
    plot.bars([(-2.0, 20.0, 0.0, 5.0)], "bad")

    for path in drawn(plot).iter("path"):
        numbers = [float(text) for text in re.findall(r"-?\d+\.?\d*", path.attrib["d"])]
        assert all(0 <= number <= 1000 for number in numbers)
