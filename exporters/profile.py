"""What the metrics of one source mean in the catalogue's terms: loading and choosing a profile.

A profile is a file of ``profiles/``, or a user's own, in the form of ``schema.ProfileFile``.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path

from firsttoken.errors import UsageError
from firsttoken.exporters.compiler import compile_file
from firsttoken.exporters.table import Line, Profile
from firsttoken.exporters.translation import Translation
from firsttoken.vocabulary import Condition, Variant, Vocabulary

__all__ = ["Profile", "Translation", "builtin_names", "guess", "load", "load_all", "vocabulary"]


def builtin_names() -> tuple[str, ...]:
    """The names of the profiles that come with firsttoken."""
    folder = resources.files("firsttoken.exporters").joinpath("profiles")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir()))


def load(name_or_path: str | Path) -> Profile:
    """A profile by its name, or from a user's own file (which has a ``.yaml`` or a ``/``).

    Raises UsageError for a name that is not known, ConfigError for a file with a mistake.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        return compile_file(Path(name_or_path), _builtin)
    return _builtin(text)


@lru_cache(maxsize=64)
def _builtin(name: str) -> Profile:
    if name not in builtin_names():
        raise UsageError(f"no profile {name!r} (there are: {', '.join(builtin_names())})")
    folder = resources.files("firsttoken.exporters").joinpath("profiles")
    with resources.as_file(folder.joinpath(f"{name}.yaml")) as path:
        return compile_file(path, _builtin)


def load_all() -> tuple[Profile, ...]:
    """All profiles that come with firsttoken, in the order of their names."""
    return tuple(_builtin(name) for name in builtin_names())


def guess(names: Iterable[str], profiles: Iterable[Profile]) -> Profile | None:
    """The profile that knows most of a page's families, of those that recognise it; or None."""
    page = frozenset(names)
    best: tuple[int, Profile] | None = None
    for profile in profiles:
        if profile.detect(page):
            known = sum(profile.reads(name) for name in page)
            if best is None or known > best[0]:
                best = (known, profile)
    return best[1] if best else None


def vocabulary(profile: Profile, page: Iterable[str] = ()) -> Vocabulary:
    """The names for rules and dashboards on a Prometheus that scrapes the source directly.

    ``page`` holds the families of such a page: of old and new names it says which are in use.
    Without it the newest are taken.  What a direct scrape cannot say is left out: an entry that
    only a merge of several series gives, and attributes that a label's value must be changed for.
    """
    names = frozenset(page)
    chosen: dict[str, list[Variant]] = {}
    for line in profile.lines:
        series = _series(profile, line, names)
        if series is not None:
            chosen.setdefault(line.metric.name, []).append(_variant(line, series))
    labels: dict[str, str] = {}
    for line in profile.lines:
        for label, attribute in line.rules.rename.items():
            if attribute is not None:
                labels.setdefault(attribute, label)
    return Vocabulary(profile.name, {name: tuple(v) for name, v in chosen.items()}, labels)


def _variant(line: Line, series: str) -> Variant:
    rules = line.rules
    said = {attribute for attribute in rules.rename.values() if attribute} | rules.fallback.keys()
    return Variant(
        series=f"{series}_{line.part}" if line.part else series,
        fixed=tuple({**rules.add, **_always(line)}.items()),
        scale=line.scale or Decimal(1),
        where=tuple(_condition(label, rx.pattern) for label, rx in rules.where.items()),
        carries=frozenset(said),
    )


def _always(line: Line) -> dict[str, str]:
    """The defaults that no label of the source ever overrides."""
    said = set(line.rules.rename.values())
    return {name: value for name, value in line.rules.defaults.items() if name not in said}


def _condition(label: str, pattern: str) -> Condition:
    """A condition in Prometheus' expressions, which cannot look ahead."""
    others = re.fullmatch(r"\(\?!\((.*)\)\$\)\.\*", pattern)
    if others:
        return Condition(label, "!~", others[1])
    plain = pattern == re.escape(pattern)
    return Condition(label, "=" if plain else "=~", pattern)


def _series(profile: Profile, line: Line, page: frozenset[str]) -> str | None:
    """The name under which a page has a line's series, or None."""
    if not page:
        return None if line.superseded_by or line.until else line.source
    for family in sorted(page):
        if any(line in profile.read_by(family, kind, page) for kind in line.kinds):
            counted = line.source.endswith("_total") and not family.endswith("_total")
            return f"{family}_total" if counted else family
    return None
