"""Exact factors between the units that sources use and those of the catalogue.

Units are written as in UCUM; ``{...}`` is what is counted, and converts to nothing else.
"""

from decimal import Decimal

__all__ = ["ALL", "UnitError", "factor"]

_K = Decimal(1000)
_KI = Decimal(1024)
_GROUPS: tuple[dict[str, Decimal], ...] = (
    {
        "ns": _K**-3, "us": _K**-2, "ms": _K**-1, "s": Decimal(1), "min": Decimal(60),
        "h": Decimal(3600),
    },
    {
        "By": Decimal(1), "KBy": _K, "MBy": _K**2, "GBy": _K**3, "TBy": _K**4,
        "KiBy": _KI, "MiBy": _KI**2, "GiBy": _KI**3, "TiBy": _KI**4,
    },
    {
        "By/s": Decimal(1), "KBy/s": _K, "MBy/s": _K**2, "GBy/s": _K**3,
        "KiBy/s": _KI, "MiBy/s": _KI**2, "GiBy/s": _KI**3,
    },
    {"1": Decimal(1), "%": Decimal("0.01")},
    {"uJ": _K**-2, "mJ": _K**-1, "J": Decimal(1), "kJ": _K, "W.h": Decimal(3600)},
    {"uW": _K**-2, "mW": _K**-1, "W": Decimal(1)},
    {"Hz": Decimal(1), "kHz": _K, "MHz": _K**2, "GHz": _K**3},
    {"mCel": _K**-1, "Cel": Decimal(1)},
    {"mV": _K**-1, "V": Decimal(1)},
    {"{transfer}/s": Decimal(1), "G{transfer}/s": _K**3, "M{transfer}/s": _K**2},
)  # fmt: skip

ALL: tuple[str, ...] = tuple(unit for group in _GROUPS for unit in group)
"""Every unit that converts to another."""


class UnitError(ValueError):
    """Raised when one unit does not measure what the other does."""


def factor(source: str, target: str) -> Decimal:
    """What a value in ``source`` is multiplied by to be in ``target``; raises UnitError."""
    if source == target:
        return Decimal(1)
    for group in _GROUPS:
        if source in group and target in group:
            return group[source] / group[target]
    raise UnitError(f"{source} does not convert to {target or 'a number without unit'}")
