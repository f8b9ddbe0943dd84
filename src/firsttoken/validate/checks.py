"""Everything besides the objectives that must hold: one ``Check`` each, from what was found."""

from collections import Counter
from collections.abc import Mapping, Sequence

from firsttoken import catalogue
from firsttoken.config import format_duration
from firsttoken.report.schema import (
    Check,
    Comparison,
    Dashboard,
    FiringAlert,
    Generator,
    RuleResult,
)
from firsttoken.rules.slo import Latency, SloFile
from firsttoken.validate.page import Page, Window

__all__ = [
    "agreement",
    "bounds",
    "generator",
    "panels",
    "recording",
    "rules",
    "skipped",
    "sources",
    "steadiness",
]


def skipped(name: str, reason: str) -> Check:
    """A check that could not be made."""
    return Check(name=name, status="skipped", summary=reason)


def _check(name: str, wrong: Sequence[str], bad: str, good: str) -> Check:
    if wrong:
        return Check(name=name, status="failed", summary=bad, details=tuple(wrong))
    return Check(name=name, status="passed", summary=good)


def steadiness(broken: str | None, window: Window | None) -> Check:
    """Whether the engine answered to the end, and was the same one all the time."""
    if broken:
        return Check(name="engine", status="failed", summary=broken)
    if window is not None and window.restarted:
        fell = "a counter of the engine fell: it was restarted during the load"
        return Check(name="engine", status="failed", summary=fell)
    return Check(name="engine", status="passed", summary="it answered to the end of the load")


def agreement(rows: Sequence[Comparison]) -> Check:
    """Whether client and server agree, or their difference is explained."""
    if not any(row.status != "not_compared" for row in rows):
        return skipped("client and server", "the server reports nothing that could be compared")
    counts = Counter(row.status for row in rows)
    wrong = [f"{row.name}: {row.explanation}" for row in rows if row.status == "mismatch"]
    said = f"{counts['agrees']} of {len(rows)} quantities agree"
    if counts["explained"]:
        said += f", {counts['explained']} differ for a reason that was measured"
    if counts["not_compared"]:
        said += f", {counts['not_compared']} could not be compared"
    bad = f"{len(wrong)} of {len(rows)} quantities differ without an explanation"
    return _check("client and server", wrong, bad, said)


def generator(state: Generator | None) -> Check:
    """Whether the load generator was a fair witness."""
    name = "load generator"
    if state is None:
        return skipped(name, "no load was run")
    if state.bottleneck:
        return Check(name=name, status="not_judged", summary=state.bottleneck)
    if state.note:
        return Check(name=name, status="passed", summary=state.note)
    parts = []
    if state.cpu_share is not None:
        parts.append(f"{state.cpu_share * 100:.0f} % of a core")
    if state.lag_p99 is not None:
        parts.append(f"99 % of requests at most {state.lag_p99 * 1000:.1f} ms late")
    return Check(name=name, status="passed", summary=f"no bottleneck: {', '.join(parts)}")


def sources(page: Page | None) -> Check:
    """Whether the collector read every source in its last scrape."""
    name = "collector"
    if page is None:
        return Check(name=name, status="failed", summary="it served no page after the load")
    label = catalogue.SOURCE.label
    found = page.samples.get(catalogue.SOURCE_UP.prometheus, {})
    state = {dict(labels).get(label, "?"): value for labels, value in found.items()}
    down = [f"source {source} was not read" for source, up in sorted(state.items()) if up != 1]
    bad = f"{len(down)} of {len(state)} sources were not read in the last scrape"
    return _check(name, down, bad, f"every source was read: {', '.join(sorted(state))}")


def bounds(slo: SloFile, page: Page | None) -> Check:
    """Whether every latency threshold is a bucket bound of the engine that runs."""
    name = "thresholds"
    if page is None:
        return skipped(name, "there is no page of the engine")
    wrong = []
    for objective in slo.objectives:
        if not isinstance(objective, Latency):
            continue
        existing = page.bounds(objective.catalogue_metric)
        threshold = float(objective.threshold)
        if not existing:
            wrong.append(f"{objective.name}: the engine reports no {objective.metric} histogram")
        elif threshold not in existing:
            below = [bound for bound in existing if bound < threshold]
            above = [bound for bound in existing if bound > threshold]
            near = [*([max(below)] if below else []), *([min(above)] if above else [])]
            listed = " and ".join(format_duration(bound) for bound in near)
            wrong.append(
                f"{objective.name}: {format_duration(threshold)} is no bucket bound of the"
                f" engine's, so its rules measure nothing; near are {listed}"
            )
    bad = f"{len(wrong)} latency thresholds cannot be measured on this engine"
    return _check(name, wrong, bad, "every latency threshold is a bucket bound of the engine's")


def recording(window: Window, stored: Mapping[str, float]) -> Check:
    """Whether Prometheus holds the same token counts as the collector's last page."""
    wrong = []
    for labels, value in sorted(
        window.after.samples.get(catalogue.TOKENS_PROCESSED.prometheus, {}).items(), key=str
    ):
        own = dict(labels)
        if own.get(catalogue.REQUEST_MODEL.label) not in (None, window.model):
            continue
        kind = own.get(catalogue.TOKEN_TYPE.label, "")
        if stored.get(kind) != value:
            wrong.append(f"{kind} tokens: the page has {value:,.0f}, Prometheus {stored.get(kind)}")
    if not stored and not wrong:
        return skipped("Prometheus", "the engine reports no token counters")
    bad = "it does not hold what the collector served"
    return _check("Prometheus", wrong, bad, "it holds exactly what the collector served")


def rules(results: Sequence[RuleResult], alerts: Sequence[FiringAlert]) -> Check:
    """Whether every rule is loaded and evaluated without error."""
    wrong = [f"{r.group} {r.name}: {r.detail}" for r in results if r.status == "failed"]
    firing = sum(alert.state == "firing" for alert in alerts)
    said = f"all {len(results)} rules are loaded and evaluated without error"
    if firing:
        said += f"; alerts firing: {firing}"
    return _check("rules", wrong, f"{len(wrong)} of {len(results)} rules do not work", said)


def panels(boards: Sequence[Dashboard]) -> Check:
    """Whether every panel's queries work."""
    counts = Counter(panel.status for board in boards for panel in board.panels)
    wrong = [
        f"{board.title} / {panel.title}: {'; '.join(panel.detail)}"
        for board in boards
        for panel in board.panels
        if panel.status == "broken"
    ]
    total = sum(counts.values())
    said = f"{counts['data']} of {total} panels show data"
    for status in ("no traffic", "not reported"):
        if counts[status]:
            said += f", {counts[status]} {status}"
    return _check("dashboards", wrong, f"{len(wrong)} of {total} panels are broken", said)
