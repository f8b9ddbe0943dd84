"""The last XID error of each NVIDIA GPU, heard from the driver as it happens."""

import threading
from collections.abc import Mapping
from typing import Any, Self

__all__ = ["XidWatch"]

_WAIT_MS = 1000


class XidWatch:
    """Listens for XID errors while it is entered; ``last`` has the code of each device's last one.

    A device is listed, with 0 until something happens, when its driver can tell.  What happened
    before is not known: NVML reports events, and keeps no record of them.
    """

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._last: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="xid", daemon=True)
        self._events: Any = None

    @property
    def last(self) -> Mapping[str, int]:
        """UUID of a device -> code of its last XID error, 0 for none."""
        return self._last

    def __enter__(self) -> Self:
        nvml = self._nvml
        try:
            self._events = nvml.nvmlEventSetCreate()
        except (nvml.NVMLError, AttributeError):
            return self  # a driver, or a binding, that has no events
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                gpu = nvml.nvmlDeviceGetHandleByIndex(index)
                nvml.nvmlDeviceRegisterEvents(gpu, nvml.nvmlEventTypeXidCriticalError, self._events)
                self._last[self._uuid(gpu)] = 0
            except nvml.NVMLError:
                continue  # this one cannot tell
        if self._last:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._events is not None:
            self._nvml.nvmlEventSetFree(self._events)

    def _listen(self) -> None:
        nvml = self._nvml
        while not self._ended.is_set():
            try:
                event = nvml.nvmlEventSetWait_v2(self._events, _WAIT_MS)
                self._last[self._uuid(event.device)] = int(event.eventData)
            except nvml.NVMLError_Timeout:
                continue
            except nvml.NVMLError:
                # A GPU that fell off the bus: without a pause this would spin.
                self._ended.wait(_WAIT_MS / 1000)

    def _uuid(self, gpu: Any) -> str:
        uuid = self._nvml.nvmlDeviceGetUUID(gpu)
        return uuid.decode() if isinstance(uuid, bytes) else str(uuid)
