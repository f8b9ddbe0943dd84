"""The report as a page and as Markdown, from templates; every number is formatted here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from firsttoken.report import axis, words
from firsttoken.report.plots import Section
from firsttoken.report.schema import Comparison, Objective, Panel, Report
from firsttoken.report.words import NONE, percent

__all__ = ["environment", "html", "markdown", "page"]

_MARKS = {
    "passed": "✅", "missed": "❌", "failed": "❌", "skipped": "⚪", "not_judged": "⚠️",
    "measured": "📏",
}  # fmt: skip


def html(report: Report, sections: Sequence[Section]) -> str:
    """One page that needs nothing else: styles and pictures are in it."""
    return page("report.html", report=report, sections=sections, why=_why(report))


def page(template: str, **values: object) -> str:
    """A whole page from one of the templates, with the styles in it."""
    css = Markup(_text("report.css"))  # noqa: S704 (our own)
    return environment().get_template(template).render(css=css, **values)


def markdown(report: Report) -> str:
    """Markdown as GitHub and GitLab show it in a job's summary."""
    template = environment().get_template("report.md")
    return template.render(report=report, why=_why(report)).strip() + "\n"


def _why(report: Report) -> tuple[str, ...]:
    """The reasons that the headline does not give already."""
    return tuple(reason for reason in report.verdict.reasons if reason != report.verdict.headline)


def _text(name: str) -> str:
    folder = resources.files("firsttoken.report").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


def environment() -> jinja2.Environment:
    """The templates, with every filter that they use."""
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=jinja2.select_autoescape(["html"]),  # Markdown is text, and shown as such
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
    )
    made.filters |= {
        "bar": _bar,
        "cell": _cell,
        "chance": _chance,
        "count": lambda value: NONE if value is None else f"{value:,.0f}",
        "difference": _difference,
        "limit": _limit,
        "mark": lambda status: _MARKS[status],
        "moment": words.moment,
        "percent": lambda share: NONE if share is None else percent(share),
        "points": lambda value: NONE if value is None else words.points(value),
        "quantity": _quantity,
        "rate": words.rate,
        "room": _room,
        "seconds": words.seconds,
        "sentence": lambda text: f"{text[:1].upper()}{text[1:].rstrip('.')}.",
        "tally": _tally,
        "target": lambda share: f"{share * 100:g} %",
        "value": _value,
        "words": lambda status: status.replace("_", " "),
        "yaml": _yaml,
    }
    return made


def _cell(text: str) -> str:
    """Text from elsewhere inside Markdown: no markup of its own, and one line."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(sign, instead)
    return text


def _yaml(value: Mapping[str, Any]) -> str:
    text: str = yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=96)
    return text


def _quantity(value: float | None, unit: str) -> str:
    if unit == "s":
        return words.seconds(value)
    return NONE if value is None else f"{value:,.0f}"


def _difference(row: Comparison) -> str:
    if row.client is None or row.server is None:
        return NONE
    difference = row.client - row.server
    sign = "+" if difference > 0 else "−" if difference < 0 else ""
    if row.unit != "s":
        return f"{sign}{abs(difference):,.0f}"
    if row.name.startswith("p"):
        text = words.seconds(abs(difference))
        return "in its bucket" if row.status == "agrees" else f"{sign}{text}"
    share = f" ({sign}{abs(difference) / row.server * 100:.1f} %)" if row.server else ""
    return f"{sign}{abs(difference) * 1000:.1f} ms{share}"


def _limit(objective: Objective) -> str:
    by = " (judged from the server)" if objective.judged_by == "server" else ""
    return f"{objective.promise}{by}"


def _chance(objective: Objective) -> str:
    """The 95 % interval of the attained share."""
    if objective.low is None or objective.high is None:
        return ""
    ends = words.between(percent(objective.low), percent(objective.high))
    return _together(f"95 % CI {ends}")


def _together(text: str) -> str:
    """A text that no line break may part."""
    joined = text.replace(" ", "\N{NO-BREAK SPACE}")
    return joined.replace("–", "\N{WORD JOINER}–\N{WORD JOINER}")


def _value(objective: Objective) -> str:
    """The latency that the target's share kept; never, where that many had none."""
    if objective.value is None:
        return "never" if objective.count else NONE
    return words.seconds(objective.value)


def _room(objective: Objective) -> str:
    """Its interval, and how it lies beside the limit."""
    limit = f"limit {axis.span(objective.threshold or 0.0)}"
    if objective.value is None:
        return limit
    low, high = objective.value_low, objective.value_high
    if low is None and high is None:
        return f"{limit}; too few for an interval"
    ends = (
        words.seconds(low) if low is not None else "below",
        words.seconds(high) if high is not None else "above all",
    )
    return f"{_together(limit)}; {_together(f'CI {words.between(*ends)}')}"


def _tally(panels: Sequence[Panel]) -> list[tuple[str, int]]:
    counts = Counter(panel.status for panel in panels)
    return [(s, counts[s]) for s in ("data", "no traffic", "not reported", "broken") if counts[s]]


def _bar(objective: Objective) -> Markup:
    """The attained share as a bar, its 95 % interval, and a tick at the target."""
    if objective.attained is None:
        return Markup("")
    # The interesting part lies near 100 %: begin the scale below whatever is shown.
    least = min(objective.attained, objective.target, objective.low or 1.0)
    start = 0.0 if least < 0.5 else 0.5 if least < 0.9 else 0.9 if least < 0.98 else 0.97

    def place(share: float) -> str:
        return f"{100 * max(0.0, share - start) / (1 - start):.1f}%"

    interval = ""
    if objective.low is not None and objective.high is not None:
        interval = Markup(
            '<line class="interval" x1="{low}" x2="{high}" y1="11" y2="11"/>'
            '<line class="interval" x1="{low}" x2="{low}" y1="8" y2="14"/>'
            '<line class="interval" x1="{high}" x2="{high}" y1="8" y2="14"/>'
        ).format(low=place(objective.low), high=place(objective.high))
    return Markup(
        '<svg role="img" aria-label="{label}"><rect class="track" width="100%" y="6" height="10"'
        ' rx="5"/><rect class="fill" width="{filled}" y="6" height="10" rx="5"/>{interval}'
        '<line class="wanted" x1="{target}" x2="{target}" y1="2" y2="20"/>'
        '<text x="0" y="32">{start}</text><text x="100%" y="32" text-anchor="end">100 %</text>'
        "</svg>"
    ).format(
        label=f"{percent(objective.attained)} attained, {objective.target * 100:g} % wanted",
        filled=place(objective.attained), interval=interval,
        target=place(objective.target), start=f"{start * 100:g} %",
    )  # fmt: skip
