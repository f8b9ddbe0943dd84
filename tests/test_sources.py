"""Names of sources on a command line become a vocabulary."""

import pytest

from firsttoken.catalogue import GPU_UTILIZATION, REQUEST_MODEL, REQUESTS_RUNNING
from firsttoken.errors import UsageError
from firsttoken.sources import COLLECTOR, vocabulary_of
from firsttoken.vocabulary import SEMCONV


def test_the_collector_is_the_vocabulary_of_the_conventions() -> None:
    assert vocabulary_of(COLLECTOR) is SEMCONV


def test_two_sources_report_what_either_does() -> None:
    both, engine = vocabulary_of("vllm,dcgm"), vocabulary_of("vllm")

    assert both.find(REQUESTS_RUNNING, {})[0].series == "vllm:num_requests_running"
    assert both.find(GPU_UTILIZATION, {"hw.gpu.task": "general"})[0].series == (
        "DCGM_FI_DEV_GPU_UTIL"
    )
    assert both.label(REQUEST_MODEL.name) == engine.label(REQUEST_MODEL.name) == "model_name"
    assert not engine.reports(GPU_UTILIZATION)


@pytest.mark.parametrize("names", ["", "nosuch", "vllm,nosuch", "vllm,semconv", "vllm,"])
def test_a_name_that_is_no_source_is_refused(names: str) -> None:
    with pytest.raises(UsageError):
        vocabulary_of(names)
