"""What can be made to go wrong: by configuration, on the command line, or at run time over HTTP."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from firsttoken.config import Duration, Model, validate_model
from firsttoken.errors import UsageError

__all__ = ["Faults", "describe", "parse"]


class Faults(Model):
    """The faults in force; the defaults are none.

    A real engine shows each of them only rarely, and never on demand.
    """

    prefill_slowdown: float = Field(
        default=1.0, ge=1, le=1000, description="Computing a prompt token costs this many times."
    )
    decode_slowdown: float = Field(
        default=1.0, ge=1, le=1000, description="All else in a step costs this many times."
    )
    stalled: bool = Field(
        default=False, description="Requests are accepted, but no token comes any more."
    )
    failing_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the requests that end with status 500, in a stream an error event.",
    )
    kv_withheld: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the KV blocks that nobody gets; those of one longest request stay.",
    )
    xid: int = Field(
        default=0, ge=0, le=999, description="Code of the last XID error of one NVIDIA GPU."
    )
    xid_gpu: int = Field(default=0, ge=0, description="Which GPU had it.")
    gpu_exporter: Literal["ok", "down", "garbage"] = Field(
        default="ok", description="The GPU pages close the connection, or are no metrics."
    )
    gpu_exporter_delay: Duration = Field(
        default=0.0, ge=0, le=3600, description="The GPU pages come this much later, such as 20s."
    )

    def changed(self, changes: Mapping[str, Any], *, origin: str) -> "Faults":
        """These faults with some changed; raises ConfigError that begins with ``origin``."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return validate_model({**values, **changes}, Faults, origin)


def parse(pairs: Iterable[str], base: Faults) -> Faults:
    """``name=value`` pairs of the command line on top of ``base``; raises UsageError."""
    changes: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--fault {pair}: expected NAME=VALUE, such as prefill_slowdown=20")
        changes[name.strip()] = value.strip()
    return base.changed(changes, origin="--fault") if changes else base


def describe() -> str:
    """One line for each fault, for people: name, default, meaning."""
    rows = []
    for name, field in Faults.model_fields.items():
        default = str(field.default).lower() if field.default is False else field.default
        rows.append(f"  {f'{name}={default}':<24} {field.description}")
    return "\n".join(rows)
