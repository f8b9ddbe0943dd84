"""Alerts beside the objectives: what latency histograms cannot see, switched on by name.

A pack is a tuple of functions that build one alert each.  An alert whose metric the source does
not have is left out; a pack of which nothing is left is refused.
"""

from collections.abc import Callable
from dataclasses import replace

from firsttoken import catalogue, promql
from firsttoken.config import format_duration
from firsttoken.rules import estimates, gpu_alerts
from firsttoken.rules.model import AlertRule, Context, Group, RecordingRule
from firsttoken.rules.slo import Pack
from firsttoken.vocabulary import NotReportedError

__all__ = ["PACKS", "WATCHDOG", "Pack", "group", "missing"]

WATCHDOG = "LLMWatchdog"

_FULL = "0.95"
_PREEMPTED = "0.1"
"""Preemptions a finished request: a tenth of the work is done twice."""


Maker = Callable[[Context], AlertRule | RecordingRule]


def _stalled(context: Context) -> AlertRule:
    # Replicas stay apart, or those that work would hide the one that hangs.
    scope = context.scope.kept("instance", *context.scope.by)
    window = format_duration(max(60, 4 * context.options.scrape))
    # The mean over the window: clients that give up and try again leave gaps, and a request that
    # has only just come is no sign of a stall.
    held = " + ".join(
        f"sum{scope.grouping()} (avg_over_time({promql.selector(metric, scope, window=window)}))"
        for metric in (catalogue.REQUESTS_RUNNING, catalogue.REQUESTS_WAITING)
    )
    output = scope.matching(promql.Matcher("gen_ai.token.type", "output"))
    tokens = promql.rate(catalogue.TOKENS_PROCESSED, window, output)
    return context.alert(
        "LLMEngineStalled",
        f"({held}) > 0.5\nunless {tokens} > 0",
        "The engine holds requests and produces no tokens.",
        f"Model {{{{ $labels.{context.model} }}}} of {context.slo.service} on"
        " {{ $labels.instance }} has {{ $value | humanize }} requests on average and made no token"
        f" in {window}. Latency histograms stay silent, because they count only what got its"
        " token.",
        severity="critical",
        wait=2 * context.options.scrape,
    )


def _model_absent(context: Context) -> AlertRule:
    scope = context.scope
    now = promql.gauge(catalogue.REQUESTS_RUNNING, scope, "count")
    recent = promql.selector(catalogue.REQUESTS_RUNNING, scope, window="1h")
    return context.alert(
        "LLMModelAbsent",
        f"count{scope.grouping()} (present_over_time({recent}))\nunless {now}",
        "A model that was served in the last hour reports nothing.",
        f"Model {{{{ $labels.{context.model} }}}} of {context.slo.service} had"
        " {{ $value }} series and has none now. An idle engine still reports; this one does"
        " not, or is not scraped.",
        severity="critical",
        wait=4 * context.options.scrape,
    )


def _service_absent(context: Context) -> AlertRule:
    return context.alert(
        "LLMServiceAbsent",
        f"absent({promql.selector(catalogue.REQUESTS_RUNNING, context.scope)})",
        "No engine of the service reports at all.",
        f"Nothing of {context.slo.service} reports; its objectives cannot be watched.",
        severity="critical",
        wait=4 * context.options.scrape,
    )


def _cache_full(context: Context) -> AlertRule:
    scope = context.scope
    cache = promql.gauge(catalogue.KV_CACHE_UTILIZATION, scope, "max")
    waiting = promql.gauge(catalogue.REQUESTS_WAITING, scope)
    return context.alert(
        "LLMKVCacheFull",
        f"{cache} > {_FULL}\nand {waiting} > 0",
        "The KV cache is full and requests wait for it.",
        f"Model {{{{ $labels.{context.model} }}}} of {context.slo.service} uses"
        " {{ $value | humanizePercentage }} of its KV cache while requests wait.",
        severity="warning",
        wait=20 * context.options.scrape,
    )


def _preemptions(context: Context) -> AlertRule:
    scope = context.scope
    window = format_duration(max(900, 8 * context.options.scrape))
    lost = promql.rate(catalogue.PREEMPTIONS, window, scope)
    done = promql.rate(catalogue.REQUESTS_FINISHED, window, scope)
    return context.alert(
        "LLMPreemptions",
        f"{promql.divide(lost, done)} > {_PREEMPTED}",
        "Running requests lose their KV cache to others and are computed again.",
        f"Model {{{{ $labels.{context.model} }}}} of {context.slo.service} preempted"
        f" {{{{ $value | humanize }}}} times a finished request in the last {window}.",
        severity="warning",
        wait=20 * context.options.scrape,
    )


def _queue_long(context: Context) -> AlertRule:
    scope = context.scope
    waiting = promql.gauge(catalogue.REQUESTS_WAITING, scope)
    running = promql.gauge(catalogue.REQUESTS_RUNNING, scope)
    return context.alert(
        "LLMQueueLong",
        f"{waiting} > {running}",
        "More requests wait than run.",
        f"Model {{{{ $labels.{context.model} }}}} of {context.slo.service} has {{{{ $value }}}}"
        " requests waiting, more than it runs: it has less room than its traffic needs.",
        severity="warning",
        wait=20 * context.options.scrape,
    )


def _source_down(context: Context) -> AlertRule:
    scope = replace(context.scope, by=())
    up = promql.selector(catalogue.SOURCE_UP, scope)
    source = context.vocabulary.label(catalogue.SOURCE.name)
    return context.alert(
        "LLMSourceDown",
        f"{up} == 0",
        "The collector cannot read one of its sources.",
        f"Source {{{{ $labels.{source} }}}} of {{{{ $labels.instance }}}} was not read whole.",
        severity="warning",
        wait=4 * context.options.scrape,
    )


def _watchdog(context: Context) -> AlertRule:
    return context.alert(
        WATCHDOG,
        "vector(1)",
        "Alerts get through; this one always fires.",
        f"The rules of {context.slo.service} are evaluated and their alerts are delivered."
        " Whoever receives this must notice when it stops.",
        severity="none",
    )


PACKS: dict[Pack, tuple[Maker, ...]] = {
    "stall": (_stalled,),
    "absence": (_model_absent, _service_absent),
    "saturation": (_cache_full, _preemptions, _queue_long),
    "gpu": gpu_alerts.MAKERS,
    "collector": (_source_down,),
    "watchdog": (_watchdog,),
    "estimates": estimates.MAKERS,
}


def _made(
    context: Context, pack: Pack
) -> tuple[tuple[AlertRule | RecordingRule, ...], list[NotReportedError]]:
    made, lacking = [], []
    for maker in PACKS[pack]:
        try:
            made.append(maker(context))
        except NotReportedError as exc:
            lacking.append(exc)
    return tuple(made), lacking


def group(context: Context, pack: Pack) -> Group:
    """The rules of a pack; raises NotReportedError where the source has none of its metrics."""
    made, lacking = _made(context, pack)
    if not made:
        raise lacking[0]
    name = f"firsttoken-{context.slo.service}-{pack}.rules"
    return Group(name, made, context.options.scrape)


def missing(context: Context, pack: Pack) -> tuple[str, ...]:
    """Which metrics the source lacks, so that a rule of the pack was left out."""
    return tuple(exc.metric.name for exc in _made(context, pack)[1])
