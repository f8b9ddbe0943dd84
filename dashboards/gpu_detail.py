"""Charts with a line for each GPU, and what only some GPUs report."""

from firsttoken import promql
from firsttoken.catalogue import GPU_XID_LAST, HW_ID
from firsttoken.dashboards import measures
from firsttoken.dashboards.board import reported
from firsttoken.dashboards.grafana import Panel
from firsttoken.dashboards.panels import COSTLY_POINTS, legend_of, query, state_timeline, timeseries
from firsttoken.dashboards.style import GOOD, values
from firsttoken.promql import Matcher, Scope

__all__ = ["INDEX", "KEY", "NO_XID", "activity", "gpu_chart", "nvidia", "wear"]

INDEX = "hw.gpu.index"
KEY = ("instance", INDEX, HW_ID.name)
"""What stays apart when it is each GPU that counts."""
MOST = 32
NO_XID = values({"0": ("none", GOOD)})


def _legend(scope: Scope) -> str:
    """The index first: the ids of one host's GPUs often differ only in the characters cut off."""
    return legend_of(*_labels(scope))


def _labels(scope: Scope) -> tuple[str, ...]:
    return ("instance", *(scope.vocabulary.label(name) for name in KEY[1:]))


def gpu_chart(
    scope: Scope,
    title: str,
    text: str,
    expression: str,
    unit: str,
    *,
    most: float | None = None,
    always: tuple[float, float] | None = None,
    width: int = 8,
    points: int | None = None,
) -> Panel:
    """A line for each GPU, from an expression that keeps ``KEY`` apart."""
    return timeseries(
        title,
        f"{text} The {MOST} GPUs that are highest over the time range.",
        [query(measures.highest(MOST, expression, *_labels(scope)), _legend(scope))],
        unit,
        width=width,
        maximum=most,
        always=always,
        many=True,
        points=points,
    )


def activity(scope: Scope) -> tuple[Panel, ...]:
    """Which part of the GPU works, where an exporter measures it (DCGM's profiling fields do)."""
    each = scope.kept(*KEY)
    tensor = each.matching(Matcher("hw.gpu.pipe", "tensor"))
    return reported(
        lambda: gpu_chart(
            scope,
            "Memory bandwidth",
            "Share of the peak memory bandwidth in use. Decoding reads all weights for each step: "
            "near 80 % there is nothing left to gain but larger batches.",
            promql.gauge(measures.entry("hw.gpu.memory.bandwidth.utilization"), each, "max"),
            "percentunit",
            most=1,
            width=12,
        ),
        lambda: gpu_chart(
            scope,
            "Tensor pipes",
            "Share of cycles with a tensor pipe active. High with low bandwidth is prefill, low "
            "with high bandwidth is decoding, both low at full utilisation is a small batch.",
            promql.gauge(measures.entry("hw.gpu.pipe.utilization"), tensor, "max"),
            "percentunit",
            most=1,
            width=12,
        ),
    )


def wear(scope: Scope) -> tuple[Panel, ...]:
    """What a GPU counts before it fails, and what slows it down, where an exporter says so."""
    each = scope.kept(*KEY)
    # NVIDIA's driver counts each error twice: since it was loaded, and since the GPU was made.
    once = each.matching(Matcher("hw.gpu.ecc.scope", "aggregate", "!="))

    def counted(name: str, title: str, text: str, of: Scope = each) -> Panel:
        found = promql.increase(measures.entry(name), "$__rate_interval", of)
        return gpu_chart(scope, title, text, found, "short", always=(0, 1), width=12)

    return reported(
        lambda: counted(
            "hw.errors",
            "Memory errors",
            "ECC errors, corrected and not. Corrected ones that come faster and faster announce "
            "the others; after an uncorrected one the GPU wants a reset.",
            once,
        ),
        lambda: counted(
            "hw.gpu.memory.remapped_rows",
            "Remapped rows",
            "Rows of memory replaced by spare ones. The spare ones run out: then the GPU is "
            "exchanged.",
        ),
        lambda: counted(
            "hw.gpu.pcie.replays",
            "PCIe replays",
            "Packets sent again. A steady flow is a bad slot, riser or cable.",
        ),
        lambda: gpu_chart(
            scope,
            "Throttled",
            "Share of time with lowered clocks, for the reason with the largest. Heat is cooling, "
            "power is the limit that was set.",
            promql.gauge(measures.entry("hw.gpu.throttle.ratio"), each, "max"),
            "percentunit",
            most=1,
            width=12,
        ),
    )


def nvidia(scope: Scope) -> tuple[Panel, ...]:
    """What only NVIDIA's driver reports."""
    each = scope.kept(*KEY)
    return reported(
        lambda: state_timeline(
            "Last XID",
            "The last error code that the NVIDIA driver reported, since when, for GPUs that have "
            "one. It stays until the exporter restarts. NVIDIA's XID catalogue says what each "
            "means: 13, 31 and 43 are the application's; 48, 74, 79 and 95 are the hardware's.",
            [
                query(
                    measures.highest(
                        MOST, promql.gauge(GPU_XID_LAST, each, "max"), *_labels(scope)
                    ),
                    _legend(scope),
                )
            ],
            mappings=[NO_XID],
            points=COSTLY_POINTS,
        ),
    )
