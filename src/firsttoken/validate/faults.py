"""Faults of an embedded engine that already runs: put in force, and taken back at the end."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import requests

from firsttoken.config import public_address
from firsttoken.errors import NotJudgedError

__all__ = ["imposed", "in_force"]

_TIMEOUT_S = 5.0


def in_force(url: str) -> dict[str, Any] | None:
    """The faults of the engine at an address; None where it is no embedded engine."""
    try:
        answer = requests.get(f"{url}/faults", timeout=_TIMEOUT_S)
        found = answer.json() if answer.ok else None
    except (requests.RequestException, ValueError):
        return None
    return found if isinstance(found, dict) and "prefill_slowdown" in found else None


@contextlib.contextmanager
def imposed(url: str, faults: Sequence[str]) -> Iterator[None]:
    """Some faults (``name=value``) as long as the block lasts.  Raises NotJudgedError."""
    before = in_force(url)
    if before is None:
        raise NotJudgedError(f"{public_address(url)} is no firsttoken simulate: it takes no faults")
    _put(url, dict(fault.split("=", 1) for fault in faults))
    try:
        yield
    finally:
        with contextlib.suppress(NotJudgedError):
            _put(url, before)


def _put(url: str, values: dict[str, Any]) -> None:
    try:
        answer = requests.put(f"{url}/faults", json=values, timeout=_TIMEOUT_S)
    except requests.RequestException as exc:
        reason = type(exc).__name__
        raise NotJudgedError(f"{public_address(url)} does not take the faults: {reason}") from None
    if not answer.ok:
        raise NotJudgedError(
            f"{public_address(url)} does not take the faults: {answer.text.strip()}"
        )
