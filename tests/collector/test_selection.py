"""Of an exporter for a whole node, the GPUs of one pod."""

from pathlib import Path
from typing import Any

import pytest
from tests.collector.conftest import collected, response, samples, settings, upstream

from firsttoken.collector.page import Shape
from firsttoken.collector.reader import Reader
from firsttoken.collector.selection import selection
from firsttoken.collector.settings import Settings
from firsttoken.collector.targets import Only
from firsttoken.errors import UsageError

PAGES = Path(__file__).parents[1] / "data" / "pages"
DCGM = (PAGES / "dcgm-4.5.txt").read_bytes()
AMD = (PAGES / "amd-1.5.txt").read_bytes()
POD = {"POD_NAME": "chat-0", "POD_NAMESPACE": "llm"}
FIRST, SECOND = (f"GPU-0a1b2c3d-0000-4444-8888-00000000000{gpu}" for gpu in (0, 1))


def uuids(shape: Shape) -> set[str]:
    return {
        value
        for family in shape.families
        for _, _, labels in family.samples
        for label, value in labels
        if label in ("UUID", "gpu_uuid")
    }


def selected(page: bytes, environment: dict[str, str], **only: Any) -> set[str]:
    shape = Reader().read(page).shape
    return uuids(selection(Only.model_validate(only), environment).shape(shape))


def test_without_a_selection_all_are_served() -> None:
    assert selected(DCGM, {}) == {FIRST, SECOND}


def test_a_pod_has_the_gpus_that_are_labelled_with_its_name() -> None:
    assert selected(DCGM, POD, pod="this") == {FIRST}
    assert selected(DCGM, {}, pod="llm/chat-0") == {FIRST}
    assert selected(DCGM, {}, pod="other/chat-0") == set()
    assert len(selected(AMD, {}, pod="llm/chat-0")) == 1


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (SECOND, {SECOND}),
        (f"{FIRST},{SECOND}", {FIRST, SECOND}),
        ("1", {SECOND}),
        ("all", {FIRST, SECOND}),
        ("none", set()),
        ("void", set()),
        ("", set()),
    ],
)
def test_the_runtime_says_which_gpus_are_visible(told: str, expected: set[str]) -> None:
    assert selected(DCGM, {"NVIDIA_VISIBLE_DEVICES": told}, gpus="visible") == expected


def test_amd_writes_a_uuid_in_two_ways() -> None:
    one, two = "a5ff74a1-0000-1000-80c3-5ac2a3d8a6b3", "b7ff74a1-0000-1000-8011-9e0f11c2d4e5"
    page = f'g{{gpu_uuid="{one}",gpu_id="0"}} 1\ng{{gpu_uuid="{two}",gpu_id="1"}} 1\n'.encode()
    for told, expected in (("GPU-a5c35ac2a3d8a6b3", one), ("1", two), (two, two)):
        assert selected(page, {"ROCR_VISIBLE_DEVICES": told}, gpus="visible") == {expected}


def test_gpus_can_be_listed_and_labels_matched() -> None:
    assert selected(DCGM, {}, gpus=[SECOND]) == {SECOND}
    assert selected(DCGM, {}, gpus=[0]) == {FIRST}
    assert selected(DCGM, {}, labels={"device": "nvidia[1-3]"}) == {SECOND}
    assert selected(DCGM, {}, labels={"pod": ""}) == {SECOND}


@pytest.mark.parametrize(
    ("only", "said"),
    [({"pod": "this"}, "no POD_NAMESPACE and no POD_NAME"), ({"gpus": "visible"}, "NVIDIA_VIS")],
)
def test_what_the_environment_does_not_say_is_an_error(only: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        selection(Only.model_validate(only), {})


def test_labels_for_a_place_do_not_become_exported_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus renames a series' ``pod`` to ``exported_pod`` where the target has one."""
    page = b'mine{pod="chat-0",namespace="llm",container="c",x="y"} 1\n'
    for name, value in POD.items():
        monkeypatch.setenv(name, value)
    with upstream(response(page)) as source:
        config = settings(source.url)
        everything = samples(collected(config).page)
        (told,) = config.sources
        own = told.model_copy(update={"only": Only(pod="this")})
        one_pod = samples(collected(config.model_copy(update={"sources": (own,)})).page)
        as_is = samples(
            collected(Settings.model_validate({**config.model_dump(), "names": "passthrough"})).page
        )

    place = 'k8s_pod_name="chat-0",k8s_namespace_name="llm",k8s_container_name="c"'
    assert f'mine{{{place},x="y"}}' in everything
    assert 'mine{x="y"}' in one_pod
    assert 'mine{pod="chat-0",namespace="llm",container="c",x="y"}' in as_is
