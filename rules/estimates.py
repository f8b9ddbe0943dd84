"""What vLLM counts nowhere, derived from what it does count: requests aborted, requests refused.

Estimates, and named so: a client that leaves before its first token is in none of them, and levels
are read at other moments than counters.
"""

from firsttoken import catalogue, promql
from firsttoken.catalogue import METRICS
from firsttoken.promql import Matcher, Scope
from firsttoken.recorded import ABORTED_ESTIMATE, REFUSED_ESTIMATE, SERVICE_LABEL
from firsttoken.rules.model import Context, RecordingRule

__all__ = ["ESTIMATE_WINDOW", "MAKERS"]

ESTIMATE_WINDOW = "5m"
_SECONDS = 300
_HTTP = next(metric for metric in METRICS if metric.name == "http.server.requests")


def aborted(context: Context) -> RecordingRule:
    """Requests of the last five minutes that were aborted after their first token."""
    return _rule(context, ABORTED_ESTIMATE, _aborted(context.scope))


def refused(context: Context) -> RecordingRule:
    """Requests of the last five minutes that were answered with an HTTP error."""
    return _rule(context, REFUSED_ESTIMATE, _refused(context.scope))


MAKERS = (aborted, refused)
"""What makes the rules of the pack; each raises NotReportedError where a metric lacks."""


def _rule(context: Context, name: str, expression: str) -> RecordingRule:
    return RecordingRule(name, expression, {SERVICE_LABEL: context.slo.service})


def _aborted(scope: Scope) -> str:
    """What got its first token and neither finished nor runs: aborted, or its client left."""
    begun = promql.count_rate(catalogue.TIME_TO_FIRST_TOKEN, ESTIMATE_WINDOW, scope)
    finished = promql.rate(catalogue.REQUESTS_FINISHED, ESTIMATE_WINDOW, scope)
    running = promql.selector(catalogue.REQUESTS_RUNNING, scope, window=ESTIMATE_WINDOW)
    # An engine whose first request is its only one has finished none: then there is nothing to
    # subtract, and an absent series must not make the estimate absent.
    done = f"({finished} or {begun} * 0)"
    more = f"sum{scope.grouping()} (delta({running}))"
    return f"clamp_min(({begun} - {done}) * {_SECONDS} - {more}, 0)"


def _refused(scope: Scope) -> str:
    """Responses that say a failure; HTTP does not tell them apart by model."""
    own = {attribute.name for attribute in _HTTP.attributes}
    where = tuple(matcher for matcher in scope.where if matcher.name in own)
    whole = Scope(where, (), scope.vocabulary)
    failed = (
        whole.matching(Matcher("http.response.status_class", kind)) for kind in ("4xx", "5xx")
    )
    rates = [f"({promql.rate(_HTTP, ESTIMATE_WINDOW, one)} or vector(0))" for one in failed]
    return f"({' + '.join(rates)}) * {_SECONDS}"
