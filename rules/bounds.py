"""Which bucket bounds the latency histograms of each engine have, and what adds one.

Sources: vLLM 0.32 ``vllm/v1/metrics/buckets.py``, its older releases' ``metrics.py``; SGLang
``srt/metrics/collector.py`` (0.5); TensorRT-LLM ``metrics/collector.py`` (1.x); LMDeploy
``metrics/loggers.py`` (0.9 and later); TGI ``router/src/server.rs`` (3.3); Triton's documentation
of ``nv_inference_first_response_histogram_ms``.  The collector keeps an engine's bounds, so the
tables hold behind it too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate, repeat
from operator import mul
from typing import Literal

__all__ = ["ENGINES", "Engine", "EngineName", "LatencyKey", "Version", "version_of"]

LatencyKey = Literal["ttft", "tpot", "itl", "e2e", "queue"]
EngineName = Literal["vllm", "sglang", "trtllm", "lmdeploy", "tgi", "triton", "other"]
Version = tuple[int, ...]
Bounds = Mapping[LatencyKey, tuple[Decimal, ...]]


def version_of(text: str) -> Version:
    """``0.8.3`` as numbers that can be compared."""
    return tuple(int(part) for part in text.split("."))


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine's bounds in seconds, ascending; a metric that is missing has no histogram.

    ``older`` are bounds of releases before the one given, oldest first.  ``flags`` set the bounds
    of a metric's histogram, with ``{bounds}`` or ``{spaced}`` in place of them, from ``since`` on.
    """

    bounds: Bounds
    older: tuple[tuple[Version, Bounds], ...] = ()
    flags: Mapping[LatencyKey, str] = field(default_factory=dict)
    since: Version = ()

    def at(self, version: Version | None) -> Bounds:
        """The bounds of a release; of the newest when it is not known."""
        if version is not None:
            for before, bounds in self.older:
                if version < before:
                    return bounds
        return self.bounds


def _bounds(text: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(bound) for bound in text.split())


_LONG = " 120 240 480 960 1920 7680"
_LATENCY = "0.3 0.5 0.8 1 1.5 2 2.5 5 10 15 20 30 40 50 60"
_FIRST = "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10"
_GAP = "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1 2.5"


def _vllm(first: str, gap: str, latency: str) -> dict[LatencyKey, tuple[Decimal, ...]]:
    return {
        "ttft": _bounds(first),
        "tpot": _bounds(gap),
        "itl": _bounds(gap),
        "e2e": _bounds(latency),
        "queue": _bounds(latency),
    }


def _flag(family: str) -> str:
    return f"--custom-histogram-buckets '{{\"{family}\":[{{bounds}}]}}'"


_VLLM = _vllm(f"{_FIRST} 20 40 80 160 640 2560", f"{_GAP} 5 7.5 10 20 40 80", _LATENCY + _LONG)
_TENTHS = "0.1 0.2 0.4 0.6 0.8 1 2 4 6 8 10 20 40 60 80 100 200 400"
# A geometric series of floats, with all the digits that they have.
_SERIES = accumulate(repeat(1.5, 35), mul, initial=0.0001)
_TGI = tuple(Decimal(repr(bound)) for bound in _SERIES)[1:]

ENGINES: dict[EngineName, Engine] = {
    "vllm": Engine(
        _VLLM,
        older=(
            ((0, 6, 4), _vllm(_FIRST, _GAP, "1 2.5 5 10 15 20 30 40 50 60")),
            ((0, 8, 4), _vllm(_FIRST, _GAP, _LATENCY)),
        ),
        flags={
            "ttft": _flag("time_to_first_token"),
            "tpot": _flag("inter_token_latency"),
            "itl": _flag("inter_token_latency"),
            "e2e": _flag("request_latency"),
            "queue": _flag("request_latency"),
        },
        since=(0, 32),
    ),
    "sglang": Engine(
        {
            "ttft": _bounds(_TENTHS),
            "itl": _bounds(
                "0.002 0.004 0.006 0.008 0.01 0.015 0.02 0.025 0.03 0.035 0.04 0.06 0.08 0.1 0.2"
                " 0.4 0.6 0.8 1 2 4 6 8"
            ),
            "e2e": _bounds(f"{_TENTHS} 600 1200 1800 2400"),
            "queue": _bounds(
                "0.1 0.2 0.5 1 2 3 4 5 10 15 20 30 40 50 60 70 80 90 100 200 300 400 500 600 700"
                " 800 900 1000 1200 1400 1600 1800 2000 2500 3000"
            ),
        },
        flags={
            "ttft": "--bucket-time-to-first-token {spaced}",
            "itl": "--bucket-inter-token-latency {spaced}",
            "e2e": "--bucket-e2e-request-latency {spaced}",
        },
    ),
    "trtllm": Engine({key: _VLLM[key] for key in ("ttft", "tpot", "e2e", "queue")}),
    "lmdeploy": Engine({key: _VLLM[key] for key in ("ttft", "itl", "e2e", "queue")}),
    "tgi": Engine({"e2e": _TGI, "queue": _TGI}),
    "triton": Engine({"ttft": _bounds("0.1 0.5 2 5")}),
}
"""Engine -> its histograms; ``other`` is one of which nothing is known."""
