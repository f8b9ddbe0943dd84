"""Every fault shows as documented, from the start and at run time."""

import asyncio
import itertools
import json
from typing import Any

import aiohttp
import pytest

from firsttoken.errors import ConfigError, UsageError
from firsttoken.simulate.faults import Faults, parse

NUMBERS = itertools.count()
COMPLETION = {"max_tokens": 3, "ignore_eos": True}


async def ttft_and_tpot(client: Any) -> tuple[float, float]:
    """The least that the engine measured in three requests, as this machine may be busy."""
    names = ("time_to_first_token", "request_time_per_output_token")
    found = []
    for _ in range(3):
        before = await client.samples()
        # A prompt like no other, so that nothing of it is cached.
        prompt = [300 + next(NUMBERS), *range(300, 1299)]
        await client.post("/v1/completions", prompt=prompt, max_tokens=20, ignore_eos=True)
        after = await client.samples()
        sums = [f"vllm:{name}_seconds_sum" for name in names]
        found.append([after[name] - before[name] for name in sums])
    first, later = (min(values) for values in zip(*found, strict=True))
    return first, later


def test_prompts_are_slower_by_the_factor(simulate: Any) -> None:
    async def check() -> None:
        async with simulate({"prefill_s_per_token": 20e-6}) as client:
            plain = await ttft_and_tpot(client)
            await client.inject(prefill_slowdown=20)
            slow = await ttft_and_tpot(client)
            assert plain[0] < 20 * 1000 * 20e-6 / 2 < 20 * 1000 * 20e-6 <= slow[0]
            assert slow[1] < 0.01

    asyncio.run(check())


def test_decoding_is_slower_by_the_factor(simulate: Any) -> None:
    async def check() -> None:
        async with simulate({"decode_base_s": 2e-3}, faults={"decode_slowdown": 10}) as client:
            assert (await ttft_and_tpot(client))[1] >= 0.019
            await client.inject(decode_slowdown=1)
            assert (await ttft_and_tpot(client))[1] < 0.015

    asyncio.run(check())


def test_a_stalled_engine_accepts_requests_and_says_nothing_until_it_goes_on(simulate: Any) -> None:
    async def check() -> None:
        async with simulate() as client:
            body = {"prompt": "x", "max_tokens": 8000, "ignore_eos": True}
            running = asyncio.create_task(client.post("/v1/completions", **body))
            scheduler = client.deployment.engine.scheduler
            await client.until(lambda: any(one.generated for one in scheduler.running))
            [request] = scheduler.running
            await client.inject(stalled=True)
            generated = request.generated
            waiting = asyncio.create_task(client.post("/v1/completions", prompt="y", **COMPLETION))
            await client.until(lambda: len(scheduler.waiting) == 1)
            await asyncio.sleep(0.1)
            found = await client.samples()
            assert not waiting.done()
            assert request.generated == generated == found["vllm:generation_tokens_total"]
            assert found["vllm:num_requests_running"] == 1
            assert await client.text("/health") == ""
            await client.inject(stalled=False)
            _, answer = await waiting
            assert answer["usage"]["completion_tokens"] == 3
            await client.until(lambda: request.generated > generated)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(check())


def test_a_share_of_the_requests_fails(simulate: Any) -> None:
    async def check() -> None:
        async with simulate(faults={"failing_share": 0.3}) as client:
            answers = await asyncio.gather(
                *(client.post("/v1/completions", prompt="x", **COMPLETION) for _ in range(100))
            )
            failed = [answer for status, answer in answers if status == 500]
            assert 15 <= len(failed) <= 45
            assert failed[0]["error"]["type"] == "InternalServerError"
            page = await client.text("/metrics")
            line = 'finished_reason="error",model_name="firsttoken/simulated-8b"} '
            assert f"{line}{len(failed)}.0" in page
            found = await client.samples()
            assert found["vllm:request_success_total"] == 100
            assert found["vllm:generation_tokens_total"] == 3 * (100 - len(failed))

    asyncio.run(check())


def test_in_a_stream_a_failure_is_an_event(simulate: Any) -> None:
    async def check() -> None:
        async with simulate(faults={"failing_share": 1}) as client:
            error, done = await client.events("/v1/completions", prompt="x", **COMPLETION)
            assert json.loads(error)["error"]["code"] == 500
            assert done == "[DONE]"

    asyncio.run(check())


def test_withheld_blocks_make_the_cache_full_and_requests_wait(simulate: Any) -> None:
    async def check() -> None:
        tight = {"kv_blocks": 400, "max_model_len": 640, "decode_base_s": 5e-3}
        async with simulate(tight, faults={"kv_withheld": 0.95}) as client:
            scheduler = client.deployment.engine.scheduler
            body = {"max_tokens": 100, "ignore_eos": True}
            tasks = [
                asyncio.create_task(client.post("/v1/completions", prompt=[300 + i] * 500, **body))
                for i in range(3)
            ]
            await client.until(lambda: any(one.generated > 1 for one in scheduler.running))
            found = await client.samples()
            assert found["vllm:kv_cache_usage_perc"] > 0.95
            assert found["vllm:num_requests_waiting"] == 2
            answers = await asyncio.gather(*tasks)
            assert [status for status, _ in answers] == [200] * 3

    asyncio.run(check())


def test_an_xid_shows_on_one_gpu(simulate: Any) -> None:
    async def check() -> None:
        async with simulate(gpus=3) as client:
            await client.inject(xid=79, xid_gpu=1)
            page = await client.text("/dcgm/metrics")
            lines = [one for one in page.splitlines() if one.startswith("DCGM_FI_DEV_XID_ERRORS{")]
            assert [line.split()[-1] for line in lines] == ["0", "79", "0"]
            assert 'err_code="79"' in lines[1]

    asyncio.run(check())


@pytest.mark.parametrize(("vendor", "path"), [("nvidia", "/dcgm/metrics"), ("amd", "/amd/metrics")])
def test_a_gpu_exporter_is_down_slow_or_talks_garbage(
    simulate: Any, vendor: str, path: str
) -> None:
    async def check() -> None:
        async with simulate(gpu_vendor=vendor, faults={"gpu_exporter": "down"}) as client:
            with pytest.raises(aiohttp.ClientError):
                await client.text(path)
            await client.inject(gpu_exporter="garbage")
            assert "<html>" in await client.text(path)
            await client.inject(gpu_exporter="ok", gpu_exporter_delay="60s")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.text(path), 0.2)
            await client.inject(gpu_exporter_delay=0)
            assert "# TYPE" in await client.text(path)
            assert await client.text("/metrics")

    asyncio.run(check())


def test_faults_are_shown_and_changed_one_by_one(simulate: Any) -> None:
    async def check() -> None:
        async with simulate(faults={"failing_share": 0.5}) as client:
            await client.inject(stalled=True)
            faults = json.loads(await client.text("/faults"))
            assert (faults["failing_share"], faults["stalled"]) == (0.5, True)
            assert await client.inject(stalled=False, failing_share=0) == json.loads(
                Faults().model_dump_json()
            )

    asyncio.run(check())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stall": True}, "did you mean stalled"),
        ({"failing_share": 2}, "less than or equal to 1"),
        ({"xid": 79, "xid_gpu": 9}, "xid_gpu"),
        ([1], "JSON object"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(simulate: Any, changes: Any, said: str) -> None:
    async def check() -> None:
        async with simulate() as client:
            async with client.session.put(client.url + "/faults", json=changes) as response:
                assert response.status == 400
                assert said in (await response.json())["error"]["message"]
            assert client.deployment.engine.faults == Faults()

    asyncio.run(check())


def test_pairs_of_the_command_line_become_faults() -> None:
    base = Faults(xid=5)
    assert parse(["stalled=true", "gpu_exporter_delay=20s"], base) == Faults(
        xid=5, stalled=True, gpu_exporter_delay=20
    )
    assert parse([], base) is base
    with pytest.raises(UsageError, match="expected NAME=VALUE"):
        parse(["stalled"], base)
    with pytest.raises(ConfigError, match="--fault: prefill_slowdown"):
        parse(["prefill_slowdown=fast"], base)
