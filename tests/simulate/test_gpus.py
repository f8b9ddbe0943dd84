"""The GPUs follow the load, and their pages are those of the exporters."""

import asyncio
import re
from typing import Any, cast

import pytest

from firsttoken.simulate.engine import Engine
from firsttoken.simulate.faults import Faults
from firsttoken.simulate.gpupages import amd_page, dcgm_page
from firsttoken.simulate.gpus import Gpu, GpuModel
from firsttoken.simulate.settings import Simulation


class Load:
    """Stands in for an engine that computes a share of the time."""

    def __init__(self) -> None:
        self.busy = self.prefill = 0.0

    def work(self, busy: float, prefill: float) -> None:
        self.busy += busy
        self.prefill += prefill

    def busy_seconds(self, _now: float) -> tuple[float, float]:
        return self.busy, self.prefill


def after(seconds: int, busy: float, prefill: float, *, vendor: Any = "nvidia") -> GpuModel:
    model, load = GpuModel(Simulation(gpu_vendor=vendor), 0.0), Load()
    for second in range(1, seconds + 1):
        load.work(busy, prefill)
        model.sample(cast(Engine, load), float(second))
    return model


def first(model: GpuModel) -> Gpu:
    return model.gpus[0]


@pytest.mark.parametrize("vendor", ["nvidia", "amd"])
def test_utilisation_power_memory_and_temperature_rise_with_the_load(vendor: Any) -> None:
    idle, decode, prefill = (
        first(after(60, busy, share, vendor=vendor))
        for busy, share in ((0.0, 0.0), (0.9, 0.0), (0.9, 0.6))
    )
    assert idle.utilization == 0
    assert decode.utilization == pytest.approx(0.9)
    assert idle.power_w < decode.power_w < prefill.power_w
    assert idle.temperature_c < decode.temperature_c < prefill.temperature_c < 90
    assert decode.used_mib < prefill.used_mib
    assert idle.used_mib > 15_000
    assert idle.clock_mhz < decode.clock_mhz


def test_power_stays_below_the_boards_limit() -> None:
    model = after(120, 1.0, 1.0)
    assert all(gpu.power_w <= model.board.limit_w for gpu in model.gpus)


def test_energy_is_the_integral_of_power_and_temperature_lags_behind_it() -> None:
    gpu = first(after(10, 1.0, 0.0))
    assert gpu.energy_j == pytest.approx(10 * gpu.power_w)
    assert gpu.temperature_c < first(after(11, 1.0, 0.0)).temperature_c
    assert gpu.temperature_c < first(after(100, 1.0, 0.0)).temperature_c - 1


def values(page: str, name: str) -> list[float]:
    return [float(found) for found in re.findall(rf"^{name}\{{.*\}} (\S+)$", page, re.MULTILINE)]


def test_a_dcgm_page_says_what_the_gpus_are() -> None:
    model = after(30, 0.5, 0.1)
    page = dcgm_page(model, Faults())
    assert values(page, "DCGM_FI_DEV_GPU_UTIL") == [50, 50]
    memory = [values(page, f"DCGM_FI_DEV_FB_{part}")[0] for part in ("USED", "FREE", "RESERVED")]
    assert sum(memory) == model.board.memory_mib
    assert values(page, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION")[0] == round(
        first(model).energy_j * 1000
    )
    assert len(set(re.findall(r'UUID="([^"]+)"', page))) == 2
    assert 'device="nvidia1"' in page


def test_an_amd_page_says_what_the_gpus_are() -> None:
    page = amd_page(after(30, 0.5, 0.1, vendor="amd"))
    assert values(page, "gpu_gfx_activity") == [50, 50]
    assert values(page, "gpu_nodes_total") == [2]
    used, free, total = (values(page, f"gpu_{part}_vram")[0] for part in ("used", "free", "total"))
    assert used + free == total
    assert set(re.findall(r"^# TYPE \S+ (\S+)$", page, re.MULTILINE)) == {"gauge"}


def test_exporters_count_memory_errors_and_amds_says_how_long_power_held_clocks_down() -> None:
    decoding, prompts = (after(30, 0.9, share, vendor="amd") for share in (0.0, 0.8))
    dcgm, quiet, page = dcgm_page(after(1, 0, 0), Faults()), amd_page(decoding), amd_page(prompts)
    counts = {
        *(
            f"DCGM_FI_DEV_ECC_{bits}_{scope}_TOTAL"
            for bits in ("SBE", "DBE")
            for scope in ("VOL", "AGG")
        ),
        *("gpu_ecc_correct_total", "gpu_ecc_uncorrect_total"),
    }

    assert {tuple(values(dcgm + page, name)) for name in counts} == {(0, 0)}
    assert values(quiet, "gpu_violation_ppt_residency_percentage") == [0, 0]
    (share, _), (limited, _), (samples, _) = (
        values(page, f"gpu_violation_{name}")
        for name in (
            "ppt_residency_percentage",
            "ppt_residency_accumulated",
            "current_accumulated_counter",
        )
    )
    assert 0 < share == pytest.approx(100 * limited / samples, abs=0.5)
    assert samples == 30_000


def test_the_page_follows_what_is_served(simulate: Any) -> None:
    async def check() -> None:
        async with simulate({"decode_base_s": 0.01}) as client:
            deployment = client.deployment
            loop = asyncio.get_running_loop()
            assert values(await client.text("/dcgm/metrics"), "DCGM_FI_DEV_GPU_UTIL") == [0, 0]
            deployment.gpus.sample(deployment.engine, loop.time())
            await client.post("/v1/completions", prompt="x", max_tokens=20, ignore_eos=True)
            deployment.gpus.sample(deployment.engine, loop.time())
            util = values(await client.text("/dcgm/metrics"), "DCGM_FI_DEV_GPU_UTIL")
            assert util == [util[0]] * 2
            assert 0 < util[0] <= 100

    asyncio.run(check())


def test_there_is_one_exporter_for_each_vendor(simulate: Any) -> None:
    async def status(path: str, **settings: Any) -> int:
        async with (
            simulate(**settings) as client,
            client.session.get(client.url + path) as response,
        ):
            return int(response.status)

    assert asyncio.run(status("/dcgm/metrics")) == 200
    assert asyncio.run(status("/amd/metrics")) == 404
    assert asyncio.run(status("/amd/metrics", gpu_vendor="amd", gpus=8)) == 200
    assert asyncio.run(status("/dcgm/metrics", gpus=0)) == 404
