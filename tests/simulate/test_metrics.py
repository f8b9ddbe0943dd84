"""What ``/metrics`` says agrees with what was served, and has the form of the real vLLM's page."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from firsttoken.simulate.metrics import EngineMetrics, token_bounds
from firsttoken.simulate.settings import Simulation

REAL = Path(__file__).parents[1] / "data" / "vllm-0.32.0.prom"
Shape = dict[str, tuple[str, set[tuple[str, ...]], list[float]]]


def shape(page: str) -> Shape:
    """Of each ``vllm:`` family: type, sets of label names, bucket bounds."""

    def bounds(family: Metric) -> list[float]:
        return sorted({float(s.labels["le"]) for s in family.samples if "le" in s.labels})

    return {
        family.name: (
            family.type,
            {tuple(sorted(sample.labels)) for sample in family.samples},
            bounds(family),
        )
        for family in text_string_to_metric_families(page)
        if family.name.startswith("vllm:")
    }


def test_families_types_labels_and_bounds_are_those_of_a_real_page() -> None:
    registry = CollectorRegistry()
    simulation = Simulation.model_validate({"parameters": {"max_model_len": 2048}})
    EngineMetrics(simulation, registry)
    simulated = shape(generate_latest(registry).decode())
    assert simulated == shape(REAL.read_text())


def test_the_server_has_the_http_and_process_families_of_a_real_page(simulate: Any) -> None:
    async def names() -> set[str]:
        async with simulate() as client:
            await client.post("/v1/completions", prompt="x")
            page = await client.text("/metrics")
            return {family.name for family in text_string_to_metric_families(page)}

    real = {family.name for family in text_string_to_metric_families(REAL.read_text())}
    assert asyncio.run(names()) == real


@pytest.mark.parametrize(
    ("length", "last"), [(2, 2.0), (4, 2.0), (5, 5.0), (8192, 5000.0), (131072, 100000.0)]
)
def test_token_bounds_end_at_the_models_length(length: int, last: float) -> None:
    assert token_bounds(length)[-1] == last


def test_counts_tokens_and_sums_agree_with_the_answers(simulate: Any) -> None:
    async def check() -> None:
        async with simulate() as client:
            loop = asyncio.get_running_loop()
            spent = []

            async def one(number: int) -> dict[str, Any]:
                start = loop.time()
                _, answer = await client.post(
                    "/v1/completions", prompt=f"{number} " * 40, max_tokens=10 + number
                )
                spent.append(loop.time() - start)
                usage: dict[str, Any] = answer["usage"]
                return usage

            usages = await asyncio.gather(*(one(number) for number in range(20)))
            found = await client.samples()

        prompt = sum(usage["prompt_tokens"] for usage in usages)
        output = sum(usage["completion_tokens"] for usage in usages)
        vllm = {name.removeprefix("vllm:"): value for name, value in found.items()}
        assert vllm["prompt_tokens_total"] == vllm["request_prompt_tokens_sum"] == prompt
        assert vllm["prompt_tokens_by_source_total"] == prompt
        assert vllm["generation_tokens_total"] == vllm["request_generation_tokens_sum"] == output
        assert vllm["request_params_max_tokens_sum"] == sum(10 + n for n in range(20))
        assert vllm["inter_token_latency_seconds_count"] == output - 20
        computed = prompt - vllm["prompt_tokens_cached_total"]
        assert vllm["request_prefill_kv_computed_tokens_sum"] == computed
        assert vllm["iteration_tokens_total_sum"] == computed + output
        for name in ("request_success_total", "time_to_first_token_seconds_count"):
            assert vllm[name] == 20
        parts = ("queue", "prefill", "decode")
        whole = sum(vllm[f"request_{part}_time_seconds_sum"] for part in parts)
        inference = vllm["request_inference_time_seconds_sum"]
        assert whole == pytest.approx(inference + vllm["request_queue_time_seconds_sum"])
        assert whole <= vllm["e2e_request_latency_seconds_sum"] <= sum(spent)
        assert vllm["inter_token_latency_seconds_sum"] == pytest.approx(
            vllm["request_decode_time_seconds_sum"]
        )
        assert vllm["num_requests_running"] == vllm["kv_cache_usage_perc"] == 0

    asyncio.run(check())


def test_a_prompt_that_is_repeated_is_counted_as_a_hit(simulate: Any) -> None:
    async def check() -> None:
        async with simulate() as client:
            for _ in range(2):
                await client.post("/v1/completions", prompt=[9] * 100, max_tokens=2)
            found = await client.samples()
        assert found["vllm:prefix_cache_queries_total"] == 200
        assert found["vllm:prefix_cache_hits_total"] == 96
        assert found["vllm:prompt_tokens_cached_by_source_total"] == 96
        assert found["vllm:request_prefill_kv_computed_tokens_sum"] == 104

    asyncio.run(check())


def test_a_full_cache_shows_as_preemptions_and_all_requests_end(simulate: Any) -> None:
    async def check() -> None:
        small = {"kv_blocks": 40, "max_model_len": 600, "prefix_caching": False}
        async with simulate(small) as client:
            body = {"prompt": [9] * 100, "max_tokens": 150, "ignore_eos": True}
            answers = await asyncio.gather(
                *(client.post("/v1/completions", **body) for _ in range(8))
            )
            found = await client.samples()
        assert [answer["usage"]["completion_tokens"] for _, answer in answers] == [150] * 8
        assert found["vllm:num_preemptions_total"] > 0
        assert found["vllm:request_num_preemptions_sum"] == found["vllm:num_preemptions_total"]
        assert found["vllm:prompt_tokens_total"] == 800

    asyncio.run(check())


def test_gauges_show_who_runs_and_who_waits(simulate: Any) -> None:
    async def check() -> None:
        async with simulate({"max_num_seqs": 2, "decode_base_s": 0.02}) as client:
            scheduler = client.deployment.engine.scheduler
            body = {"prompt": [9] * 1000, "max_tokens": 5000, "ignore_eos": True}
            waiting = [
                asyncio.create_task(client.post("/v1/completions", **body)) for _ in range(5)
            ]
            await client.until(
                lambda: len(scheduler.running) == 2 and scheduler.running[1].generated > 1
            )
            found = await client.samples()
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert found["vllm:num_requests_running"] == 2
        assert found["vllm:num_requests_waiting"] == 3
        assert found["vllm:num_requests_waiting_by_reason"] == 3
        # Two prompts that share their blocks: 62.5 of 4096, and their own for the answers.
        assert 64 / 4096 <= found["vllm:kv_cache_usage_perc"] < 120 / 4096

    asyncio.run(check())


def test_http_families_count_by_handler_and_class_of_status(simulate: Any) -> None:
    async def check() -> str:
        async with simulate() as client:
            await client.post("/v1/completions", prompt="x")
            await client.post("/v1/completions", prompt=[])
            await client.post("/nowhere")
            await client.text("/health")
            page: str = await client.text("/metrics")
            return page

    page = asyncio.run(check())
    requests = [line for line in page.splitlines() if line.startswith("http_requests_total")]
    assert sorted(requests) == [
        'http_requests_total{handler="/v1/completions",method="POST",status="2xx"} 1.0',
        'http_requests_total{handler="/v1/completions",method="POST",status="4xx"} 1.0',
        'http_requests_total{handler="none",method="POST",status="4xx"} 1.0',
    ]


def test_prometheus_can_read_every_page(simulate: Any) -> None:
    async def pages() -> list[str]:
        found = []
        for vendor, path in (("nvidia", "/dcgm/metrics"), ("amd", "/amd/metrics")):
            async with simulate(gpu_vendor=vendor, gpus=3) as client:
                await client.post("/v1/completions", prompt="x")
                found += [await client.text("/metrics"), await client.text(path)]
        return found

    for page in asyncio.run(pages()):
        done = subprocess.run(
            ["promtool", "check", "metrics"],
            input=page,
            capture_output=True,
            text=True,
            check=False,
        )
        # 3: only matters of style, which the real pages have too.
        assert done.returncode in (0, 3), done.stderr
        assert "error while linting" not in done.stderr
