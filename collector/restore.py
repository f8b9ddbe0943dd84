"""The names of families as their server gave them, where an exporter library changed them.

Newer versions of prometheus_client write ``vllm_x`` for ``vllm:x`` where they answer in
OpenMetrics, which has no colon in names that come from a program.
"""

from collections.abc import Iterable
from dataclasses import replace

from firsttoken.collector.page import Shape
from firsttoken.exporters.profile import Profile, guess

__all__ = ["guessed", "restored"]


def restored(shape: Shape, profile: Profile) -> Shape:
    """The shape under the names that the profile's source has of its own."""
    renamed = _originals(shape.names, profile)
    if not renamed:
        return shape
    families = tuple(
        family._replace(name=renamed[family.name]) if family.name in renamed else family
        for family in shape.families
    )
    return replace(shape, families=families)


def guessed(shape: Shape, profiles: Iterable[Profile]) -> Profile | None:
    """The profile that fits a page best, under the page's names or the original ones."""
    choices = tuple(profiles)
    found = guess(shape.names, choices)
    if found is not None:
        return found
    names = shape.names
    likely = [(profile, _originals(names, profile)) for profile in choices]
    fitting = [(len(renamed), p) for p, renamed in likely if p.detect(renamed.values())]
    return max(fitting, key=lambda item: item[0])[1] if fitting else None


def _originals(names: frozenset[str], profile: Profile) -> dict[str, str]:
    """Name on the page -> with its colon, of families that have lost it."""
    known = {line.source.partition(":")[0] for line in profile.lines if ":" in line.source}
    prefixes = {p for p in known if not any(name.startswith(f"{p}:") for name in names)}
    return {
        name: f"{prefix}:{name.removeprefix(f'{prefix}_')}"
        for prefix in prefixes
        for name in names
        if name.startswith(f"{prefix}_")
    }
