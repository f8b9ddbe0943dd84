"""NVIDIA GPUs through NVML, as nvidia-ml-py has it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from firsttoken.exporters.gpus import Reading, reading

__all__ = ["read", "start"]

# What the device does at a temperature, in the conventions' words; what NVML calls it.
_LIMITS = (
    ("throttled", "NVML_TEMPERATURE_THRESHOLD_SLOWDOWN"),
    ("critical", "NVML_TEMPERATURE_THRESHOLD_SHUTDOWN"),
)
# Of the policies only those that lower clocks: a GPU at rest counts as "low utilization".
_POLICIES = (
    ("power", "NVML_PERF_POLICY_POWER"),
    ("thermal", "NVML_PERF_POLICY_THERMAL"),
    ("sync_boost", "NVML_PERF_POLICY_SYNC_BOOST"),
    ("board_limit", "NVML_PERF_POLICY_BOARD_LIMIT"),
    ("reliability", "NVML_PERF_POLICY_RELIABILITY"),
)


def start(nvml: Any) -> str | None:
    """Open the library; returns why there is nothing to read, or None."""
    try:
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as exc:
        return str(exc)
    return None if count else "no device"


def read(
    nvml: Any, place: Mapping[str, str], visible: str, xids: Mapping[str, int]
) -> Iterator[Reading]:
    """What every device says now.

    ``visible`` is ``NVIDIA_VISIBLE_DEVICES``: with UUIDs in it (of GPUs or of MIG slices), only
    those are a container's own.  ``xids`` is the last XID error by UUID.  A device that is lost and
    a sensor that it lacks are left out.
    """
    own = {uuid for uuid in visible.split(",") if uuid.startswith(("GPU-", "MIG-"))}
    driver = _text(_said(nvml, "nvmlSystemGetDriverVersion"))
    for index in range(nvml.nvmlDeviceGetCount()):
        gpu = _said(nvml, "nvmlDeviceGetHandleByIndex", index)
        uuid = _text(_said(nvml, "nvmlDeviceGetUUID", gpu)) if gpu is not None else ""
        if not uuid:
            continue
        attributes = {
            **place,
            "hw.id": uuid,
            "hw.type": "gpu",
            "hw.vendor": "NVIDIA",
            "hw.gpu.index": str(index),
            "hw.driver_version": driver,
            "hw.model": _text(_said(nvml, "nvmlDeviceGetName", gpu)),
            "hw.serial_number": _text(_said(nvml, "nvmlDeviceGetSerial", gpu)),
            "hw.firmware_version": _text(_said(nvml, "nvmlDeviceGetVbiosVersion", gpu)),
            "hw.pci.bus_id": _text(getattr(_said(nvml, "nvmlDeviceGetPciInfo", gpu), "busId", "")),
        }
        slices = dict(_slices(nvml, gpu, attributes))
        mine = {mig: where for mig, where in slices.items() if not own or {mig, uuid} & own}
        if own and uuid not in own and not mine:
            continue
        yield from _board(nvml, gpu, attributes)
        yield from _wear(nvml, gpu, attributes)
        if uuid in xids:
            yield reading("hw.gpu.xid.last", xids[uuid], attributes)
        # In MIG mode the memory is the slices', and the board's would count it twice.
        if not slices:
            yield from _memory(nvml, gpu, attributes)
        for handle, where in mine.values():
            yield from _memory(nvml, handle, where)


def _board(nvml: Any, gpu: Any, attributes: Mapping[str, str]) -> Iterator[Reading]:
    def ask(function: str, *more: object) -> Any:
        return _said(nvml, function, gpu, *more)

    rates = ask("nvmlDeviceGetUtilizationRates")
    found: list[tuple[str, Any, float, dict[str, str]]] = [
        ("hw.gpu.utilization", getattr(rates, "gpu", None), 100, {"hw_gpu_task": "general"}),
        ("hw.gpu.memory.controller.utilization", getattr(rates, "memory", None), 100, {}),
        ("hw.power", ask("nvmlDeviceGetPowerUsage"), 1000, {}),
        ("hw.power.limit", ask("nvmlDeviceGetEnforcedPowerLimit"), 1000, {}),
        ("hw.energy", ask("nvmlDeviceGetTotalEnergyConsumption"), 1000, {}),
        ("hw.fan.speed_ratio", ask("nvmlDeviceGetFanSpeed"), 100, {}),
    ]
    for task, function in (
        ("encoder", "nvmlDeviceGetEncoderUtilization"),
        ("decoder", "nvmlDeviceGetDecoderUtilization"),
    ):
        # The second number is the period of the measurement.
        percent = (ask(function) or (None,))[0]
        found.append(("hw.gpu.utilization", percent, 100, {"hw_gpu_task": task}))
    for domain, clock in (("sm", nvml.NVML_CLOCK_SM), ("memory", nvml.NVML_CLOCK_MEM)):
        mhz = ask("nvmlDeviceGetClockInfo", clock)
        found.append(("hw.frequency", mhz, 1e-6, {"hw_frequency_domain": domain}))
    die = ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU)
    found.append(("hw.temperature", die, 1, {"hw_sensor_location": "die"}))
    memory = _field(nvml, gpu, "NVML_FI_DEV_MEMORY_TEMP")
    # 0 stands for a board whose memory has no sensor.
    found.append(("hw.temperature", memory or None, 1, {"hw_sensor_location": "memory"}))
    for limit, threshold in _LIMITS:
        degrees = ask("nvmlDeviceGetTemperatureThreshold", getattr(nvml, threshold, None))
        where = {"hw_sensor_location": "die", "hw_limit_type": limit}
        found.append(("hw.temperature.limit", degrees or None, 1, where))
    yield from _measured(found, attributes)


def _wear(nvml: Any, gpu: Any, attributes: Mapping[str, str]) -> Iterator[Reading]:
    """What went wrong and what slowed the device down, since the driver was loaded."""
    found: list[tuple[str, Any, float, dict[str, str]]] = [
        ("hw.gpu.pcie.replays", _said(nvml, "nvmlDeviceGetPcieReplayCounter", gpu), 1, {})
    ]
    rows = _said(nvml, "nvmlDeviceGetRemappedRows", gpu)  # corrected, uncorrected, pending, failed
    for place, kind in enumerate(("corrected", "uncorrected")):
        error = getattr(nvml, f"NVML_MEMORY_ERROR_TYPE_{kind.upper()}")
        count = _said(nvml, "nvmlDeviceGetTotalEccErrors", gpu, error, nvml.NVML_VOLATILE_ECC)
        found.append(("hw.errors", count, 1, {"error_type": kind, "hw_gpu_ecc_scope": "volatile"}))
        if rows is not None:
            found.append(("hw.gpu.memory.remapped_rows", rows[place], 1, {"error_type": kind}))
    if rows is not None:
        found.append(("hw.gpu.memory.row_remap.failed", rows[3], 1, {}))
    for reason, policy in _POLICIES:
        spent = _said(nvml, "nvmlDeviceGetViolationStatus", gpu, getattr(nvml, policy, None))
        nanoseconds = getattr(spent, "violationTime", None)
        found.append(("hw.gpu.throttle.time", nanoseconds, 1e9, {"hw_gpu_throttle_reason": reason}))
    yield from _measured(found, attributes)


def _measured(
    found: Sequence[tuple[str, Any, float, dict[str, str]]], attributes: Mapping[str, str]
) -> Iterator[Reading]:
    for name, value, divisor, more in found:
        if value is not None:
            yield reading(name, value / divisor, attributes, **more)


def _memory(nvml: Any, gpu: Any, attributes: Mapping[str, str]) -> Iterator[Reading]:
    # The first version of the call counts as used what the driver keeps for itself.
    newer = getattr(nvml, "nvmlMemory_v2", None)
    found = _said(nvml, "nvmlDeviceGetMemoryInfo", gpu, *(() if newer is None else (newer,)))
    if found is None:
        found = _said(nvml, "nvmlDeviceGetMemoryInfo", gpu)
    if found is None:
        return
    yield reading("hw.gpu.memory.limit", found.total, attributes)
    yield reading("hw.gpu.memory.usage", found.used, attributes)
    yield reading("hw.gpu.memory.free", found.free, attributes)
    reserved = getattr(found, "reserved", None)
    if reserved is not None:
        yield reading("hw.gpu.memory.reserved", reserved, attributes)


def _slices(
    nvml: Any, gpu: Any, attributes: Mapping[str, str]
) -> Iterator[tuple[str, tuple[Any, dict[str, str]]]]:
    """UUID of each MIG slice -> its handle and attributes."""
    mode = _said(nvml, "nvmlDeviceGetMigMode", gpu)
    if not mode or not mode[0]:
        return
    for place in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        mig = _said(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", gpu, place)
        number = None if mig is None else _said(nvml, "nvmlDeviceGetGpuInstanceId", mig)
        if number is None:
            continue
        own = {
            **attributes,
            "hw.id": f"{attributes['hw.id']}/gi{number}",
            "hw.parent": attributes["hw.id"],
            "hw.gpu.mig.instance": str(number),
        }
        yield _text(_said(nvml, "nvmlDeviceGetUUID", mig)) or own["hw.id"], (mig, own)


def _field(nvml: Any, gpu: Any, name: str) -> Any:
    """A field's value, an unsigned number; None where the device has none."""
    values = _said(nvml, "nvmlDeviceGetFieldValues", gpu, [getattr(nvml, name, 0)])
    return values[0].value.uiVal if values and values[0].nvmlReturn == 0 else None


def _said(nvml: Any, function: str, *arguments: object) -> Any:
    """What the library answers, or None where it, or the device, does not know or is lost."""
    try:
        return getattr(nvml, function)(*arguments)
    except (nvml.NVMLError, AttributeError):
        return None


def _text(value: object) -> str:
    # Older bindings answer in bytes.
    return value.decode() if isinstance(value, bytes) else str(value or "")
