"""What happened between two merged pages."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.catalogue import KV_CACHE_UTILIZATION, TIME_TO_FIRST_TOKEN, TOKENS_PROCESSED
from firsttoken.validate.page import Histogram, Page, Window, parse

COUNTER = TOKENS_PROCESSED.prometheus


def test_a_counter_rises_by_the_difference_of_the_pages() -> None:
    before = parse(f'{COUNTER}{{gen_ai_token_type="input"}} 10\n')
    after = parse(
        f'{COUNTER}{{gen_ai_token_type="input"}} 25\n{COUNTER}{{gen_ai_token_type="output"}} 4\n'
    )

    window = Window(before, after)

    assert window.counter(TOKENS_PROCESSED, gen_ai_token_type="input") == 15
    assert window.counter(TOKENS_PROCESSED, gen_ai_token_type="output") == 4, "born in between"
    assert window.counter(TOKENS_PROCESSED) == 19


def test_what_nobody_reports_is_none_and_not_zero() -> None:
    window = Window(Page(), parse(f"{COUNTER} 1\n"))

    assert window.histogram(TIME_TO_FIRST_TOKEN) is None
    assert window.counter(KV_CACHE_UTILIZATION) is None


def test_another_model_on_the_same_page_does_not_count() -> None:
    lines = [
        f'{COUNTER}{{gen_ai_request_model="{model}"}} {count}' for model, count in
        (("llama", 5), ("other", 700))
    ]  # fmt: skip

    window = Window(Page(), parse("\n".join(lines) + "\n"), "llama")

    assert window.counter(TOKENS_PROCESSED) == 5


def test_a_counter_that_fell_means_that_the_engine_was_restarted() -> None:
    before, after = parse(f"{COUNTER} 10\n"), parse(f"{COUNTER} 3\n")

    assert Window(before, after).restarted
    assert not Window(after, before).restarted


@given(st.lists(st.floats(0, 6), min_size=1, max_size=60), st.sampled_from([0.1, 0.5, 0.95, 1.0]))
def test_the_bucket_of_a_quantile_holds_the_true_quantile(
    values: list[float], quantile: float
) -> None:
    bounds = [0.5, 1.0, 2.5, 5.0, float("inf")]
    histogram = Histogram(
        len(values), sum(values), tuple((b, float(sum(v <= b for v in values))) for b in bounds)
    )
    rank = min(len(values), max(1, -(-int(quantile * len(values) * 1000) // 1000)))

    found = histogram.bucket_of(quantile)

    assert found is not None
    lower, upper = found
    true = sorted(values)[rank - 1]
    assert true <= upper
    assert true > lower or (lower == 0 and true == 0) or quantile * len(values) < rank


def test_the_share_within_a_bound_needs_the_bound() -> None:
    histogram = Histogram(10, 5.0, ((0.1, 4.0), (0.5, 9.0), (float("inf"), 10.0)))

    assert histogram.share_within(0.5) == 0.9
    assert histogram.share_within(0.3) is None
    assert histogram.mean == 0.5


def test_an_html_page_is_refused() -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse("<html><body>502 Bad Gateway</body></html>\n")


def test_a_made_up_page_reads_back(window: Callable[..., Window], truth: type) -> None:
    run = truth().run()

    found = window(run).histogram(TIME_TO_FIRST_TOKEN)

    assert found is not None
    assert found.count == 100
    assert found.mean == pytest.approx(0.1)
