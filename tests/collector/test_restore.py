"""A server's own names, where an exporter library took their colons away."""

import pytest
from tests.collector.conftest import collected, response, samples, settings, upstream

from firsttoken.catalogue import REQUESTS_RUNNING

PAGE = (
    b"# TYPE vllm_num_requests_running gauge\nvllm_num_requests_running 3\n"
    b"# TYPE vllm_new_thing gauge\nvllm_new_thing 4\n# TYPE other_x gauge\nother_x 5\n# EOF\n"
)
KIND = "application/openmetrics-text; version=1.0.0"


@pytest.mark.parametrize("profile", [None, "vllm"])
def test_names_have_their_colons_back(profile: str | None) -> None:
    with upstream(response(PAGE, KIND)) as source:
        config = settings(source.url)
        told = config.sources[0].model_copy(update={"profile": profile})
        found = samples(collected(config.model_copy(update={"sources": (told,)})).page)

    names = {series.partition("{")[0]: value for series, value in found.items()}
    assert names[REQUESTS_RUNNING.prometheus] == "3"
    assert (names["vllm:new_thing"], names["other_x"]) == ("4", "5")
    assert "vllm_new_thing" not in names


def test_a_page_that_has_colons_is_left_alone() -> None:
    page = b"vllm:num_requests_running 3\nvllm_mine 4\n"
    with upstream(response(page)) as source:
        found = samples(collected(settings(source.url)).page)

    assert found["vllm_mine"] == "4"


def test_as_it_is_means_as_it_is() -> None:
    with upstream(response(PAGE, KIND)) as source:
        found = samples(collected(settings(source.url, names="passthrough")).page)

    assert found["vllm_num_requests_running"] == "3"
