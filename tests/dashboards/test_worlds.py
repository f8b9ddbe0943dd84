"""Every panel in every situation on the embedded engine, whose own observations are the truth."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from firsttoken.dashboards.check import check_settings
from firsttoken.dashboards.expand import View, expand, initial
from firsttoken.servers import missing_tools
from firsttoken.simulate.faults import Faults

pytestmark = pytest.mark.skipif(
    bool(missing_tools("prometheus", "promtool")), reason="needs the Debian package prometheus"
)


@pytest.fixture(name="embedded", scope="module")
def _embedded(worlds: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The embedded engine beside NVIDIA and AMD GPUs; one replica becomes slow for a while."""
    nvidia = worlds.engine(seed=1)
    amd = worlds.engine(seed=2, gpu_vendor="amd", faults={0: Faults(failing_share=0.1)})
    idle = worlds.engine(seed=3, rate=0)
    failing = worlds.engine(seed=4, faults={0: Faults(failing_share=1.0)})
    slow = worlds.engine(
        seed=5, faults={worlds.SCRAPES - 7: Faults(prefill_slowdown=8, failing_share=0.3)}
    )  # fmt: skip
    targets = [
        *worlds.situations((nvidia, amd), idle, failing),
        worlds.played.Target("slow-replica", "slow-0:8000", worlds.played.collected(nvidia)),
        worlds.played.Target("slow-replica", "slow-1:8000", worlds.played.collected(slow)),
    ]
    folder = tmp_path_factory.mktemp("embedded")
    with worlds.world(folder, targets, worlds.EVERY, nvidia.witness, amd.witness) as found:
        yield found


def test_each_panel_has_its_expected_outcome(worlds: Any, embedded: Any) -> None:
    worlds.expect_outcomes("embedded", embedded)


def test_an_outage_is_red_and_no_tile_shows_what_was_before(worlds: Any, embedded: Any) -> None:
    worlds.expect_outage(embedded)


@pytest.mark.parametrize("uid", ["firsttoken-service", "firsttoken-capacity", "firsttoken-gpu"])
def test_no_choice_at_the_top_breaks_a_panel(uid: str, worlds: Any, embedded: Any) -> None:
    times: dict[str, float] = {"end": embedded.last, "seconds": worlds.RANGE_S}
    found = check_settings(
        embedded.prometheus, worlds.SHAPES[uid], **times, scrape_interval=embedded.every
    )

    assert {name.partition("=")[0] for name in found} >= {"as opened", "job", "instance"}
    broken = [(name, r) for name, rs in found.items() for r in rs if r.status == "broken"]
    assert broken == []
    for name in found:
        if name.startswith("instance="):
            titles = {r.panel for r in found[name] if r.status == "data"}
            assert titles, name


# --- The truth --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "name"),
    [("Time to first token", "ttft"), ("Time per output token", "tpot"),
     ("Request duration", "e2e")],
)  # fmt: skip
def test_percentiles_lie_in_the_bucket_of_the_truth_and_means_are_exact(
    title: str, name: str, embedded: Any
) -> None:
    *shares, (mean,), _ = embedded.ask("firsttoken-service", title, "loaded", at=embedded.last)
    values, metric = embedded.seen(name), f"{title}, distribution"
    (buckets,) = embedded.ask("firsttoken-service", metric, "loaded", at=embedded.last)
    bounds = sorted(float(series.labels["le"]) for series in buckets)

    assert len(values) > 100
    assert mean.last == pytest.approx(sum(values) / len(values), rel=0.01)
    for (shown,), share in zip(shares, (0.5, 0.95, 0.99), strict=True):
        truth = values[math.ceil(share * len(values)) - 1]
        above = next(bound for bound in bounds if bound >= truth)
        below = max((bound for bound in bounds if bound < truth), default=0.0)
        assert below <= shown.last <= above, (share, truth)


def test_rates_shares_and_phases_are_those_of_the_truth(embedded: Any) -> None:
    def shown(uid: str, title: str) -> float:
        return float(embedded.value(f"firsttoken-{uid}", title, "loaded", at=embedded.last))

    window = 4 * embedded.every
    ended = embedded.seen("failed")
    output = embedded.lately([pair for witness in embedded.witnesses for pair in witness.output])
    prompts = embedded.lately([pair for witness in embedded.witnesses for pair in witness.prompt])
    tokens = embedded.ask("firsttoken-service", "Tokens per second", "loaded", at=embedded.last)
    (within,) = embedded.ask(
        "firsttoken-service", "TTFT within the chosen bound", "loaded", at=embedded.last
    )[0]
    good = sum(value <= 0.5 for value in embedded.seen("ttft"))
    phases = embedded.ask("firsttoken-service", "Mean time per phase", "loaded", at=embedded.last)

    assert sum(ended) > 3
    assert shown("service", "Requests") == pytest.approx(len(ended) / window, rel=0.01)
    assert shown("service", "Error share") == pytest.approx(sum(ended) / len(ended), rel=0.01)
    assert [one.last for (one,) in tokens] == pytest.approx(
        [sum(prompts) / window, len(output) / window], rel=0.01
    )
    assert shown("capacity", "Output tokens/s") == pytest.approx(len(output) / window, rel=0.01)
    every = len(embedded.seen("ttft")) + sum(ended)
    assert within.last == pytest.approx(good / every, rel=0.01)
    truth = [embedded.seen(name) for name in ("queue", "prefill", "decode")]
    assert [one.last for (one,) in phases] == pytest.approx(
        [sum(values) / len(values) for values in truth], rel=0.01
    )


# --- One incident, from the dashboards alone --------------------------------------------------


def test_the_dashboards_alone_say_which_replica_is_slow_and_why(embedded: Any) -> None:
    job, columns = "slow-replica", ("instance",)
    _, _, _, _, _, errors, ttft, *_ = embedded.ask(
        "firsttoken-replica", "Replicas", job, at=embedded.last
    )
    before, since = embedded.last - 8 * embedded.every, embedded.last
    phases = [
        [one.last for (one,) in embedded.ask(
            "firsttoken-service", "Mean time per phase", job, at=at)]
        for at in (before, since)
    ]  # fmt: skip
    closeness = [
        one.last for (one,) in embedded.ask("firsttoken-slo", "Closeness to an alert", job)
    ]
    (alerts,) = embedded.ask("firsttoken-slo", "Firing alerts", job)

    worst = {name: max(found, key=lambda s: s.last).labels[columns[0]]
             for name, found in (("errors", errors), ("ttft", ttft))}  # fmt: skip
    assert worst == {"errors": "slow-1:8000", "ttft": "slow-1:8000"}
    grown = [after / earlier for earlier, after in zip(*phases, strict=True)]
    assert grown[1] > 2, "prefill is what grew"
    assert max(closeness) > 1
    assert {alert.labels["slo"] for alert in alerts} >= {"availability"}
    assert {alert.labels["dashboard"] for alert in alerts} == {"LLMErrorBudgetBurn"}


def test_annotations_mark_each_event_once_and_do_not_spam(worlds: Any, embedded: Any) -> None:
    view = View(embedded.last - worlds.EVERY * (worlds.SCRAPES - 1), embedded.last, worlds.EVERY)
    for scenario, restarts in (("counter-reset", 1), ("loaded", 0), ("many", 0)):
        for shape in worlds.SHAPES.values():
            for note in (n for n in shape["annotations"]["list"] if "expr" in n):
                values = {**view.built_in(), **initial(shape), "job": scenario}
                found = embedded.prometheus.query_range(
                    expand(note["expr"], values), view.start, view.end, 60
                )
                events = sum(
                    1 + sum(b[0] - a[0] > 60 for a, b in zip(s.points, s.points[1:], strict=False))
                    for s in found
                )
                assert events < 50
                if note["name"] == "Engine restarts":
                    assert events == restarts, (scenario, shape["uid"])
