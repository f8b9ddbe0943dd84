"""The report as a page and as Markdown, from templates; every number is formatted here."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from importlib import resources

import jinja2
from markupsafe import Markup

from firsttoken.report.figure import Picture
from firsttoken.report.schema import Comparison, Objective, Panel, Report
from firsttoken.report.words import percent

__all__ = ["html", "markdown"]

_NONE = "–"
_MARKS = {"passed": "✅", "missed": "❌", "failed": "❌", "skipped": "⚪", "not_judged": "⚠️"}
_BAR_PX = 190


def html(report: Report, pictures: Sequence[Picture]) -> str:
    """One page that needs nothing else: styles and pictures are in it."""
    css = _text("report.css")
    return _environment().get_template("report.html").render(
        report=report, pictures=pictures, css=Markup(css), why=_why(report)  # noqa: S704 (our own)
    )  # fmt: skip


def markdown(report: Report) -> str:
    """Markdown as GitHub and GitLab show it in a job's summary."""
    template = _environment().get_template("report.md")
    return template.render(report=report, why=_why(report)).strip() + "\n"


def _why(report: Report) -> tuple[str, ...]:
    """The reasons that the headline does not give already."""
    return tuple(reason for reason in report.verdict.reasons if reason != report.verdict.headline)


def _text(name: str) -> str:
    folder = resources.files("firsttoken.report").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=jinja2.select_autoescape(["html"]),  # Markdown is text, and shown as such
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "bar": _bar,
        "cell": _cell,
        "count": lambda value: _NONE if value is None else f"{value:,.0f}",
        "difference": _difference,
        "limit": _limit,
        "mark": lambda status: _MARKS[status],
        "moment": _moment,
        "percent": lambda share: _NONE if share is None else percent(share),
        "quantity": _quantity,
        "rate": _rate,
        "seconds": _seconds,
        "sentence": lambda text: f"{text[:1].upper()}{text[1:].rstrip('.')}.",
        "tally": _tally,
        "target": lambda share: f"{share * 100:g} %",
        "words": lambda status: status.replace("_", " "),
    }
    return environment


def _cell(text: str) -> str:
    """Text from elsewhere inside Markdown: no markup of its own, and one line."""
    for sign, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(sign, instead)
    return text


def _moment(created: str) -> str:
    return datetime.fromisoformat(created).strftime("%-d %B %Y, %H:%M UTC")


def _seconds(value: float | None) -> str:
    if value is None:
        return _NONE
    if value >= 10:
        return f"{value:.1f} s"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.0f} ms" if value >= 0.1 else f"{value * 1000:.1f} ms"


def _rate(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _quantity(value: float | None, unit: str) -> str:
    if unit == "s":
        return _seconds(value)
    return _NONE if value is None else f"{value:,.0f}"


def _difference(row: Comparison) -> str:
    if row.client is None or row.server is None:
        return _NONE
    difference = row.client - row.server
    sign = "+" if difference > 0 else "−" if difference < 0 else ""
    if row.unit != "s":
        return f"{sign}{abs(difference):,.0f}"
    if row.name.startswith("p"):
        return "in its bucket" if row.status == "agrees" else f"{sign}{_seconds(abs(difference))}"
    share = f" ({sign}{abs(difference) / row.server * 100:.1f} %)" if row.server else ""
    return f"{sign}{abs(difference) * 1000:.1f} ms{share}"


def _limit(objective: Objective) -> str:
    by = " (judged from the server)" if objective.judged_by == "server" else ""
    return f"{objective.promise}{by}"


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

    def place(share: float) -> float:
        return round(_BAR_PX * max(0.0, share - start) / (1 - start), 1)

    low, high = place(objective.low or 0.0), place(objective.high or 0.0)
    tone = "good" if objective.status == "passed" else "bad"
    label = f"{percent(objective.attained)} attained, {objective.target * 100:g} % wanted"
    return Markup(
        '<svg class="bar" viewBox="0 0 {width} 26" role="img" aria-label="{label}">'
        '<rect x="0" y="6" width="{width}" height="8" rx="4" fill="var(--chip)"/>'
        '<rect x="0" y="6" width="{filled}" height="8" rx="4" fill="var(--{tone})"/>'
        '<line x1="{low}" x2="{high}" y1="10" y2="10" stroke="var(--ink)" stroke-width="1.4"/>'
        '<line x1="{target}" x2="{target}" y1="2" y2="18" stroke="var(--ink)" stroke-width="2"/>'
        '<text x="0" y="25.5" font-size="9" fill="var(--muted)">{start}</text>'
        '<text x="{width}" y="25.5" font-size="9" fill="var(--muted)" text-anchor="end">100 %'
        "</text></svg>"
    ).format(
        width=_BAR_PX, label=label, filled=place(objective.attained), tone=tone, low=low, high=high,
        target=min(place(objective.target), _BAR_PX - 1), start=f"{start * 100:g} %",
    )  # fmt: skip
