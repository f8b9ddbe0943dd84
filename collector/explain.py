"""What became of each family, for a person at a terminal or a program."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from firsttoken.collector.merge import Collision

__all__ = ["as_json", "as_text"]


def as_json(state: Sequence[Mapping[str, Any]], collisions: Sequence[Collision]) -> str:
    """The state of all sources as JSON."""
    told = [{"family": c.family, "source": c.source, "reason": c.reason} for c in collisions]
    return json.dumps({"sources": list(state), "collisions": told}, indent=2) + "\n"


def as_text(state: Sequence[Mapping[str, Any]], collisions: Sequence[Collision]) -> str:
    """One line a family: what it is on the source's page, what became of it, and as what."""
    lines: list[str] = []
    for source in state:
        profile = source["profile"] or "no profile fits"
        lines.append(f"{source['name']}  {source['url']}  ({profile})")
        if not source["up"]:
            lines += (f"  not read: {source['reason']}: {source['error']}", "")
            continue
        families = source["families"]
        wide = max((len(family["family"]) for family in families), default=0)
        for family in families:
            lines.append(f"  {family['family']:{wide}}  {_fate(family)}".rstrip())
        left_out = f", {source['left_out']} not served" if source["left_out"] else ""
        lines += (f"  {source['samples']} samples{left_out}", "")
    if collisions:
        lines.append("collisions")
        lines += (f"  {c.family}  {c.source}: {c.reason}" for c in collisions)
    return "\n".join(lines).rstrip("\n") + "\n"


def _fate(family: Mapping[str, str]) -> str:
    outcome = family["outcome"]
    if outcome == "renamed":
        return f"-> {family['name']}"
    why = f" ({family['why']})" if "why" in family else ""
    return f"{outcome}{why}"
