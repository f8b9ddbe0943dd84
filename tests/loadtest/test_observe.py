"""What is read from the collector's pages of one load."""

import threading

import pytest

from firsttoken import catalogue
from firsttoken.loadtest.observe import Nobody, PageObserver, seen
from firsttoken.validate.page import Page, parse


def page(running: int, waiting: int, kv: float, preempted: int, power: float) -> Page:
    """The page as it is read."""
    return parse(text(running, waiting, kv, preempted, power))


def text(running: int, waiting: int, kv: float, preempted: int, power: float) -> str:
    """One model's series beside another's, two GPUs, and a CPU that draws power too."""
    tiny, other = (f'gen_ai_request_model="{name}"' for name in ("tiny", "other"))
    rows = (
        (catalogue.REQUESTS_RUNNING, tiny, running),
        (catalogue.REQUESTS_WAITING, tiny, waiting),
        (catalogue.REQUESTS_WAITING, other, 99),
        (catalogue.KV_CACHE_UTILIZATION, tiny, kv),
        (catalogue.PREEMPTIONS, tiny, preempted),
        (catalogue.POWER, 'hw_id="0",hw_type="gpu"', power),
        (catalogue.POWER, 'hw_id="1",hw_type="gpu"', power),
        (catalogue.POWER, 'hw_id="cpu",hw_type="cpu"', 40),
        (catalogue.GPU_UTILIZATION, 'hw_id="0",hw_gpu_task="general"', 0.9),
        (catalogue.GPU_UTILIZATION, 'hw_id="0",hw_gpu_task="decoder"', 0.0),
        (catalogue.GPU_UTILIZATION, 'hw_id="1",hw_gpu_task="general"', 0.5),
    )
    return "".join(f"{m.prometheus}{{{labels}}} {value}\n" for m, labels, value in rows)


def test_levels_over_time_are_those_of_the_model_and_of_all_gpus() -> None:
    found = seen([page(4, 0, 0.2, 7, 300), page(8, 6, 0.6, 9, 400)], "tiny")

    assert found is not None
    assert (found.running_mean, found.running_max) == (6, 8)
    assert (found.waiting_mean, found.waiting_max) == (3, 6)
    assert found.kv_cache_max == 0.6
    assert found.preemptions == 2
    assert found.power == 700
    assert found.gpus == 2
    assert found.gpu_utilization == pytest.approx(0.7)


def test_the_tokens_of_a_step_are_those_of_the_fullest_time_between_two_pages() -> None:
    """100 steps of 20 tokens, 100 of 200, none, and 100 of 50; another model's are not counted."""
    name = catalogue.ITERATION_TOKENS.prometheus
    own, other = (f'{{gen_ai_request_model="{model}"}}' for model in ("tiny", "other"))
    pages = [
        parse(
            f"{name}_sum{own} {tokens}\n{name}_count{own} {steps}\n"
            f"{name}_sum{other} {9e6 * number}\n{name}_count{other} {number}\n"
            f"{catalogue.REQUESTS_RUNNING.prometheus}{own} 1\n"
        )
        for number, (tokens, steps) in enumerate(
            ((0, 0), (2000, 100), (22_000, 200), (22_000, 200), (27_000, 300))
        )
    ]

    found = seen(pages, "tiny")
    assert found is not None
    assert found.step_tokens == 200


def test_a_page_that_says_nothing_of_it_is_nothing_seen() -> None:
    assert seen([parse("up 1\n")], "tiny") is None
    assert seen([], "tiny") is None


def test_it_samples_until_the_block_is_left() -> None:
    taken = threading.Event()

    def sample() -> str:
        taken.set()
        return text(1, 0, 0.1, 0, 100)

    with PageObserver(sample, "tiny").watch() as watching:
        assert taken.wait(60)
        assert watching.seen is None
    assert watching.seen is not None
    assert watching.seen.samples >= 1


def test_nobody_sees_nothing() -> None:
    with Nobody().watch() as watching:
        pass
    assert watching.seen is None
