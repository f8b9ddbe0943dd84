"""Alerts on GPUs of any vendor: page where a node must be drained, a ticket where one wears out.

Sources: NVIDIA's catalogue of XID errors and its actions; the metrics of dcgm-exporter and of
AMD's device-metrics-exporter.
"""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from firsttoken import catalogue, promql
from firsttoken.catalogue import HW_ID, Metric
from firsttoken.promql import Matcher, Scope
from firsttoken.rules.model import AlertRule, Context
from firsttoken.vocabulary import NotReportedError

__all__ = ["APPLICATION_XIDS", "FATAL_XIDS", "MAKERS"]

FATAL_XIDS = (
    *(46, 48, 62, 64, 74, 79, 95, 109, 110, 119, 120, 136, 140, 143),
    *(144, 145, 146, 147, 148, 149, 150, 155, 156, 158),
)
"""XID codes after which a GPU must be reset or its node drained."""
APPLICATION_XIDS = (13, 31, 43, 45, 68, 69, 94)
"""XID codes of an application that failed, while the GPU is sound."""
_HOT = ("hw_thermal", "sw_thermal", "hw_slowdown", "hw_power_brake")
"""Clock events of NVIDIA that are not the user's own limit."""
_HOT_PLACES = ("processor_hot", "socket_thermal", "vr_thermal", "hbm_thermal")
"""Reasons of AMD."""
_THROTTLED = Decimal("0.1")
"""The share of time with lowered clocks that is worth a ticket."""


def _metric(name: str) -> Metric:
    found = catalogue.find(name)
    if found is None:
        raise ValueError(f"{name} is not in the catalogue")
    return found


XID_COUNT = _metric("hw.gpu.xid.errors")
ERRORS = _metric("hw.errors")
REMAPPED = _metric("hw.gpu.memory.remapped_rows")
REMAP_FAILED = _metric("hw.gpu.memory.row_remap.failed")
LINK_ERRORS = _metric("hw.gpu.link.errors")
CLOCK_EVENTS = _metric("hw.gpu.clock_events")
THROTTLE_RATIO = _metric("hw.gpu.throttle.ratio")
STATUS = _metric("hw.status")


def _scope(context: Context) -> Scope:
    # Engine labels do not exist on GPU series; the selector's place labels do.
    return replace(context.scope, by=("instance", HW_ID.name))


def _gpu(context: Context) -> str:
    label = context.vocabulary.label(HW_ID.name)
    return f"GPU {{{{ $labels.{label} }}}} of {{{{ $labels.instance }}}}"


def _any(*makers: Callable[[], str]) -> str:
    """All the ways of seeing something that the source has, the first one first."""
    found, lacking = [], []
    for maker in makers:
        try:
            found.append(maker())
        except NotReportedError as exc:
            lacking.append(exc)
    if not found:
        raise lacking[0]
    return "\nor ".join(found)


def _new_xid(context: Context, codes: tuple[int, ...]) -> str:
    """The code of a GPU's last XID, for an hour after it was new.

    The gauge keeps its last code until the exporter restarts.  Where errors are counted too, one
    with the code of the last is seen as well.
    """
    scope = _scope(context)

    def last() -> str:
        xid = promql.selector(catalogue.GPU_XID_LAST, scope)
        found = "\nor ".join(f"{xid} == {code}" for code in codes)
        return f"max{scope.grouping()} (({found})\nunless {xid} == {xid} offset 1h)"

    def counted() -> str:
        listed = "|".join(map(str, codes))
        some = scope.matching(Matcher("hw.gpu.xid.code", listed, "=~"))
        return f"max{scope.grouping()} ({promql.selector(XID_COUNT, some)}) > 0"

    return _any(last, counted)


def _fatal_xid(context: Context) -> AlertRule:
    return context.alert(
        "GPUFatalXid",
        _new_xid(context, FATAL_XIDS),
        "A GPU reported an error after which it must be reset.",
        f"{_gpu(context)} reported XID {{{{ $value }}}}; drain the node and reset the GPU.",
        severity="critical",
    )


def _application_xid(context: Context) -> AlertRule:
    return context.alert(
        "GPUApplicationXid",
        _new_xid(context, APPLICATION_XIDS),
        "An application on a GPU failed; the GPU itself is sound.",
        f"{_gpu(context)} reported XID {{{{ $value }}}}, which the application caused.",
        severity="info",
    )


def _remap_failed(context: Context) -> AlertRule:
    scope = _scope(context)
    return context.alert(
        "GPURowRemapFailed",
        f"max{scope.grouping()} ({promql.selector(REMAP_FAILED, scope)}) > 0",
        "A GPU has no spare memory left for a row that failed.",
        f"{_gpu(context)} could not remap a failed row of its memory; have it replaced.",
        severity="critical",
        wait=2 * context.options.scrape,
    )


def _uncorrected(context: Context, metric: Metric) -> str:
    # A rate, because the counts stay until the GPU is reset.
    scope = _scope(context).matching(Matcher("error.type", "uncorrected"))
    return f"{promql.rate(metric, '1h', scope)} > 0"


def _rows_remapped(context: Context) -> AlertRule:
    return context.alert(
        "GPURowsRemapped",
        _uncorrected(context, REMAPPED),
        "A GPU replaced rows of its memory after errors that it could not correct.",
        f"{_gpu(context)} remapped rows of its memory in the last hour.",
        severity="warning",
    )


def _memory_errors(context: Context) -> AlertRule:
    return context.alert(
        "GPUMemoryErrors",
        _uncorrected(context, ERRORS),
        "A GPU has new errors that it could not correct.",
        f"{_gpu(context)} had errors in the last hour that it could not correct.",
        severity="critical",
    )


def _throttled(context: Context) -> AlertRule:
    scope = _scope(context)

    def events() -> str:
        hot = scope.matching(Matcher("hw.gpu.clock_event", "|".join(_HOT), "=~"))
        return f"max{scope.grouping()} ({promql.selector(CLOCK_EVENTS, hot)}) > 0"

    def share() -> str:
        hot = scope.matching(Matcher("hw.gpu.throttle.reason", "|".join(_HOT_PLACES), "=~"))
        limit = _THROTTLED / context.vocabulary.find(THROTTLE_RATIO, {})[0].scale
        series = promql.selector(THROTTLE_RATIO, hot)
        return f"max{scope.grouping()} ({series}) > {limit.normalize():f}"

    return context.alert(
        "GPUThrottled",
        _any(events, share),
        "A GPU lowers its clocks because it is too hot or short of power.",
        f"{_gpu(context)} has run with lowered clocks for some time; what it serves is slower.",
        severity="warning",
        wait=20 * context.options.scrape,
    )


def _link_errors(context: Context) -> AlertRule:
    scope = _scope(context)
    return context.alert(
        "GPULinkErrors",
        f"{promql.rate(LINK_ERRORS, '15m', scope)} * 900 > 0",
        "The links between GPUs have errors.",
        f"{_gpu(context)} has {{{{ $value | humanize }}}} new errors on its links in 15 min.",
        severity="warning",
    )


def _unhealthy(context: Context) -> AlertRule:
    scope = _scope(context).matching(Matcher("hw.state", "ok"))
    return context.alert(
        "GPUUnhealthy",
        f"min{scope.grouping()} ({promql.selector(STATUS, scope)}) == 0",
        "A GPU's exporter says that it is not healthy.",
        f"{_gpu(context)} is not in the state ok.",
        severity="critical",
        wait=4 * context.options.scrape,
    )


def _vanished(context: Context) -> AlertRule:
    # A GPU off the bus reports no error, it stops reporting.  Others of the same exporter must
    # still report, so that a node or a replica that was taken away is none of this.
    scope = _scope(context)
    recent = promql.selector(catalogue.GPU_UTILIZATION, scope, window="1h")
    now = promql.selector(catalogue.GPU_UTILIZATION, scope)
    return context.alert(
        "GPUVanished",
        f"count{scope.grouping()} (present_over_time({recent}))"
        f"\nunless count{scope.grouping()} ({now})"
        f"\nand on (instance) count by (instance) ({now})",
        "A GPU that reported in the last hour does not any more, while others beside it do.",
        f"{_gpu(context)} is gone: off the bus, or taken from the container.",
        severity="critical",
        wait=4 * context.options.scrape,
    )


MAKERS = (
    _fatal_xid,
    _application_xid,
    _remap_failed,
    _rows_remapped,
    _memory_errors,
    _throttled,
    _link_errors,
    _unhealthy,
    _vanished,
)
"""One alert each."""
