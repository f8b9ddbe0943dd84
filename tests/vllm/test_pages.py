"""The embedded engine's page, and the profile of vLLM, held against a real vLLM's page.

``tests/data/vllm-0.32.0.prom`` is such a page, taken under load, so that they are held against a
real one wherever no vLLM is installed; where one is, that file is held against it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from firsttoken.exporters.check import Status, check
from firsttoken.exporters.page import parse
from firsttoken.exporters.profile import load

CAPTURED = Path(__file__).parents[1] / "data" / "vllm-0.32.0.prom"
# Labels whose values are a fixed list, the same in every deployment.
LISTED = {"finished_reason", "reason", "sleep_state", "source"}

PageOf = Callable[[str], str]


class Shape(NamedTuple):
    """What consumers of a family rely on, whatever its values are."""

    kind: str
    labels: frozenset[frozenset[str]]
    listed: frozenset[tuple[str, str]]
    bounds: frozenset[str]


def shapes(page: str) -> dict[str, Shape]:
    """Every family of a page by its name."""
    found = {}
    for family in text_string_to_metric_families(page):
        samples = family.samples
        found[family.name] = Shape(
            kind=family.type,
            labels=frozenset(frozenset(sample.labels) for sample in samples),
            listed=frozenset(
                pair for sample in samples for pair in sample.labels.items() if pair[0] in LISTED
            ),
            bounds=frozenset(s.labels["le"] for s in samples if "le" in s.labels),
        )
    return found


def differences(left: str, right: str) -> dict[str, tuple[Shape | None, Shape | None]]:
    """The families that two pages do not have alike."""
    ours, theirs = shapes(left), shapes(right)
    return {
        name: (ours.get(name), theirs.get(name))
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    }


def test_the_simulated_page_is_that_of_a_real_vllm(
    simulated: str, page_after_traffic: PageOf
) -> None:
    """Families, types, labels and bucket bounds are equal; there is no exception."""
    assert differences(page_after_traffic(simulated), CAPTURED.read_text()) == {}


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_the_captured_page_is_that_of_a_real_vllm(vllm: str, page_after_traffic: PageOf) -> None:
    """So what is held against the file is held against the engine."""
    assert differences(page_after_traffic(vllm), CAPTURED.read_text()) == {}


def assert_the_profile_names_it_all(page: str) -> None:
    """No line without a family, no family that the profile does not know, nothing doubled."""
    report = check(load("vllm"), parse(page))

    assert [line.source for line in report.missing] == []
    assert [finding.family for finding in report.of(Status.UNKNOWN)] == []
    assert report.doubled == ()


def test_the_profile_names_what_the_captured_page_has() -> None:
    """Every line of the profile that is not optional is on a real page, and the reverse."""
    assert_the_profile_names_it_all(CAPTURED.read_text())


@pytest.mark.vllm
@pytest.mark.timeout(600)
def test_the_profile_names_what_a_real_vllm_has(vllm: str, page_after_traffic: PageOf) -> None:
    """The same on the engine itself."""
    assert_the_profile_names_it_all(page_after_traffic(vllm))
