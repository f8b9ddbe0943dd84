"""The reports as rows of text: what the terminal, the Markdown and the CSV have in common."""

from dataclasses import dataclass

from firsttoken.loadtest.schema import (
    CapacityReport,
    Change,
    ComparisonReport,
    Latency,
    Point,
    StepResult,
    SweepReport,
)

__all__ = [
    "Table",
    "capacity_facts",
    "capacity_table",
    "change_in_words",
    "comparison_tables",
    "number",
    "sweep_table",
]

_ARROWS = {"better": "better", "worse": "WORSE"}


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the columns' names, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits, and a dash for what is not known."""
    if value is None:
        return "–"
    digits = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{digits} {unit}".rstrip()


def milliseconds(value: float | None) -> str:
    """Seconds as milliseconds, three significant digits."""
    return number(None if value is None else value * 1000)


def _interval(one: Latency | None) -> str:
    if one is None:
        return "–"
    text = milliseconds(one.p95)
    if one.p95_low is None:
        return text
    return f"{text} ({milliseconds(one.p95_low)}–{milliseconds(one.p95_high)})"


# --- Capacity -------------------------------------------------------------------------------------


def capacity_facts(report: CapacityReport) -> tuple[tuple[str, str], ...]:
    """The result in every unit that is known, name and value."""
    facts = [("capacity", _capacity(report))]
    if report.output_tokens is not None:
        facts.append(
            (
                "tokens at it",
                f"{number(report.output_tokens)} out, {number(report.input_tokens)} in, a second",
            )
        )
    if report.users is not None:
        thinking = f" who think for {report.think_time:g} s between" if report.think_time else ""
        facts.append(("users at it", f"{number(report.users)}{thinking}"))
    if report.knee is not None:
        facts.append(("knee of the curve", f"{number(report.knee)} requests/s"))
    if report.saturation is not None:
        one = report.saturation
        at = f" at {number(one.at_rate)} requests/s" if one.at_rate is not None else ""
        facts.append(("saturated first", f"{one.what}{at}: {one.explanation}"))
    cost = report.cost
    if cost is not None:
        if cost.gpus:
            facts.append(
                (
                    f"per GPU (of {cost.gpus})",
                    f"{number(cost.requests_per_gpu)} requests/s,"
                    f" {number(cost.output_tokens_per_gpu)} output tokens/s",
                )
            )
        if cost.price_per_million_output_tokens is not None:
            facts.append(
                (
                    "cost of a million tokens",
                    f"{number(cost.price_per_million_output_tokens)} (output alone),"
                    f" {number(cost.price_per_million_tokens)} (in and out)",
                )
            )
        if cost.watts is not None:
            facts.append(
                (
                    "energy",
                    f"{number(cost.watts)} W, {number(cost.output_tokens_per_joule)} output tokens"
                    " a joule",
                )
            )
    return tuple(facts)


def _capacity(report: CapacityReport) -> str:
    if report.estimate is None:
        low = f"at least {number(report.low)}" if report.low is not None else "unknown"
        return f"{low} requests/s"
    return (
        f"{number(report.estimate)} requests/s, between {number(report.low)} (holds) and"
        f" {number(report.high)} (fails)"
    )


def capacity_table(report: CapacityReport) -> Table:
    """The curve: the steps by their rate."""
    steps = sorted(report.steps, key=lambda step: step.point.offered_rate)
    return Table(
        "rate",
        (
            "requests/s", "step", "verdict", "requests", "TTFT p50", "TTFT p95 (interval)",
            "TPOT p95 (interval)", "goodput", "failed", "running", "waiting", "KV cache",
        ),
        tuple(map(_step_row, steps)),
    )  # fmt: skip


def _step_row(step: StepResult) -> tuple[str, ...]:
    at, seen = step.point, step.point.seen
    return (
        number(at.offered_rate),
        str(step.number),
        step.verdict + (" (early)" if step.stopped_early else ""),
        f"{at.requests:,}",
        milliseconds(at.ttft.p50 if at.ttft else None),
        _interval(at.ttft),
        _interval(at.tpot),
        number(at.goodput),
        str(at.failed),
        number(seen.running_max if seen else None),
        number(seen.waiting_mean if seen else None),
        f"{seen.kv_cache_max:.0%}" if seen and seen.kv_cache_max is not None else "–",
    )


# --- Sweep ----------------------------------------------------------------------------------------


def sweep_table(report: SweepReport) -> Table:
    """Every point in the order in which it was asked for."""
    return Table(
        "point",
        (
            "load", "in", "out", "served/s", "tokens/s", "TTFT p50", "TTFT p95 (interval)",
            "TPOT p95 (interval)", "E2E p95", "goodput", "failed", "front",
        ),
        tuple(_point_row(report, place, one) for place, one in enumerate(report.points)),
    )  # fmt: skip


def _point_row(report: SweepReport, place: int, one: Point) -> tuple[str, ...]:
    fronts = [
        name
        for name, members in (("TTFT", report.front_ttft), ("TPOT", report.front_tpot))
        if place in members
    ]
    load = f"{number(one.rate)} /s" if one.rate is not None else f"{one.concurrency} users"
    return (
        load + (" *" if one.bottleneck else ""),
        str(one.prompt_tokens or "–"),
        str(one.output_tokens or "–"),
        number(one.request_rate),
        number(one.output_rate),
        milliseconds(one.ttft.p50 if one.ttft else None),
        _interval(one.ttft),
        _interval(one.tpot),
        milliseconds(one.e2e.p95 if one.e2e else None),
        number(one.goodput),
        str(one.failed),
        ", ".join(fronts),
    )


# --- Comparison -----------------------------------------------------------------------------------


def comparison_tables(report: ComparisonReport) -> tuple[Table, ...]:
    """A table for each candidate."""
    return tuple(
        Table(
            f"{one.side.name} against {report.baseline.name}: {one.verdict}",
            ("quantity", "baseline", "candidate", "change", _level(report), "verdict"),
            tuple(map(_change_row, one.changes)),
        )
        for one in report.candidates
    )


def _level(report: ComparisonReport) -> str:
    return f"{report.confidence * 100:g} % interval"


def _change_row(one: Change) -> tuple[str, ...]:
    verdict = _ARROWS.get(one.verdict, one.verdict)
    note = f" ({one.note})" if one.note and one.verdict == "too little data" else ""
    return (
        one.quantity,
        _value(one.baseline, one.unit),
        _value(one.candidate, one.unit),
        _percent(one.change),
        "–" if one.low is None else f"{_percent(one.low)} to {_percent(one.high)}",
        verdict + note,
    )


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "s":
        return f"{milliseconds(value)} ms"
    return f"{value:.2%}" if unit == "share" else number(value, unit)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"


def change_in_words(one: Change) -> str:
    """Such as ``12 ms to 13.4 ms, +11.7% (+8.1% to +15.3%)``."""
    _, before, after, change, between, _ = _change_row(one)
    return f"{before} to {after}, {change} ({between})" if one.change is not None else one.note
