"""A figure as a page shows it."""

from dataclasses import dataclass

__all__ = ["Picture"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure for the page: ``svg`` to put in as it is, ``caption`` for who cannot see it."""

    name: str
    title: str
    caption: str
    svg: str
