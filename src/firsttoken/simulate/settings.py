"""What one simulated deployment is: the file of ``firsttoken simulate --config``."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from firsttoken.config import Model
from firsttoken.errors import ConfigError
from firsttoken.simulate.faults import Faults
from firsttoken.simulate.parameters import Parameters

__all__ = ["Simulation"]


class Simulation(Model):
    """The model's name, its engine's parameters, the GPUs beside it, and what goes wrong."""

    model: str = Field(
        default="firsttoken/simulated-8b",
        min_length=1,
        description="The name that the engine serves.",
    )
    seed: int = Field(default=0, ge=0, description="Of everything random: answers and failures.")
    gpus: int = Field(default=2, ge=0, le=64, description="GPUs on the exporters' pages.")
    gpu_vendor: Literal["nvidia", "amd"] = Field(
        default="nvidia", description="Which exporter's page shows them: DCGM's or AMD's."
    )
    parameters: Parameters = Field(default=Parameters(), description="Costs and capacities.")
    faults: Faults = Field(default=Faults(), description="Faults from the start on.")

    @model_validator(mode="after")
    def _xid_on_a_gpu(self) -> Self:
        if self.faults.xid and self.faults.xid_gpu >= self.gpus:
            raise ValueError(f"faults.xid_gpu must be below gpus = {self.gpus}")
        return self

    def with_faults(self, base: Faults, changes: Mapping[str, Any], *, origin: str) -> Faults:
        """``base`` with some faults changed; raises ConfigError when these GPUs cannot have it."""
        faults = base.changed(changes, origin=origin)
        if faults.xid and faults.xid_gpu >= self.gpus:
            raise ConfigError(origin, [f"xid_gpu: must be below the number of GPUs, {self.gpus}"])
        return faults
