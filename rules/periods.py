"""Budgets over a whole period: rolling, or the week, month or quarter of the calendar (UTC)."""

from dataclasses import dataclass

from firsttoken import promql, recorded
from firsttoken.config import format_duration
from firsttoken.rules.indicators import matchers
from firsttoken.rules.model import Context, Group, RecordingRule, number
from firsttoken.rules.objectives import AnyObjective
from firsttoken.rules.slo import Calendar

__all__ = ["elapsed", "groups"]

_LATELY = "1h"
_SLOWEST_EVALUATION = 120
"""Longer than this between evaluations, and a recorded series looks stale now and then."""
_DAY = 86400
_STEP = format_duration(recorded.SPACED)
_LONGEST: dict[Calendar, str] = {"week": "7d", "month": "31d", "quarter": "92d"}

# Which week, month or quarter a moment belongs to.  A sample at midnight is about the time before
# it, so a second less; the first Monday after 1970 began was its fifth day.
_NUMBER: dict[Calendar, str] = {
    "week": "floor(({moment} - 345601) / 604800)",
    "month": "month({moment} - 1)",
    "quarter": "floor((month({moment} - 1) - 1) / 3)",
}
_THEN = "vector(time())"
# In a subquery time() is the step's; this is the evaluation's, also there.
_NOW = "last_over_time(vector(time())[1s:1s] @ end())"

_SINCE_THE_HOUR = "time() % 3600"


@dataclass(frozen=True, slots=True)
class _Averages:
    """Events and bad events a second over the period, and what must be recorded for that."""

    total: str
    bad: str
    recorded: tuple[RecordingRule, ...] = ()


def groups(context: Context, objective: AnyObjective, name: str, base: str) -> tuple[Group, ...]:
    """What is kept of an objective over the period; ``base`` is its shortest recorded window."""
    labels = {"service": context.slo.service, "slo": objective.name}
    every = context.options.scrape
    rarely = max(every, min(_SLOWEST_EVALUATION, context.period // 720))
    averages = _averages(context, labels, base)
    rules = (
        RecordingRule(recorded.PERIOD_TOTAL, averages.total, labels),
        RecordingRule(recorded.PERIOD_BAD, averages.bad, labels),
        *_budget(context, objective, labels),
    )
    if context.slo.calendar:
        return (Group(f"{name}-period.rules", (*averages.recorded, *rules), rarely),)
    found = Group(f"{name}-period.rules", rules, rarely)
    if not averages.recorded:
        return (found,)
    return Group(f"{name}-spaced.rules", averages.recorded, recorded.SPACED), found


def _averages(context: Context, labels: dict[str, str], base: str) -> _Averages:
    own = matchers(labels)
    if context.slo.calendar:
        return _of_the_calendar(context, context.slo.calendar, labels)
    period = format_duration(context.period)
    if context.period < _DAY:
        total, bad = recorded.total(base), recorded.bad(base)
        return _Averages(
            f"avg_over_time({total}{own}[{period}])", f"avg_over_time({bad}{own}[{period}])"
        )
    return _Averages(
        f"avg_over_time({recorded.SPACED_TOTAL}{own}[{period}])",
        f"avg_over_time({recorded.SPACED_BAD}{own}[{period}])",
        (
            RecordingRule(recorded.SPACED_TOTAL, recorded.total(_STEP) + own, labels),
            RecordingRule(recorded.SPACED_BAD, recorded.bad(_STEP) + own, labels),
        ),
    )


def _of_the_calendar(context: Context, calendar: Calendar, labels: dict[str, str]) -> _Averages:
    """Whole hours of the current week, month or quarter, and the last hour's pace since then."""
    own = matchers(labels)
    passed = f"on () group_left () {recorded.ELAPSED}{matchers({'service': context.slo.service})}"

    def hours(name: str, hour: str) -> RecordingRule:
        within = f"({hour} and on () ({_same(calendar)}))[{_LONGEST[calendar]}:1h]"
        return RecordingRule(
            name, f"sum_over_time({within}) * 3600\nor 0 * {hour}", labels
        )  # fmt: skip

    def average(name: str, hour: str) -> str:
        since = f"({hour} or 0 * {name}{own}) * ({_SINCE_THE_HOUR})"
        return f"({name}{own} + {since}) / {passed}"

    total, bad = recorded.total(_LATELY) + own, recorded.bad(_LATELY) + own
    return _Averages(
        average(recorded.HOURS_TOTAL, total),
        average(recorded.HOURS_BAD, bad),
        (hours(recorded.HOURS_TOTAL, total), hours(recorded.HOURS_BAD, bad)),
    )


def _same(calendar: Calendar) -> str:
    """Whether a subquery's step is in the same calendar period as the evaluation."""
    number_of = _NUMBER[calendar]
    return f"{number_of.format(moment=_THEN)} == {number_of.format(moment=_NOW)}"


def _budget(
    context: Context, objective: AnyObjective, labels: dict[str, str]
) -> tuple[RecordingRule, ...]:
    own = matchers(labels)
    share = promql.divide(f"{recorded.PERIOD_BAD}{own}", f"{recorded.PERIOD_TOTAL}{own}")
    lately = promql.divide(f"{recorded.bad(_LATELY)}{own}", f"{recorded.total(_LATELY)}{own}")
    left = f"clamp_min({recorded.BUDGET_LEFT}{own}, 0)"
    burn = f"{recorded.BURN_RATE}{own}"
    # Rolling: what is left of the period's events, at the pace at which it goes.  In a calendar
    # period the budget grows with the events, so only a pace above the sustainable one spends it.
    exhaustion = f"{left} * {context.period} / ({burn} > 0)"
    if context.slo.calendar:
        service = matchers({"service": context.slo.service})
        exhaustion = f"{left} / ({burn} - 1 > 0) * on () group_left () {recorded.ELAPSED}{service}"
    return (
        RecordingRule(recorded.BUDGET_LEFT, f"1 - {share} / {number(objective.budget)}", labels),
        RecordingRule(recorded.BURN_RATE, f"{lately} / {number(objective.budget)}", labels),
        RecordingRule(recorded.EXHAUSTION, exhaustion, labels),
    )


def elapsed(context: Context) -> tuple[Group, ...]:
    """The group that knows how much of the calendar period is over; none for a rolling one."""
    calendar = context.slo.calendar
    if calendar is None:
        return ()
    hours = f"count_over_time((vector(1) and on () ({_same(calendar)}))[{_LONGEST[calendar]}:1h])"
    expr = f"({hours} or vector(0)) * 3600 + {_SINCE_THE_HOUR}"
    rule = RecordingRule(recorded.ELAPSED, expr, {"service": context.slo.service})
    every = max(context.options.scrape, _SLOWEST_EVALUATION)
    return (Group(f"firsttoken-{context.slo.service}-calendar.rules", (rule,), every),)
