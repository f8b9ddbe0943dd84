"""promtool unit tests of the packs' alerts: when each must fire, and what only looks like it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from firsttoken import catalogue as c
from firsttoken.catalogue import Metric
from firsttoken.rules import gpu_alerts as gpu
from firsttoken.rules import packs
from firsttoken.rules.model import AlertRule, Context
from firsttoken.rules.series import MODEL, one_series
from firsttoken.vocabulary import NotReportedError

__all__ = ["tests"]

_STEPS = 40
"""Longer than any alert of a pack waits."""
_ENGINE = {c.REQUEST_MODEL.name: MODEL, "instance": "engine"}
_OUTPUT = {**_ENGINE, "gen_ai.token.type": "output"}
_GPU = {c.HW_ID.name: "GPU-1", "instance": "node"}
_OTHER_GPU = {**_GPU, c.HW_ID.name: "GPU-2"}
_LOST = {**_GPU, "error.type": "uncorrected"}


@dataclass(frozen=True, slots=True)
class _Case:
    """Series, each as metric, attributes and values in promtool's notation; what they mean."""

    title: str
    fires: bool
    series: tuple[tuple[Metric, Mapping[str, str], str], ...]
    steps: int = field(default=_STEPS)


def _engine(running: str, waiting: str, *more: tuple[Metric, Mapping[str, str], str]) -> Any:
    return (
        (c.REQUESTS_RUNNING, _ENGINE, running), (c.REQUESTS_WAITING, _ENGINE, waiting), *more
    )  # fmt: skip


_N = _STEPS
_GONE = f"0x20 stale _x{_N - 21}"
CASES: dict[str, tuple[_Case, ...]] = {
    "LLMEngineStalled": (
        _Case("requests and no tokens", True,
              _engine(f"3x{_N}", f"0x{_N}", (c.TOKENS_PROCESSED, _OUTPUT, f"7x{_N}"))),
        _Case("requests and tokens", False,
              _engine(f"3x{_N}", f"0x{_N}", (c.TOKENS_PROCESSED, _OUTPUT, f"0+9x{_N}"))),
        _Case("idle", False,
              _engine(f"0x{_N}", f"0x{_N}", (c.TOKENS_PROCESSED, _OUTPUT, f"7x{_N}"))),
    ),
    "LLMModelAbsent": (
        _Case("gone", True, _engine(_GONE, _GONE)),
        _Case("idle", False, _engine(f"0x{_N}", f"0x{_N}")),
    ),
    "LLMServiceAbsent": (
        _Case("never there", True, ()),
        _Case("idle", False, _engine(f"0x{_N}", f"0x{_N}")),
    ),
    "LLMKVCacheFull": (
        _Case("full, and requests wait", True,
              _engine(f"9x{_N}", f"5x{_N}", (c.KV_CACHE_UTILIZATION, _ENGINE, f"1x{_N}"))),
        _Case("full, and none waits", False,
              _engine(f"9x{_N}", f"0x{_N}", (c.KV_CACHE_UTILIZATION, _ENGINE, f"1x{_N}"))),
    ),
    "LLMPreemptions": (
        _Case("every second request", True,
              ((c.PREEMPTIONS, _ENGINE, f"0+5x{_N}"), (c.REQUESTS_FINISHED, _ENGINE,
                                                       f"0+10x{_N}"))),
        _Case("few", False,
              ((c.PREEMPTIONS, _ENGINE, f"0+1x{_N}"), (c.REQUESTS_FINISHED, _ENGINE,
                                                       f"0+100x{_N}"))),
        _Case("idle", False,
              ((c.PREEMPTIONS, _ENGINE, f"5x{_N}"), (c.REQUESTS_FINISHED, _ENGINE, f"9x{_N}"))),
    ),
    "LLMQueueLong": (
        _Case("more wait than run", True, _engine(f"3x{_N}", f"5x{_N}")),
        _Case("fewer wait than run", False, _engine(f"9x{_N}", f"5x{_N}")),
        _Case("idle", False, _engine(f"0x{_N}", f"0x{_N}")),
    ),
    "LLMSourceDown": (
        _Case("not read", True, ((c.SOURCE_UP, {c.SOURCE.name: "gpu"}, f"0x{_N}"),)),
        _Case("read again", False, ((c.SOURCE_UP, {c.SOURCE.name: "gpu"}, f"0x3 1x{_N - 4}"),)),
    ),
    "LLMWatchdog": (_Case("always", True, ()),),
    "GPURowRemapFailed": (
        _Case("failed", True, ((gpu.REMAP_FAILED, _GPU, f"1x{_N}"),)),
        _Case("sound", False, ((gpu.REMAP_FAILED, _GPU, f"0x{_N}"),)),
    ),
    "GPURowsRemapped": (
        _Case("a new one", True, ((gpu.REMAPPED, _LOST, f"4x{_N - 10} 5x9"),)),
        _Case("old ones", False, ((gpu.REMAPPED, _LOST, f"4x{_N}"),)),
    ),
    "GPUMemoryErrors": (
        _Case("a new one", True, ((gpu.ERRORS, _LOST, f"4x{_N - 10} 5x9"),)),
        _Case("old ones", False, ((gpu.ERRORS, _LOST, f"4x{_N}"),)),
    ),
    "GPUThrottled": (
        _Case("hot", True,
              ((gpu.CLOCK_EVENTS, {**_GPU, "hw.gpu.clock_event": "hw_thermal"}, f"3x{_N}"),)),
        _Case("held to its power limit", False,
              ((gpu.CLOCK_EVENTS, {**_GPU, "hw.gpu.clock_event": "power_cap"}, f"3x{_N}"),)),
        _Case("a fifth of the time", True,
              ((gpu.THROTTLE_RATIO, {**_GPU, "hw.gpu.throttle.reason": "socket_thermal"},
                f"20x{_N}"),)),
    ),
    "GPULinkErrors": (
        _Case("new ones", True,
              ((gpu.LINK_ERRORS, {**_GPU, "hw.gpu.link.type": "nvlink", "error.type": "replay"},
                f"0+1x{_N}"),)),
        _Case("old ones", False,
              ((gpu.LINK_ERRORS, {**_GPU, "hw.gpu.link.type": "nvlink", "error.type": "replay"},
                f"8x{_N}"),)),
    ),
    "GPUUnhealthy": (
        _Case("not ok", True, ((gpu.STATUS, {**_GPU, "hw.state": "ok"}, f"0x{_N}"),)),
        _Case("ok", False, ((gpu.STATUS, {**_GPU, "hw.state": "ok"}, f"1x{_N}"),)),
    ),
    "GPUVanished": (
        _Case("one of two", True,
              ((c.GPU_UTILIZATION, _GPU, _GONE), (c.GPU_UTILIZATION, _OTHER_GPU, f"0x{_N}"))),
        _Case("both", False,
              ((c.GPU_UTILIZATION, _GPU, _GONE), (c.GPU_UTILIZATION, _OTHER_GPU, _GONE))),
        _Case("idle", False,
              ((c.GPU_UTILIZATION, _GPU, f"0x{_N}"), (c.GPU_UTILIZATION, _OTHER_GPU, f"0x{_N}"))),
    ),
}  # fmt: skip
"""Alert -> when it fires, and what only looks like it."""


def _xids(scrape: int) -> dict[str, tuple[_Case, ...]]:
    """A code is new for an hour, however often that is scraped."""
    old = 3600 // scrape + 30
    return {
        name: (
            _Case("new", True, ((c.GPU_XID_LAST, _GPU, f"0x{_N - 10} {code}x9"),)),
            _Case("old", False, ((c.GPU_XID_LAST, _GPU, f"{code}x{old}"),), old),
            _Case("of another kind", False, ((c.GPU_XID_LAST, _GPU, f"0x9 {other}x{_N - 10}"),)),
        )
        for name, code, other in (("GPUFatalXid", 79, 13), ("GPUApplicationXid", 13, 79))
    }


def tests(context: Context) -> list[dict[str, Any]]:
    """The tests of all packs of the file; an alert that the source has no metric for has none."""
    known = CASES | _xids(context.options.scrape)
    return [
        _test(context, rule.alert, case, series)
        for pack in dict.fromkeys(context.slo.packs)
        for rule in packs.group(context, pack).rules
        if isinstance(rule, AlertRule)
        for case in known[rule.alert]
        for series in _made(context, case)
    ]


def _made(context: Context, case: _Case) -> Iterator[list[dict[str, str]]]:
    """The series of a case; nothing where the source has not all of them."""
    try:
        yield [one_series(context, *one) for one in case.series]
    except NotReportedError:
        return


def _test(
    context: Context, alert: str, case: _Case, series: list[dict[str, str]]
) -> dict[str, Any]:
    firing = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)'
    count = [{"labels": "{}", "value": int(case.fires)}]
    return {
        "name": f"{alert}: {case.title}",
        "interval": f"{context.options.scrape}s",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": f"{case.steps * context.options.scrape}s",
                "exp_samples": count,
            }
        ],
    }
