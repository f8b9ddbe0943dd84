"""Every page of ``tests/data/pages``: which family means what, and every series that comes out.

``FIRSTTOKEN_GOLDEN=1`` rewrites what is expected.
"""

import functools
import os
from pathlib import Path

import pytest

from firsttoken.exporters import page, profile
from firsttoken.exporters.check import Report, Status, check
from firsttoken.exporters.commands import series_lines
from firsttoken.exporters.table import Profile
from firsttoken.metric import Requirement
from firsttoken.naming import label_name

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "golden" / "profiles"
PAGES = sorted((TESTS / "data" / "pages").glob("*.txt"))
PROFILES = profile.load_all()
INCLUDED = {"ray_serve": ("vllm",)}


@functools.cache
def read(file: Path) -> tuple[page.Family, ...]:
    return page.parse(file.read_text())


def guessed(families: tuple[page.Family, ...]) -> Profile | None:
    return profile.guess((family.name for family in families), PROFILES)


def own(file: Path) -> Profile:
    """The profile that a page's file is called after."""
    fits = [each for each in PROFILES if file.stem.startswith(each.name.replace("_", "-"))]
    return max(fits, key=lambda each: len(each.name))


@functools.cache
def reported(file: Path) -> Report:
    return check(own(file), read(file))


def rendered(report: Report) -> str:
    """Profile and version, a line a family, and all series."""
    lines = [f"{report.profile.name} {report.version}".rstrip(), ""]
    for finding in report.findings:
        named = finding.line if finding.status is Status.NAMED else None
        means = named.metric.name if named else f"({finding.status})"
        added = dict(named.rules.add) if named else {}
        counts = f"{finding.read} read, {finding.dropped} dropped, {finding.merged} merged"
        extra = "".join(f" {name}={value}" for name, value in sorted(added.items()))
        lines.append(f"{finding.family} [{finding.kind}] -> {means}{extra} ({counts})")
    return "\n".join([*lines, "", *series_lines(report), ""])


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_the_page_gives_what_is_expected(file: Path) -> None:
    text = rendered(reported(file))
    golden = GOLDEN / file.name
    if os.environ.get("FIRSTTOKEN_GOLDEN") == "1":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
        pytest.fail(f"{golden.name} rewritten, look at git diff")

    assert text == golden.read_text()


def test_of_a_real_vllms_page_every_family_is_known_and_every_series_its_own() -> None:
    report = reported(TESTS / "data" / "vllm-0.32.0.prom")

    assert report.profile.name == "vllm"
    assert report.version == "from 0.32.0"
    assert report.of(Status.UNKNOWN) == ()
    assert report.missing == ()
    assert report.doubled == ()


def test_there_is_no_expectation_without_a_page() -> None:
    assert {file.name for file in GOLDEN.glob("*")} == {file.name for file in PAGES}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_no_family_is_unknown_and_no_two_series_become_one(file: Path) -> None:
    report = reported(file)

    assert [finding.family for finding in report.of(Status.UNKNOWN)] == []
    assert report.doubled == ()


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_a_page_is_known_by_its_names_if_they_are_its_sources_own(file: Path) -> None:
    expected = own(file)

    assert guessed(read(file)) is (expected if expected.detects else None)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_every_series_has_the_attributes_that_the_conventions_require(file: Path) -> None:
    for finding in reported(file).of(Status.NAMED):
        assert finding.line
        for attribute in finding.line.metric.attributes:
            if attribute.requirement is Requirement.REQUIRED:
                assert all(attribute.name in series.attributes for series in finding.series)


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_no_two_attributes_of_a_series_share_a_label(file: Path) -> None:
    for finding in reported(file).of(Status.NAMED):
        for series in finding.series:
            labels = [label_name(name) for name in series.attributes]
            assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("each", PROFILES, ids=lambda each: each.name)
def test_every_line_of_a_profile_is_seen_in_some_page(each: Profile) -> None:
    reports = [reported(file) for file in PAGES if own(file) is each]
    seen = {id(finding.line) for report in reports for finding in report.findings}

    own_lines = [line for line in each.lines if line.profile == each.name]
    assert [line.source for line in own_lines if id(line) not in seen] == []


@pytest.mark.parametrize("each", PROFILES, ids=lambda each: each.name)
def test_every_reason_for_no_name_is_seen_in_some_page(each: Profile) -> None:
    inherited = {
        known.why for name in INCLUDED.get(each.name, ()) for known in profile.load(name).known
    }
    names = {family.name for file in PAGES if own(file) is each for family in read(file)}
    unseen = [k.why for k in each.known if not any(k.match.fullmatch(name) for name in names)]

    assert set(unseen) - inherited == set()
