"""What the SLO dashboard says of an incident is what the alerts say."""

import math
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from firsttoken import recorded
from firsttoken.catalogue import REQUEST_MODEL
from firsttoken.config import format_duration
from firsttoken.dashboards.expand import View, expand, initial, panels
from firsttoken.dashboards.render import dashboards
from firsttoken.prometheus import Prometheus
from firsttoken.rules.generate import ALERT, rule_groups
from firsttoken.rules.model import AlertRule, RecordingRule
from firsttoken.rules.slo import load
from firsttoken.rules.windows import tiers

END = 1_790_000_000
SLO = load(Path(__file__).parents[2] / "examples" / "slo.yaml")
Looked = Callable[[Any], AbstractContextManager[Prometheus]]
WINDOWS = ("8m", "1h36m", "30m", "6h", "2h", "1d", "3d", "5m", "1h")


def incident(past: Any, source: random.Random) -> None:
    """Shares of bad events over every window that rise and fall, and times without traffic."""
    labels = {recorded.SERVICE_LABEL: "chat", recorded.OBJECTIVE_LABEL: "ttft"}
    own = {**labels, REQUEST_MODEL.label: "llama"}
    for window in WINDOWS:
        phase, quiet = source.uniform(0, 6), source.randrange(3600)

        def total(at: float, quiet: int = quiet) -> float:
            return 0.0 if 0 <= (at - END) % 3600 - quiet < 240 else 10.0

        def bad(at: float, phase: float = phase, quiet: int = quiet) -> float:
            share = 0.4 * (1 + math.sin(at / 300 + phase))
            return share * total(at, quiet)

        past.gauge(recorded.total(window), own, total)
        past.gauge(recorded.bad(window), own, bad)
    past.gauge(recorded.OBJECTIVE, labels, 0.95)


def limits(past: Any) -> None:
    """The constants, as the rules record them."""
    for group in rule_groups(SLO):
        for rule in group.rules:
            if isinstance(rule, RecordingRule) and rule.record == recorded.LIMIT:
                past.gauge(rule.record, rule.labels, float(rule.expr[len("vector(") : -1]))


@pytest.mark.parametrize("seed", range(3))
def test_a_tier_is_above_its_line_exactly_while_its_alert_fires(
    seed: int, past: Any, looked_at: Looked
) -> None:
    past.step = 60
    incident(past, random.Random(seed))
    limits(past)
    shape = dashboards()["firsttoken-slo"]
    values = {**View(END - 3600, END, 60).built_in(), **initial(shape), "objective": "ttft"}
    panel = next(p for p in panels(shape) if p["title"] == "Closeness to an alert")
    alerts = [
        rule for group in rule_groups(SLO) for rule in group.rules
        if isinstance(rule, AlertRule) and rule.alert == ALERT and rule.labels["slo"] == "ttft"
    ]  # fmt: skip

    with looked_at(past) as prometheus:
        for tier, target in zip(recorded.TIERS, panel["targets"], strict=True):
            (alert,) = [a for a in alerts if a.labels[recorded.BURN_LABEL] == tier]
            drawn = prometheus.query_range(expand(target["expr"], values), END - 3600, END, 60)
            fired = prometheus.query_range(alert.expr, END - 3600, END, 60)
            above = {at for s in drawn for at, value in s.points if value > 1}
            assert above == {at for s in fired for at, _ in s.points}, tier


def test_the_windows_here_are_those_of_the_objective() -> None:
    found = tiers(int(SLO.period), SLO.objectives[0].budget, 30)
    own = {format_duration(w) for tier in found for w in (tier.long, tier.short)}

    assert own <= set(WINDOWS)
