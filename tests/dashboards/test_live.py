"""Every panel on what the real parts report: engines, collectors, rules, and a load."""

import importlib
import time
from collections.abc import Iterator

import pytest

from firsttoken.catalogue import TOKENS_PROCESSED
from firsttoken.dashboards.check import check, check_settings
from firsttoken.dashboards.render import dashboards
from firsttoken.prometheus import Prometheus
from firsttoken.servers import missing_tools
from firsttoken.sources import vocabulary_of
from firsttoken.vocabulary import SEMCONV

SECONDS = 120
"""Of load, at most."""
SCRAPES = 4
"""That saw new tokens of each kind before anything is looked at, so that rates have data."""
pytestmark = pytest.mark.skipif(
    bool(missing_tools("prometheus")), reason="needs the Debian package prometheus"
)


Deployed = tuple[Prometheus, float]
"""And when all was under load, which it is asked about however long that takes."""


@pytest.fixture(scope="module", name="deployed")
def _deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Three engines with NVIDIA and AMD GPUs, after some seconds of load."""
    # The script that runs the deployment of the documentation's pictures.
    pictures, folder = importlib.import_module("ci.pictures"), tmp_path_factory.mktemp("deployed")
    with pictures.deployment(folder, directly=True) as (url, engines):
        prometheus = Prometheus(url)
        with pictures.under_load(engines, SECONDS, folder):
            until(prometheus, "min(slo:sli_total:rate5m > 0)", "the rules recorded no traffic")
            grown = f"changes({TOKENS_PROCESSED.prometheus}[30s]) >= bool {SCRAPES}"
            until(prometheus, f"min({grown})", "an engine has no load")
            loaded = time.time()
        yield prometheus, loaded


def until(prometheus: Prometheus, expression: str, otherwise: str) -> None:
    """Wait until an expression is above 0."""
    deadline = time.monotonic() + 120
    while (prometheus.value(expression) or 0) <= 0:
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)


NOTHING_TO_SHOW = {
    ("firsttoken-slo", "Firing alerts"),
    ("firsttoken-data-quality", "Needed metrics that nobody reports"),
    ("firsttoken-data-quality", "Counter resets"),
}
"""Panels that are empty because all is well."""


def lacking(deployed: Deployed, source: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """Panels that show no data under load, each with the reasons."""
    prometheus, end = deployed
    vocabulary = SEMCONV if source == "semconv" else vocabulary_of(source)
    return {
        (uid, result.panel): (result.status, *result.detail)
        for uid, shape in dashboards(vocabulary).items()
        for result in check(
            prometheus, shape, end=end, seconds=40, scrape_interval=2, vocabulary=vocabulary
        )
        if result.status != "data"
    }


def test_every_panel_shows_what_the_collectors_serve(deployed: Deployed) -> None:
    assert set(lacking(deployed, "semconv")) <= NOTHING_TO_SHOW


def test_every_panel_shows_what_engines_and_gpus_scraped_directly_report(
    deployed: Deployed,
) -> None:
    found = set(lacking(deployed, "vllm,dcgm"))

    assert ("firsttoken-slo", "Engines answering") not in found
    # The rules of this deployment read the collectors, and record the collectors' labels.
    own = {key for key in found if key[0] != "firsttoken-slo"}
    assert own <= NOTHING_TO_SHOW


def test_no_choice_at_the_top_breaks_a_panel(deployed: Deployed) -> None:
    prometheus, end = deployed
    shape = dashboards()["firsttoken-gpu"]
    found = check_settings(prometheus, shape, end=end, seconds=40, scrape_interval=2)

    assert {"vendor=AMD", "vendor=NVIDIA"} & set(found)
    assert not [r for results in found.values() for r in results if r.status == "broken"]
