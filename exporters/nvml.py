"""NVIDIA GPUs through NVML, as nvidia-ml-py has it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from firsttoken.exporters.gpus import Reading, reading

__all__ = ["read", "start"]


def start(nvml: Any) -> str | None:
    """Open the library; returns why there is nothing to read, or None."""
    try:
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as exc:
        return str(exc)
    return None if count else "no device"


def read(nvml: Any, place: Mapping[str, str], visible: str = "") -> Iterator[Reading]:
    """What every device says now.

    ``visible`` is ``NVIDIA_VISIBLE_DEVICES``: with UUIDs in it, only those devices are a
    container's own.  A device that is lost and a sensor that it lacks are left out.
    """
    own = {uuid for uuid in visible.split(",") if uuid.startswith("GPU-")}
    driver = _text(_said(nvml, nvml.nvmlSystemGetDriverVersion))
    for index in range(nvml.nvmlDeviceGetCount()):
        gpu = _said(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
        uuid = _text(_said(nvml, nvml.nvmlDeviceGetUUID, gpu)) if gpu is not None else ""
        if not uuid or (own and uuid not in own):
            continue
        attributes = {
            **place,
            "hw.id": uuid,
            "hw.type": "gpu",
            "hw.vendor": "NVIDIA",
            "hw.gpu.index": str(index),
            "hw.driver_version": driver,
            "hw.model": _text(_said(nvml, nvml.nvmlDeviceGetName, gpu)),
            "hw.serial_number": _text(_said(nvml, nvml.nvmlDeviceGetSerial, gpu)),
            "hw.firmware_version": _text(_said(nvml, nvml.nvmlDeviceGetVbiosVersion, gpu)),
            "hw.pci.bus_id": _text(
                getattr(_said(nvml, nvml.nvmlDeviceGetPciInfo, gpu), "busId", "")
            ),
        }
        yield from _board(nvml, gpu, attributes)
        slices = tuple(_slices(nvml, gpu, attributes))
        # In MIG mode the memory is the slices', and the board's would count it twice.
        yield from slices or _memory(nvml, gpu, attributes)


def _board(nvml: Any, gpu: Any, attributes: Mapping[str, str]) -> Iterator[Reading]:
    def ask(function: Callable[..., Any], *more: object) -> Any:
        return _said(nvml, function, gpu, *more)

    rates = ask(nvml.nvmlDeviceGetUtilizationRates)
    found: list[tuple[str, Any, float, dict[str, str]]] = [
        ("hw.gpu.utilization", getattr(rates, "gpu", None), 100, {"hw_gpu_task": "general"}),
        ("hw.gpu.memory.controller.utilization", getattr(rates, "memory", None), 100, {}),
        ("hw.power", ask(nvml.nvmlDeviceGetPowerUsage), 1000, {}),
        ("hw.power.limit", ask(nvml.nvmlDeviceGetEnforcedPowerLimit), 1000, {}),
        ("hw.energy", ask(nvml.nvmlDeviceGetTotalEnergyConsumption), 1000, {}),
        ("hw.fan.speed_ratio", ask(nvml.nvmlDeviceGetFanSpeed), 100, {}),
        ("hw.gpu.pcie.replays", ask(nvml.nvmlDeviceGetPcieReplayCounter), 1, {}),
        (
            "hw.temperature",
            ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            1,
            {"hw_sensor_location": "die"},
        ),
    ]
    for task, function in (
        ("encoder", nvml.nvmlDeviceGetEncoderUtilization),
        ("decoder", nvml.nvmlDeviceGetDecoderUtilization),
    ):
        # The second number is the period of the measurement.
        percent = (ask(function) or (None,))[0]
        found.append(("hw.gpu.utilization", percent, 100, {"hw_gpu_task": task}))
    for domain, clock in (("sm", nvml.NVML_CLOCK_SM), ("memory", nvml.NVML_CLOCK_MEM)):
        mhz = ask(nvml.nvmlDeviceGetClockInfo, clock)
        found.append(("hw.frequency", mhz, 1e-6, {"hw_frequency_domain": domain}))
    for kind, error in (
        ("corrected", nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
        ("uncorrected", nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
    ):
        count = ask(nvml.nvmlDeviceGetTotalEccErrors, error, nvml.NVML_VOLATILE_ECC)
        found.append(("hw.errors", count, 1, {"error_type": kind, "hw_gpu_ecc_scope": "volatile"}))
    for name, value, divisor, more in found:
        if value is not None:
            yield reading(name, value / divisor, attributes, **more)


def _memory(nvml: Any, gpu: Any, attributes: Mapping[str, str]) -> Iterator[Reading]:
    # The first version of the call counts as used what the driver keeps for itself.
    newer = getattr(nvml, "nvmlMemory_v2", None)
    found = _said(nvml, nvml.nvmlDeviceGetMemoryInfo, gpu, *(() if newer is None else (newer,)))
    if found is None:
        found = _said(nvml, nvml.nvmlDeviceGetMemoryInfo, gpu)
    if found is None:
        return
    yield reading("hw.gpu.memory.limit", found.total, attributes)
    yield reading("hw.gpu.memory.usage", found.used, attributes)
    yield reading("hw.gpu.memory.free", found.free, attributes)
    reserved = getattr(found, "reserved", None)
    if reserved is not None:
        yield reading("hw.gpu.memory.reserved", reserved, attributes)


def _slices(nvml: Any, gpu: Any, attributes: Mapping[str, str]) -> Iterator[Reading]:
    mode = _said(nvml, nvml.nvmlDeviceGetMigMode, gpu)
    if not mode or not mode[0]:
        return
    for place in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        mig = _said(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, place)
        number = None if mig is None else _said(nvml, nvml.nvmlDeviceGetGpuInstanceId, mig)
        if number is None:
            continue
        own = {
            **attributes,
            "hw.id": f"{attributes['hw.id']}/gi{number}",
            "hw.parent": attributes["hw.id"],
            "hw.gpu.mig.instance": str(number),
        }
        yield from _memory(nvml, mig, own)


def _said(nvml: Any, function: Callable[..., Any], *arguments: object) -> Any:
    """What the library answers, or None where the device does not know or is lost."""
    try:
        return function(*arguments)
    except nvml.NVMLError:
        return None


def _text(value: object) -> str:
    # Older bindings answer in bytes.
    return value.decode() if isinstance(value, bytes) else str(value or "")
