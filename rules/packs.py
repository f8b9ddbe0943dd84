"""Alerts beside the objectives: what latency histograms cannot see, switched on by name."""

from collections.abc import Callable
from dataclasses import replace

from firsttoken import catalogue, promql
from firsttoken.config import format_duration
from firsttoken.promql import Scope
from firsttoken.rules.model import AlertRule, Context, Group
from firsttoken.rules.slo import Pack

__all__ = ["FATAL_XIDS", "PACKS", "WATCHDOG", "group"]

WATCHDOG = "LLMWatchdog"

FATAL_XIDS = (46, 48, 62, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158)
"""XID codes after which a GPU must be reset or its node drained (NVIDIA's XID catalogue)."""
_FULL = "0.95"


def _stall(context: Context) -> tuple[AlertRule, ...]:
    scope = context.scope
    window = format_duration(max(60, 4 * context.options.scrape))
    # The mean over the window: clients that give up and try again leave gaps, and a request that
    # has only just come is no sign of a stall.
    held = " + ".join(
        f"sum{scope.grouping()} (avg_over_time({promql.selector(metric, scope, window=window)}))"
        for metric in (catalogue.REQUESTS_RUNNING, catalogue.REQUESTS_WAITING)
    )
    output = scope.matching(promql.Matcher("gen_ai.token.type", "output"))
    tokens = promql.rate(catalogue.TOKENS_PROCESSED, window, output)
    return (
        context.alert(
            "LLMEngineStalled",
            f"({held}) > 0.5\nunless {tokens} > 0",
            "The engine holds requests and produces no tokens.",
            f"Model {{{{ $labels.{context.model} }}}} of {context.slo.service} has"
            f" {{{{ $value | humanize }}}} requests on average and made no token in {window}."
            " Latency histograms stay silent, because they count only what got its token.",
            severity="critical",
            wait=2 * context.options.scrape,
        ),
    )


def _absence(context: Context) -> tuple[AlertRule, ...]:
    scope = context.scope
    now = promql.gauge(catalogue.REQUESTS_RUNNING, scope, "count")
    recent = promql.selector(catalogue.REQUESTS_RUNNING, scope, window="1h")
    series = promql.selector(catalogue.REQUESTS_RUNNING, scope)
    wait = 4 * context.options.scrape
    return (
        context.alert(
            "LLMModelAbsent",
            f"count{scope.grouping()} (present_over_time({recent}))\nunless {now}",
            "A model that was served in the last hour reports nothing.",
            f"Model {{{{ $labels.{context.model} }}}} of {context.slo.service} had"
            " {{ $value }} series and has none now. An idle engine still reports; this one does"
            " not, or is not scraped.",
            severity="critical",
            wait=wait,
        ),
        context.alert(
            "LLMServiceAbsent",
            f"absent({series})",
            "No engine of the service reports at all.",
            f"Nothing of {context.slo.service} reports; its objectives cannot be watched.",
            severity="critical",
            wait=wait,
        ),
    )


def _saturation(context: Context) -> tuple[AlertRule, ...]:
    scope = context.scope
    cache = promql.gauge(catalogue.KV_CACHE_UTILIZATION, scope, "max")
    waiting = promql.gauge(catalogue.REQUESTS_WAITING, scope)
    return (
        context.alert(
            "LLMKVCacheFull",
            f"{cache} > {_FULL}\nand {waiting} > 0",
            "The KV cache is full and requests wait for it.",
            f"Model {{{{ $labels.{context.model} }}}} of {context.slo.service} uses"
            " {{ $value | humanizePercentage }} of its KV cache while requests wait.",
            severity="warning",
            wait=20 * context.options.scrape,
        ),
    )


def _gpu(context: Context) -> tuple[AlertRule, ...]:
    # Engine labels do not exist on GPU series; the selector's place labels do.
    scope = replace(context.scope, by=())
    xid = promql.selector(catalogue.GPU_XID_LAST, scope)
    fatal = "\nor ".join(f"{xid} == {code}" for code in FATAL_XIDS)
    return (
        context.alert(
            "GPUFatalXid",
            # The gauge keeps its last code until a restart: only what is new in the hour counts.
            f"({fatal})\nunless {xid} == {xid} offset 1h",
            "A GPU reported an error after which it must be reset.",
            "GPU {{ $labels.hw_id }} reported XID {{ $value }}; drain the node and reset the GPU.",
            severity="critical",
        ),
        _vanished(context, scope),
    )


def _vanished(context: Context, scope: Scope) -> AlertRule:
    # A GPU off the bus reports no error, it stops reporting.  Others of the same exporter must
    # still report, so that a node or a replica that was taken away is none of this.
    gpu = context.vocabulary.label(catalogue.HW_ID.name)
    recent = promql.selector(catalogue.GPU_UTILIZATION, scope, window="1h")
    now = promql.selector(catalogue.GPU_UTILIZATION, scope)
    return context.alert(
        "GPUVanished",
        f"count by (instance, {gpu}) (present_over_time({recent}))"
        f"\nunless count by (instance, {gpu}) ({now})"
        f"\nand on (instance) count by (instance) ({now})",
        "A GPU that reported in the last hour does not any more, while others beside it do.",
        f"GPU {{{{ $labels.{gpu} }}}} of {{{{ $labels.instance }}}} is gone: off the bus, or taken"
        " from the container.",
        severity="critical",
        wait=4 * context.options.scrape,
    )


def _collector(context: Context) -> tuple[AlertRule, ...]:
    scope = replace(context.scope, by=())
    up = promql.selector(catalogue.SOURCE_UP, scope)
    source = context.vocabulary.label(catalogue.SOURCE.name)
    return (
        context.alert(
            "LLMSourceDown",
            f"{up} == 0",
            "The collector cannot read one of its sources.",
            f"Source {{{{ $labels.{source} }}}} of {{{{ $labels.instance }}}} was not read whole.",
            severity="warning",
            wait=4 * context.options.scrape,
        ),
    )


def _watchdog(context: Context) -> tuple[AlertRule, ...]:
    return (
        context.alert(
            WATCHDOG,
            "vector(1)",
            "Alerts get through; this one always fires.",
            f"The rules of {context.slo.service} are evaluated and their alerts are delivered."
            " Whoever receives this must notice when it stops.",
            severity="none",
        ),
    )


PACKS: dict[Pack, Callable[[Context], tuple[AlertRule, ...]]] = {
    "stall": _stall,
    "absence": _absence,
    "saturation": _saturation,
    "gpu": _gpu,
    "collector": _collector,
    "watchdog": _watchdog,
}


def group(context: Context, pack: Pack) -> Group:
    """The alerts of a pack; raises NotReportedError where the vocabulary lacks a metric."""
    name = f"firsttoken-{context.slo.service}-{pack}.rules"
    return Group(name, PACKS[pack](context), context.options.scrape)
