"""The engine's families on ``/metrics``: names, types, labels and bounds of vLLM 0.32.

Each is observed where vLLM observes it: prompt tokens and TTFT at a request's first token, the
request's durations at its end, gauges after each step.  A request whose client went away is not
among the finished ones, as in vLLM, whose ``finished_reason="abort"`` stays at zero then.
"""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from firsttoken.simulate.cacheinfo import cache_config
from firsttoken.simulate.model import Emission, Request, Scheduler, Step
from firsttoken.simulate.settings import Simulation

__all__ = ["EngineMetrics", "token_bounds"]

_LATENCY = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_INTER_TOKEN = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
_ITERATION = tuple(1 << power for power in (0, *range(3, 15)))
_N = (1, 2, 5, 10, 20)
_PREEMPTIONS = (1, 2, 3, 4, 5, 10, 20)

_FINISHED = ("stop", "length", "abort", "error", "repetition")
_PROMPT_SOURCES = ("local_compute", "local_cache_hit", "external_kv_transfer")
_CACHE_SOURCES = ("device", "host", "p2p", "disk", "external_unspecified")
# Counters of features that the simulated engine has not: there, and zero.
_UNUSED = {
    "external_prefix_cache_queries": "Tokens looked up in a cache outside the engine.",
    "external_prefix_cache_hits": "Tokens found in a cache outside the engine.",
    "mm_cache_queries": "Items looked up in the multi-modal cache.",
    "mm_cache_hits": "Items found in the multi-modal cache.",
    "estimated_flops_per_gpu": "Estimated floating point operations of one GPU.",
    "estimated_read_bytes_per_gpu": "Estimated bytes that one GPU read from its memory.",
    "estimated_write_bytes_per_gpu": "Estimated bytes that one GPU wrote to its memory.",
}


def token_bounds(max_model_len: int) -> list[float]:
    """Bucket bounds of token counts: 1, 2, 5, 10, ... up to the model's length."""
    bounds: list[float] = []
    power = 1
    while True:
        for mantissa in (1, 2, 5):
            if mantissa * power > max_model_len:
                return bounds
            bounds.append(mantissa * power)
        power *= 10


class EngineMetrics:
    """All ``vllm:`` families of one engine, in a registry."""

    def __init__(self, simulation: Simulation, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._values = {"model_name": simulation.model, "engine": "0"}
        self._make_gauges()
        self._make_counters()
        self._make_histograms(token_bounds(simulation.parameters.max_model_len))
        info = cache_config(simulation.parameters) | {"engine": "0"}
        Gauge("vllm:cache_config_info", "The KV cache.", list(info), registry=registry).labels(
            **info
        ).set(1)

    def state(self, scheduler: Scheduler) -> None:
        """Set the gauges."""
        waiting = len(scheduler.waiting)
        self._running.set(len(scheduler.running))
        self._waiting.set(waiting)
        self._waiting_for_capacity.set(waiting)
        self._kv_usage.set(scheduler.pool.usage)

    def step(self, step: Step, emissions: Sequence[Emission], scheduler: Scheduler) -> None:
        """Count what a step did as a whole."""
        self.state(scheduler)
        self._preemptions.inc(step.preempted)
        self._prefix_queries.inc(step.queried_tokens)
        self._prefix_hits.inc(step.hit_tokens)
        self._cached_by_source["device"].inc(step.hit_tokens)
        if emissions:
            tokens = 0
            for emission in emissions:
                request = emission.request
                if emission.previous is None:
                    tokens += len(request.prompt) - request.cached
                tokens += not request.fails
            self._iteration.observe(tokens)

    def emission(self, emission: Emission, arrival: float, now: float) -> None:
        """Count one token, or the failure in its place."""
        request = emission.request
        if not request.fails:
            self._generated.inc()
        if emission.previous is not None:
            self._itl.observe(now - emission.previous)
            return
        self._prompt.inc(len(request.prompt))
        self._cached.inc(request.cached)
        self._prompt_by_source["local_compute"].inc(len(request.prompt) - request.cached)
        self._prompt_by_source["local_cache_hit"].inc(request.cached)
        self._ttft.observe(now - arrival)

    def finished(
        self, request: Request, reason: str, max_tokens: int, arrival: float, now: float
    ) -> None:
        """Count a request that has ended."""
        queued = request.queued
        scheduled = now if request.scheduled is None else request.scheduled
        first = now if request.first_token is None else request.first_token
        last = now if request.last_token is None else request.last_token
        later = request.generated - 1
        self._success[reason].inc()
        self._e2e.observe(now - arrival)
        self._queue.observe(scheduled - queued)
        self._prefill.observe(first - scheduled)
        self._decode.observe(last - first)
        self._inference.observe(last - scheduled)
        self._tpot.observe((last - first) / later if later > 0 else 0)
        self._request_prompt.observe(len(request.prompt))
        self._request_generated.observe(request.generated)
        self._request_max_generated.observe(request.generated)
        self._request_computed.observe(len(request.prompt) - request.cached)
        self._request_preemptions.observe(request.preemptions)
        self._request_max_tokens.observe(max_tokens)
        self._request_n.observe(1)

    def _make_gauges(self) -> None:
        self._running = self._gauge("num_requests_running", "Requests in the running batch.")
        self._waiting = self._gauge("num_requests_waiting", "Requests that wait.")
        reasons = self._gauges(
            "num_requests_waiting_by_reason",
            "Requests that wait, by the reason.",
            "reason",
            ("capacity", "deferred"),
        )
        self._waiting_for_capacity = reasons["capacity"]
        self._kv_usage = self._gauge("kv_cache_usage_perc", "KV cache in use, 0 to 1.")
        self._gauges(
            "engine_sleep_state",
            "1 for the state in which the engine is.",
            "sleep_state",
            ("awake", "weights_offloaded", "discard_all"),
        )["awake"].set(1)

    def _make_counters(self) -> None:
        self._preemptions = self._counter("num_preemptions", "Preemptions.")
        self._prefix_queries = self._counter("prefix_cache_queries", "Prompt tokens looked up.")
        self._prefix_hits = self._counter("prefix_cache_hits", "Prompt tokens found.")
        self._prompt = self._counter("prompt_tokens", "Prompt tokens.")
        self._cached = self._counter("prompt_tokens_cached", "Prompt tokens from the cache.")
        self._generated = self._counter("generation_tokens", "Generated tokens.")
        self._prompt_by_source = self._counters(
            "prompt_tokens_by_source", "Prompt tokens by source.", "source", _PROMPT_SOURCES
        )
        self._cached_by_source = self._counters(
            "prompt_tokens_cached_by_source",
            "Prompt tokens from the cache, by where that is.",
            "source",
            _CACHE_SOURCES,
        )
        self._success = self._counters(
            "request_success", "Requests that ended, however.", "finished_reason", _FINISHED
        )
        for name, text in _UNUSED.items():
            self._counter(name, text)
        rejections = Counter(
            "vllm:admission_rejections",
            "Requests rejected by a limit on the queue.",
            ["model_name", "reason"],
            registry=self._registry,
        )
        for reason in ("max_num_queued_reqs", "max_num_queued_tokens"):
            rejections.labels(model_name=self._values["model_name"], reason=reason)

    def _make_histograms(self, tokens: Sequence[float]) -> None:
        self._ttft = self._histogram("time_to_first_token_seconds", _FIRST_TOKEN)
        self._itl = self._histogram("inter_token_latency_seconds", _INTER_TOKEN)
        self._tpot = self._histogram("request_time_per_output_token_seconds", _INTER_TOKEN)
        self._e2e = self._histogram("e2e_request_latency_seconds", _LATENCY)
        self._queue = self._histogram("request_queue_time_seconds", _LATENCY)
        self._prefill = self._histogram("request_prefill_time_seconds", _LATENCY)
        self._decode = self._histogram("request_decode_time_seconds", _LATENCY)
        self._inference = self._histogram("request_inference_time_seconds", _LATENCY)
        self._iteration = self._histogram("iteration_tokens_total", _ITERATION)
        self._request_prompt = self._histogram("request_prompt_tokens", tokens)
        self._request_generated = self._histogram("request_generation_tokens", tokens)
        self._request_max_generated = self._histogram("request_max_num_generation_tokens", tokens)
        self._request_max_tokens = self._histogram("request_params_max_tokens", tokens)
        self._request_computed = self._histogram("request_prefill_kv_computed_tokens", tokens)
        self._request_n = self._histogram("request_params_n", _N)
        self._request_preemptions = self._histogram("request_num_preemptions", _PREEMPTIONS)

    def _gauge(self, name: str, text: str) -> Gauge:
        family = Gauge(f"vllm:{name}", text, list(self._values), registry=self._registry)
        return family.labels(**self._values)

    def _gauges(self, name: str, text: str, label: str, values: Sequence[str]) -> dict[str, Gauge]:
        labels = [*self._values, label]
        family = Gauge(f"vllm:{name}", text, labels, registry=self._registry)
        return {value: family.labels(**self._values, **{label: value}) for value in values}

    def _counter(self, name: str, text: str) -> Counter:
        family = Counter(f"vllm:{name}", text, list(self._values), registry=self._registry)
        return family.labels(**self._values)

    def _counters(
        self, name: str, text: str, label: str, values: Sequence[str]
    ) -> dict[str, Counter]:
        labels = [*self._values, label]
        family = Counter(f"vllm:{name}", text, labels, registry=self._registry)
        return {value: family.labels(**self._values, **{label: value}) for value in values}

    def _histogram(self, name: str, bounds: Sequence[float]) -> Histogram:
        text = name.removesuffix("_seconds").replace("_", " ").capitalize() + "."
        family = Histogram(
            f"vllm:{name}", text, list(self._values), buckets=bounds, registry=self._registry
        )
        return family.labels(**self._values)
