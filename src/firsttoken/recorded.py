"""Names and labels of the series that the rules record, shared by rules, alerts and dashboards.

Names follow Prometheus' ``level:metric:operations``.  Bad and total events are recorded apart and
divided last, so that an idle model gives no value instead of NaN.
"""

__all__ = [
    "ABORTED_ESTIMATE",
    "BAD",
    "BUDGET",
    "BUDGET_LEFT",
    "BURN_LABEL",
    "BURN_RATE",
    "ELAPSED",
    "EXHAUSTION",
    "HOURS_BAD",
    "HOURS_TOTAL",
    "INFO",
    "LIMIT",
    "METRIC_LABEL",
    "OBJECTIVE",
    "OBJECTIVE_LABEL",
    "PERIOD",
    "PERIOD_BAD",
    "PERIOD_TOTAL",
    "REFUSED_ESTIMATE",
    "SAMPLE_BAD",
    "SAMPLE_TOTAL",
    "SERVICE_LABEL",
    "SPACED",
    "SPACED_BAD",
    "SPACED_TOTAL",
    "THRESHOLD",
    "TIERS",
    "TOTAL",
    "WINDOW_LABEL",
    "bad",
    "total",
]

SERVICE_LABEL = "service"
OBJECTIVE_LABEL = "slo"

BAD = "slo:sli_bad:rate"
TOTAL = "slo:sli_total:rate"
PERIOD_BAD = "slo:sli_bad:period_rate"
"""Bad events per second over the whole period."""
PERIOD_TOTAL = "slo:sli_total:period_rate"
SPACED = 300
"""Seconds between samples of the next two."""
SPACED_TOTAL = "slo:sli_total:spaced5m"
"""Events per second over five minutes, recorded every five minutes.

What the whole period is averaged from: a tenth of the samples, and none of the time twice.
"""
SPACED_BAD = "slo:sli_bad:spaced5m"
HOURS_TOTAL = "slo:sli_total:calendar_hours"
"""Of a calendar period: the events in the whole hours of the current one."""
HOURS_BAD = "slo:sli_bad:calendar_hours"
SAMPLE_TOTAL = "slo:sli_total:sample"
"""Of a throughput floor: 1 while there is demand, else 0."""
SAMPLE_BAD = "slo:sli_bad:sample"
"""1 while there is demand and the floor is missed, else 0."""
OBJECTIVE = "slo:objective:ratio"
BUDGET = "slo:error_budget:ratio"
"""The share of events that may be bad."""
BUDGET_LEFT = "slo:error_budget_remaining:ratio"
"""1 is untouched, 0 is spent, below 0 is overspent; no value where nothing was measured."""
BURN_RATE = "slo:burn_rate:ratio"
"""How many times faster than sustainable the budget went in the last hour."""
EXHAUSTION = "slo:error_budget_exhaustion:seconds"
"""Until the budget is spent at the last hour's pace; no value where nothing of it is used now."""
PERIOD = "slo:time_period:seconds"
ELAPSED = "slo:time_elapsed:seconds"
"""Of a calendar period: how much of the current one is over."""
INFO = "slo:info"
THRESHOLD = "slo:threshold:seconds"
"""The threshold of a latency objective; METRIC_LABEL has the catalogue name of its metric."""
METRIC_LABEL = "metric"
ABORTED_ESTIMATE = "llm:requests_aborted:estimate5m"
"""Requests of the last five minutes that were aborted after their first token, uncounted."""
REFUSED_ESTIMATE = "llm:requests_refused:estimate5m"
"""Requests of the last five minutes that were answered with an HTTP error, of all models."""
LIMIT = "slo:alert_limit:ratio"
"""The share of bad events above which, in both windows of a tier, a burn alert fires."""
BURN_LABEL = "burn"
WINDOW_LABEL = "window"
TIERS = ("page_fast", "page_slow", "ticket_fast", "ticket_slow")
"""The tiers of burn alerts, the fastest first; what BURN_LABEL may say."""


def bad(window: str) -> str:
    """Bad events per second over a window such as ``5m``."""
    return f"{BAD}{window}"


def total(window: str) -> str:
    """All events per second over a window."""
    return f"{TOTAL}{window}"
