"""The pages of NVIDIA's dcgm-exporter and AMD's device-metrics-exporter for simulated GPUs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from firsttoken.simulate.faults import Faults
from firsttoken.simulate.gpus import Board, Gpu, GpuModel

__all__ = ["GARBAGE", "amd_page", "dcgm_page"]

GARBAGE = '<html><body><h1>502 Bad Gateway</h1>\nDCGM_FI_DEV_GPU_UTIL{gpu="0\n'
"""What an exporter shows under the fault ``gpu_exporter=garbage``."""

_HOST = "simulated-node-0"
_SAMPLES_PER_S = 1000
"""How often AMD's firmware looks whether clocks are lowered."""


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    kind: str
    help: str
    value: Callable[[Gpu, Board], float]
    extra: str = ""  # labels of this family alone


_DCGM = (
    _Family("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock in MHz.", lambda g, _: g.clock_mhz),
    _Family("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock in MHz.", lambda _, b: b.memory_clock),
    _Family(
        "DCGM_FI_DEV_MEMORY_TEMP",
        "gauge",
        "Memory temperature in C.",
        lambda g, _: round(g.memory_temperature_c),
    ),
    _Family(
        "DCGM_FI_DEV_GPU_TEMP",
        "gauge",
        "GPU temperature in C.",
        lambda g, _: round(g.temperature_c),
    ),
    _Family(
        "DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw in W.", lambda g, _: round(g.power_w, 3)
    ),
    _Family(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "counter",
        "Energy since the driver was loaded, in mJ.",
        lambda g, _: round(g.energy_j * 1000),
    ),
    _Family("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "PCIe retries.", lambda *_: 0),
    _Family(
        "DCGM_FI_DEV_GPU_UTIL",
        "gauge",
        "GPU utilization in %.",
        lambda g, _: _percent(g.utilization),
    ),
    _Family(
        "DCGM_FI_DEV_MEM_COPY_UTIL",
        "gauge",
        "Memory utilization in %.",
        lambda g, _: _percent(g.memory_busy),
    ),
    _Family("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization in %.", lambda *_: 0),
    _Family("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization in %.", lambda *_: 0),
    _Family(
        "DCGM_FI_DEV_FB_FREE",
        "gauge",
        "Framebuffer memory free in MiB.",
        lambda g, b: b.memory_mib - round(g.used_mib) - 592,
    ),
    _Family(
        "DCGM_FI_DEV_FB_USED",
        "gauge",
        "Framebuffer memory used in MiB.",
        lambda g, _: round(g.used_mib),
    ),
    _Family(
        "DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved in MiB.", lambda *_: 592
    ),
    _Family(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Rows remapped for uncorrectable errors.",
        lambda *_: 0,
    ),
    _Family(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Rows remapped for correctable errors.",
        lambda *_: 0,
    ),
    _Family("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Remapping of rows failed.", lambda *_: 0),
    *(
        _Family(
            f"DCGM_FI_DEV_ECC_{bits}_{scope}_TOTAL",
            "counter",
            f"ECC errors, {corrected}, since {since}.",
            lambda *_: 0,
        )
        for scope, since in (("VOL", "the driver was loaded"), ("AGG", "the GPU was made"))
        for bits, corrected in (("SBE", "corrected"), ("DBE", "not corrected"))
    ),
    _Family("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "gauge", "vGPU license status.", lambda *_: 0),
    _Family(
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "gauge",
        "Share of time the graphics engine is active.",
        lambda g, _: round(g.utilization, 6),
    ),
    _Family(
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "gauge",
        "Share of cycles the tensor pipe is active.",
        lambda g, _: round(0.1 * (g.utilization - g.prefill) + 0.6 * g.prefill, 6),
    ),
    _Family(
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "gauge",
        "Share of cycles the memory interface is active.",
        lambda g, _: round(g.memory_busy, 6),
    ),
    _Family(
        "DCGM_FI_PROF_PCIE_TX_BYTES",
        "gauge",
        "PCIe bytes sent a second.",
        lambda g, _: round(4e6 * g.utilization),
    ),
    _Family(
        "DCGM_FI_PROF_PCIE_RX_BYTES",
        "gauge",
        "PCIe bytes received a second.",
        lambda g, _: round(6e6 * g.utilization),
    ),
)

_AMD = (
    _Family("gpu_gfx_activity", "gauge", "Activity in %.", lambda g, _: _percent(g.utilization)),
    _Family(
        "gpu_umc_activity", "gauge", "Memory activity in %.", lambda g, _: _percent(g.memory_busy)
    ),
    _Family("gpu_used_vram", "gauge", "VRAM used in MB.", lambda g, _: round(g.used_mib)),
    _Family("gpu_total_vram", "gauge", "VRAM in MB.", lambda _, b: b.memory_mib),
    _Family(
        "gpu_free_vram",
        "gauge",
        "VRAM free in MB.",
        lambda g, b: b.memory_mib - round(g.used_mib),
    ),
    _Family("gpu_package_power", "gauge", "Power in W.", lambda g, _: round(g.power_w)),
    _Family(
        "gpu_energy_consumed",
        "gauge",
        "Energy accumulated in uJ.",
        lambda g, _: round(g.energy_j * 1e6),
    ),
    _Family(
        "gpu_junction_temperature", "gauge", "Hot spot in C.", lambda g, _: round(g.temperature_c)
    ),
    _Family(
        "gpu_memory_temperature",
        "gauge",
        "Memory temperature in C.",
        lambda g, _: round(g.memory_temperature_c),
    ),
    _Family(
        "gpu_clock",
        "gauge",
        "Clock in MHz.",
        lambda g, _: g.clock_mhz,
        'clock_index="0",clock_type="SYSTEM",',
    ),
    _Family(
        "gpu_clock",
        "gauge",
        "Clock in MHz.",
        lambda _, b: b.memory_clock,
        'clock_index="8",clock_type="MEMORY",',
    ),
    _Family("pcie_speed", "gauge", "PCIe speed in GT/s.", lambda *_: 32),
    _Family("pcie_max_speed", "gauge", "Highest PCIe speed in GT/s.", lambda *_: 32),
    _Family("pcie_replay_count", "gauge", "PCIe replays.", lambda *_: 0),
    _Family("gpu_ecc_correct_total", "gauge", "Correctable errors.", lambda *_: 0),
    _Family("gpu_ecc_uncorrect_total", "gauge", "Uncorrectable errors.", lambda *_: 0),
    _Family("gpu_health", "gauge", "1 when healthy.", lambda *_: 1),
    _Family(
        "gpu_violation_current_accumulated_counter",
        "gauge",
        "Samples of the firmware.",
        lambda g, _: round(_SAMPLES_PER_S * g.seconds),
    ),
    _Family(
        "gpu_violation_ppt_residency_accumulated",
        "gauge",
        "Samples with clocks lowered by the power limit.",
        lambda g, _: round(_SAMPLES_PER_S * g.limited_s),
    ),
    _Family(
        "gpu_violation_ppt_residency_percentage",
        "gauge",
        "Time with clocks lowered by the power limit, in %.",
        lambda g, _: _percent(g.power_limited),
    ),
    *(
        _Family(
            f"gpu_violation_{place}_residency_{form}",
            "gauge",
            f"{meaning} with clocks lowered by heat.",
            lambda *_: 0,
        )
        for place in ("processor_hot", "socket_thermal", "vr_thermal", "hbm_thermal")
        for form, meaning in (("accumulated", "Samples"), ("percentage", "Time in %"))
    ),
)


def dcgm_page(model: GpuModel, faults: Faults) -> str:
    """The page of dcgm-exporter 4 with its default counters, and those of ECC errors."""
    labels = {gpu.index: _nvidia_labels(gpu.index, model.board) for gpu in model.gpus}
    page = _page(_DCGM, model, labels)
    lines = [
        "# HELP DCGM_FI_DEV_XID_ERRORS Value of the last XID error.",
        "# TYPE DCGM_FI_DEV_XID_ERRORS gauge",
    ]
    for gpu in model.gpus:
        code = faults.xid if gpu.index == faults.xid_gpu else 0
        message = "Simulated" if code else "No Error"
        error = f'err_code="{code}",err_msg="{message}"'
        lines.append(f"DCGM_FI_DEV_XID_ERRORS{{{labels[gpu.index]},{error}}} {code}")
    return page + "\n".join(lines) + "\n"


def amd_page(model: GpuModel) -> str:
    """The page of device-metrics-exporter 1.5, where accumulators too are gauges."""
    labels = {gpu.index: _amd_labels(gpu.index, model.board) for gpu in model.gpus}
    head = "# HELP gpu_nodes_total GPUs on the node.\n# TYPE gpu_nodes_total gauge\n"
    count = f'gpu_nodes_total{{hostname="{_HOST}"}} {len(model.gpus)}\n'
    return head + count + _page(_AMD, model, labels)


def _page(families: Sequence[_Family], model: GpuModel, labels: Mapping[int, str]) -> str:
    lines = []
    before = ""
    for family in families:
        if family.name != before:
            lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        before = family.name
        for gpu in model.gpus:
            value = family.value(gpu, model.board)
            lines.append(f"{family.name}{{{family.extra}{labels[gpu.index]}}} {value}")
    return "\n".join(lines) + "\n"


def _percent(share: float) -> int:
    return round(100 * share)


def _nvidia_labels(index: int, board: Board) -> str:
    return (
        f'gpu="{index}",UUID="GPU-00000000-5113-4e1a-9a00-{index:012x}",'
        f'pci_bus_id="00000000:{0x17 + index:02X}:00.0",device="nvidia{index}",'
        f'modelName="{board.name}",Hostname="{_HOST}",DCGM_FI_DRIVER_VERSION="580.95.05"'
    )


def _amd_labels(index: int, board: Board) -> str:
    return (
        f'gpu_id="{index}",gpu_uuid="5113ff00-0000-1000-80{index:02x}-000000000000",'
        f'serial_number="SIM{index:06d}",card_series="{board.name}",card_model="0x74a1",'
        f'card_vendor="Advanced Micro Devices Inc. [AMD/ATI]",driver_version="6.14.14",'
        f'vbios_version="113-SIMULATED",gpu_partition_id="0",'
        f'gpu_compute_partition_type="spx",gpu_memory_partition_type="nps1",hostname="{_HOST}"'
    )
