"""What the metrics of one source mean in the catalogue's terms: loading and choosing a profile.

A profile is a file of ``profiles/``, or a user's own, in the form of ``schema.ProfileFile``.
"""

from collections.abc import Iterable
from functools import lru_cache
from importlib import resources
from pathlib import Path

from firsttoken.errors import UsageError
from firsttoken.exporters.compiler import compile_file
from firsttoken.exporters.table import Profile
from firsttoken.exporters.translation import Translation

__all__ = ["Profile", "Translation", "builtin_names", "guess", "load", "load_all"]


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
