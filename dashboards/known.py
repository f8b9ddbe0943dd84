"""The series names that a dashboard may read: a vocabulary's, the rules' and Prometheus' own."""

from firsttoken import recorded
from firsttoken.catalogue import METRICS, Instrument
from firsttoken.dashboards.promscan import Selector
from firsttoken.vocabulary import Vocabulary

__all__ = ["ONLY_WHEN_WRONG", "STANDARD", "UNTRANSLATED", "names_of", "unknown"]

STANDARD = frozenset(
    {
        "ALERTS",
        "scrape_duration_seconds",
        "scrape_samples_post_metric_relabeling",
        "scrape_samples_scraped",
        "scrape_series_added",
        "up",
    }
)
"""Series that Prometheus itself writes."""
_RECORDED = frozenset(
    {
        recorded.PERIOD_BAD,
        recorded.PERIOD_TOTAL,
        recorded.OBJECTIVE,
        recorded.BUDGET,
        recorded.BUDGET_LEFT,
        recorded.PERIOD,
        recorded.INFO,
        recorded.LIMIT,
        recorded.THRESHOLD,
        *(name(window) for name in (recorded.bad, recorded.total) for window in ("5m", "1h")),
    }
)
_RATES = (recorded.BAD, recorded.TOTAL)


UNTRANSLATED = "vllm[:_].+|sglang[:_].+|tgi_.+|nv_inference_.+|DCGM_FI_.+"
"""Names of sources that their users scrape directly; searched for, so as to say so."""

ONLY_WHEN_WRONG = frozenset({"ALERTS", UNTRANSLATED})
"""Series whose absence is good: there is nothing to report."""


def names_of(vocabulary: Vocabulary) -> frozenset[str]:
    """All series names of a vocabulary, a histogram's three among them."""
    names = set()
    for metric in METRICS:
        histogram = metric.instrument is Instrument.HISTOGRAM
        suffixes = ("_bucket", "_count", "_sum") if histogram else ("",)
        for variant in vocabulary.variants.get(metric.name, ()):
            names |= {f"{variant.series}{suffix}" for suffix in suffixes}
    return frozenset(names)


def unknown(selector: Selector, names: frozenset[str]) -> bool:
    """Whether a selector can find no series that ``names``, the rules or Prometheus have."""
    exact = selector.label("__name__")
    if exact is not None and exact.value == UNTRANSLATED:
        return False
    name = exact.value if exact is not None and exact.operator == "=" else selector.name
    if any(name.startswith(rate) and name != rate for rate in _RATES):
        return False
    if selector.name:
        return not any(selector.name in known for known in (names, STANDARD, _RECORDED))
    return not any(selector.matches(known) for known in (*names, *STANDARD, *_RECORDED))
