"""GPUs whose utilisation, memory, power and temperature follow what the engine computes.

All GPUs share the work, as under tensor parallelism.  Once a second the share of time spent in
steps becomes the utilisation; power follows it, energy is its integral, and temperature follows
power with a delay.  The figures of a board are rounded from its data sheet.
"""

from dataclasses import dataclass
from typing import Literal

from firsttoken.simulate.engine import Engine
from firsttoken.simulate.settings import Simulation

__all__ = ["SAMPLE_S", "Board", "Gpu", "GpuModel"]

SAMPLE_S = 1.0
"""How often the boards are sampled."""

_WEIGHTS_MIB = 15259  # 8e9 weights of two bytes
_KV_MIB_PER_TOKEN = 0.125
_WORKSPACE_MIB = 1024
_ACTIVATIONS_MIB = 1536  # when all time goes into prompts
_WARM_S = 20.0  # time constant of the temperature
_ROOM_C = 28.0
_PEAKS = 0.25  # of the time that goes into prompts, the share that the power limit cuts


@dataclass(frozen=True, slots=True)
class Board:
    """A kind of GPU: memory in MiB, power in W, clocks in MHz, temperature at full power in C."""

    name: str
    memory_mib: int
    idle_w: float
    limit_w: float
    idle_clock: int
    clock: int
    memory_clock: int
    hottest_c: float


_BOARDS: dict[Literal["nvidia", "amd"], Board] = {
    "nvidia": Board("NVIDIA A100-SXM4-80GB", 81920, 62, 400, 210, 1410, 1593, 74),
    "amd": Board("AMD Instinct MI300X", 196592, 130, 750, 132, 2100, 1300, 82),
}


@dataclass(slots=True)
class Gpu:
    """The state of one GPU: shares 0 to 1, MiB, W, J, degrees Celsius, MHz.

    ``power_limited`` is the share of the last sample with clocks lowered by the power limit, and
    ``limited_s`` of all ``seconds`` those.
    """

    index: int
    utilization: float
    prefill: float
    memory_busy: float
    used_mib: float
    power_w: float
    energy_j: float
    temperature_c: float
    memory_temperature_c: float
    clock_mhz: float
    power_limited: float = 0.0
    limited_s: float = 0.0
    seconds: float = 0.0


class GpuModel:
    """The GPUs beside an engine; ``sample`` once a second."""

    def __init__(self, simulation: Simulation, now: float) -> None:
        self.board = _BOARDS[simulation.gpu_vendor]
        tokens = simulation.parameters.kv_blocks * simulation.parameters.block_size
        self._held = _WEIGHTS_MIB + _WORKSPACE_MIB + tokens * _KV_MIB_PER_TOKEN
        self._time = now
        self._busy = (0.0, 0.0)
        board = self.board
        start = self._warmth(board.idle_w)
        self.gpus = [
            Gpu(i, 0, 0, 0, self._used(0), board.idle_w, 0, start, start + 4, board.idle_clock)
            for i in range(simulation.gpus)
        ]

    def sample(self, engine: Engine, now: float) -> None:
        """Take over what the engine did since the last sample."""
        elapsed = now - self._time
        if elapsed <= 0:
            return
        busy = engine.busy_seconds(now)
        utilization = min(1.0, max(0.0, (busy[0] - self._busy[0]) / elapsed))
        prefill = min(utilization, max(0.0, (busy[1] - self._busy[1]) / elapsed))
        self._time, self._busy = now, busy
        for gpu in self.gpus:
            self._advance(gpu, utilization, prefill, elapsed)

    def _advance(self, gpu: Gpu, utilization: float, prefill: float, elapsed: float) -> None:
        board = self.board
        decode = utilization - prefill
        gpu.utilization, gpu.prefill = utilization, prefill
        gpu.memory_busy = 0.85 * decode + 0.35 * prefill  # decoding reads all weights each step
        gpu.used_mib = self._used(prefill)
        # Prompts load the arithmetic units and draw most; no two boards are alike.
        load = (0.65 * decode + 0.95 * prefill) * (1 - 0.01 * (gpu.index % 5))
        gpu.power_w = board.idle_w + (board.limit_w - board.idle_w) * load
        gpu.energy_j += gpu.power_w * elapsed
        gpu.power_limited = _PEAKS * prefill
        gpu.limited_s += gpu.power_limited * elapsed
        gpu.seconds += elapsed
        share = min(1.0, elapsed / _WARM_S)
        gpu.temperature_c += (self._warmth(gpu.power_w) - gpu.temperature_c) * share
        gpu.memory_temperature_c = gpu.temperature_c + 4 + 8 * gpu.memory_busy
        gpu.clock_mhz = board.clock if utilization > 0 else board.idle_clock

    def _warmth(self, power: float) -> float:
        return _ROOM_C + (self.board.hottest_c - _ROOM_C) * power / self.board.limit_w

    def _used(self, prefill: float) -> float:
        return min(self.board.memory_mib, self._held + _ACTIVATIONS_MIB * prefill)
