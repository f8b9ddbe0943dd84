"""The alerts that reached a real Alertmanager during a run, and those that were expected."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests

from firsttoken.report.schema import Check, DeliveredAlert

__all__ = ["AlertWatch", "Expected", "check", "wait_for"]

_EVERY_S = 1.0
_PATIENCE_S = 10.0
_SILENT = "none"
"""Severity of the watchdog, which always fires and says nothing."""


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert that is expected; ``objective`` None is any."""

    name: str
    objective: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.objective})" if self.objective else self.name

    def matches(self, alert: DeliveredAlert) -> bool:
        """Whether an alert is this one."""
        return alert.name == self.name and self.objective in (None, alert.objective)


class AlertWatch:
    """Asks Alertmanager now and then: it forgets an alert when it is resolved, this does not."""

    def __init__(self, url: str, service: str) -> None:
        self._address = f"{url}/api/v2/alerts"
        self._service = service
        self._asked = 0.0
        self._began = time.time()
        self._found: dict[tuple[str, str], DeliveredAlert] = {}

    def begin(self, moment: float) -> None:
        """Count seconds from this unix time on."""
        self._began = moment

    @property
    def delivered(self) -> tuple[DeliveredAlert, ...]:
        """Every alert that was there at some time, the earliest first."""
        return tuple(sorted(self._found.values(), key=lambda one: (one.at, one.name)))

    def poll(self, *, now: bool = False) -> None:
        """Ask again, at most once a second unless it must be now."""
        if not now and time.monotonic() - self._asked < _EVERY_S:
            return
        self._asked = time.monotonic()
        try:
            answer = requests.get(self._address, timeout=5)
            rows = answer.json() if answer.ok else []
        except (requests.RequestException, ValueError):
            return  # it is asked again; what never comes is found missing
        for row in rows:
            self._take(row)

    def _take(self, row: dict[str, Any]) -> None:
        labels = row.get("labels", {})
        if labels.get("service") != self._service or labels.get("severity") == _SILENT:
            return
        key = (labels.get("alertname", "?"), labels.get("slo", ""))
        held = bool(row.get("status", {}).get("inhibitedBy"))
        before = self._found.get(key)
        at = round(time.time() - self._began, 1) if before is None else before.at
        # Of an objective's tiers one is enough, and one that was not held back decides.
        inhibited = held if before is None else held and before.inhibited
        self._found[key] = DeliveredAlert(
            name=key[0], objective=key[1], severity=labels.get("severity", ""), at=at,
            inhibited=inhibited,
        )  # fmt: skip


def wait_for(watch: AlertWatch, expected: Sequence[Expected]) -> None:
    """Give what is expected, and still on its way, some seconds to arrive."""
    deadline = time.monotonic() + _PATIENCE_S
    watch.poll(now=True)
    while time.monotonic() < deadline and _missing(watch.delivered, expected):
        time.sleep(_EVERY_S / 2)
        watch.poll(now=True)


def check(delivered: Sequence[DeliveredAlert], expected: Sequence[Expected]) -> Check:
    """Whether the expected alerts, and only those, reached Alertmanager."""
    missing = [f"{one} did not arrive" for one in _missing(delivered, expected)]
    more = [
        f"{Expected(one.name, one.objective or None)} arrived after {one.at:.0f} s and was not"
        " expected"
        for one in delivered
        if not any(wanted.matches(one) for wanted in expected)
    ]
    wrong = (*missing, *more)
    if wrong:
        said = (
            f"{len(missing)} of {len(expected)} expected are missing, {len(more)} not expected came"
        )
        return Check(name="alerts", status="failed", summary=said, details=wrong)
    names = ", ".join(str(one) for one in expected)
    said = (
        f"what was expected, and only that, reached Alertmanager: {names}"
        if expected
        else ("no alert reached Alertmanager, as expected")
    )
    return Check(name="alerts", status="passed", summary=said)


def _missing(delivered: Sequence[DeliveredAlert], expected: Sequence[Expected]) -> list[Expected]:
    return [one for one in expected if not any(one.matches(alert) for alert in delivered)]
