"""AMD GPUs through the Python binding of AMD SMI."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from firsttoken.exporters.gpus import Reading, reading

__all__ = ["read", "start"]

_MIB = 1024**2


def start(smi: Any) -> str | None:
    """Open the library; returns why there is nothing to read, or None."""
    try:
        smi.amdsmi_init()
        found = smi.amdsmi_get_processor_handles()
    except smi.AmdSmiException as exc:
        return str(exc)
    return None if found else "no device"


def read(smi: Any, place: Mapping[str, str], visible: str) -> Iterator[Reading]:
    """What every device says now; a sensor that it lacks is left out.

    ``visible`` is ``ROCR_VISIBLE_DEVICES``: numbers of devices, or ``GPU-`` and a serial number.
    """
    own = {item.strip().lower() for item in visible.split(",") if item.strip()}
    for index, gpu in enumerate(smi.amdsmi_get_processor_handles()):
        asic = _said(smi, smi.amdsmi_get_gpu_asic_info, gpu) or {}
        serial = str(asic.get("asic_serial", "")).lower().removeprefix("0x")
        if own and not own & {str(index), f"gpu-{serial}"}:
            continue
        driver = _said(smi, smi.amdsmi_get_gpu_driver_info, gpu) or {}
        bus = _said(smi, smi.amdsmi_get_gpu_device_bdf, gpu) or ""
        uuid = _said(smi, smi.amdsmi_get_gpu_device_uuid, gpu)
        attributes = {
            **place,
            "hw.id": str(uuid or bus or index),
            "hw.type": "gpu",
            "hw.vendor": "AMD",
            "hw.gpu.index": str(index),
            "hw.model": str(asic.get("market_name", "")),
            "hw.serial_number": str(asic.get("asic_serial", "")),
            "hw.driver_version": str(driver.get("driver_version", "")),
            "hw.pci.bus_id": str(bus),
        }
        yield from _device(smi, gpu, attributes)


def _device(smi: Any, gpu: Any, attributes: Mapping[str, str]) -> Iterator[Reading]:
    busy = _said(smi, smi.amdsmi_get_gpu_activity, gpu) or {}
    memory = _said(smi, smi.amdsmi_get_gpu_vram_usage, gpu) or {}
    power = _said(smi, smi.amdsmi_get_power_info, gpu) or {}
    watts = next(
        (w for key in ("current_socket_power", "average_socket_power")
         if (w := _number(power.get(key)))), None
    )  # fmt: skip
    energy = _said(smi, smi.amdsmi_get_energy_count, gpu) or {}
    ticks, resolution = (
        _number(energy.get(key)) for key in ("energy_accumulator", "counter_resolution")
    )
    clock = _said(smi, smi.amdsmi_get_clock_info, gpu, smi.AmdSmiClkType.GFX) or {}
    heat = _said(
        smi,
        smi.amdsmi_get_temp_metric,
        gpu,
        smi.AmdSmiTemperatureType.JUNCTION,
        smi.AmdSmiTemperatureMetric.CURRENT,
    )
    gfx, umc = _number(busy.get("gfx_activity")), _number(busy.get("umc_activity"))
    used, total = _number(memory.get("vram_used")), _number(memory.get("vram_total"))
    found: tuple[tuple[str, float | None, dict[str, str]], ...] = (
        ("hw.gpu.utilization", gfx and gfx / 100, {"hw_gpu_task": "general"}),
        ("hw.gpu.memory.controller.utilization", umc and umc / 100, {}),
        ("hw.gpu.memory.usage", used and used * _MIB, {}),
        ("hw.gpu.memory.limit", total and total * _MIB, {}),
        ("hw.power", watts, {}),
        # Microjoules.
        ("hw.energy", ticks and resolution and ticks * resolution / 1_000_000, {}),
        ("hw.temperature", _number(heat), {"hw_sensor_location": "junction"}),
        ("hw.frequency", (mhz := _number(clock.get("clk"))) and mhz * 1e6,
         {"hw_frequency_domain": "system"}),
    )  # fmt: skip
    for name, value, more in found:
        if value is not None:
            yield reading(name, value, attributes, **more)


def _number(value: object) -> float | None:
    """The library writes N/A for what a device does not measure."""
    return float(value) if isinstance(value, int | float) else None


def _said(smi: Any, function: Callable[..., Any], *arguments: object) -> Any:
    """What the library answers, or None where the device does not know."""
    try:
        return function(*arguments)
    except smi.AmdSmiException:
        return None
