"""Expressions built from catalogue entries, and their evaluation by the real engine."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from firsttoken import catalogue, promql
from firsttoken.promql import Matcher, Scope
from firsttoken.vocabulary import NotReportedError, Variant, Vocabulary

Evaluate = Callable[[list[tuple[str, str]], str, float], None]

TTFT = catalogue.TIME_TO_FIRST_TOKEN
MODEL = "gen_ai.request.model"
BY_MODEL = Scope(by=(MODEL,))
OLD = Vocabulary(
    "old",
    {
        catalogue.TOKENS_PROCESSED.name: (
            Variant("vllm:prompt_tokens_total", (("gen_ai.token.type", "input"),)),
            Variant("vllm:generation_tokens_total", (("gen_ai.token.type", "output"),)),
        ),
        catalogue.GPU_UTILIZATION.name: (Variant("DCGM_FI_DEV_GPU_UTIL", (), Decimal("0.01")),),
    },
    {MODEL: "model_name"},
)


def test_a_quantile_keeps_le_and_what_is_kept_apart() -> None:
    assert promql.quantile(Decimal("0.95"), TTFT, "5m", BY_MODEL) == (
        "histogram_quantile(0.95, sum by (le, gen_ai_request_model)"
        " (rate(gen_ai_server_time_to_first_token_seconds_bucket[5m])))"
    )


def test_a_fixed_attribute_chooses_the_series_and_not_a_matcher() -> None:
    scope = Scope((Matcher("gen_ai.token.type", "output"),), (MODEL,), OLD)

    assert promql.rate(catalogue.TOKENS_PROCESSED, "1m", scope) == (
        "sum by (model_name) (rate(vllm:generation_tokens_total[1m]))"
    )


def test_without_the_attribute_all_its_series_are_read_each_under_its_own_label() -> None:
    """A rate has no name, and Prometheus refuses two series with the same labels."""
    read, written = "vllm:prompt_tokens_total", "vllm:generation_tokens_total"

    assert promql.rate(catalogue.TOKENS_PROCESSED, "1m", Scope(vocabulary=OLD)) == (
        f'sum (label_replace(rate({read}[1m]), "series", "{read}", "", "")'
        f' or label_replace(rate({written}[1m]), "series", "{written}", "", ""))'
    )


def test_a_series_in_another_unit_is_scaled() -> None:
    assert promql.gauge(catalogue.GPU_UTILIZATION, Scope(vocabulary=OLD), "max") == (
        "max (DCGM_FI_DEV_GPU_UTIL) * 0.01"
    )


def test_what_a_source_does_not_report_is_said() -> None:
    with pytest.raises(NotReportedError, match=r"old does not report gen_ai.server.time_to_first"):
        promql.mean(TTFT, "5m", Scope(vocabulary=OLD))


def test_an_expression_that_does_not_fit_the_instrument_is_refused() -> None:
    with pytest.raises(ValueError, match="is a histogram, not a counter"):
        promql.rate(TTFT, "5m", Scope())


@pytest.mark.parametrize(
    ("bound", "spellings"),
    [
        ("1", ["1", "1.0"]),
        ("0.25", ["0.25"]),
        ("1000000", ["1e+06", "1000000", "1000000.0"]),
        ("2500000", ["2.5e+06", "2500000"]),
    ],
)
def test_each_spelling_of_a_bound_is_matched(
    evaluate: Evaluate, bound: str, spellings: list[str]
) -> None:
    series = [(f'x_bucket{{le="{le}"}}', "1x5") for le in spellings]
    series += [('x_bucket{le="10"}', "1x5"), ('x_bucket{le="x25"}', "1x5")]
    matcher = promql.le_matcher(Decimal(bound))

    evaluate(series, f"sum(x_bucket{{{matcher}}})", len(spellings))


def test_quotes_in_a_value_do_not_leave_it(evaluate: Evaluate) -> None:
    value = 'a"} or vector(7) # \\'
    scope = Scope((Matcher("job", value),))
    expression = promql.gauge(catalogue.REQUESTS_RUNNING, scope)

    evaluate([], f"{expression} or vector(3)", 3)


def test_an_idle_ratio_has_no_value(evaluate: Evaluate) -> None:
    ratio = promql.divide("sum(a)", "sum(b)")

    evaluate([("a", "0x5"), ("b", "0x5")], f"({ratio}) or vector(-1)", -1)
    evaluate([("a", "1x5"), ("b", "4x5")], f"({ratio}) or vector(-1)", 0.25)


def test_how_far_a_counter_grew_counts_both_of_its_series(evaluate: Evaluate) -> None:
    """increase() drops the names, which alone tell the two apart."""
    series = [
        ('vllm:prompt_tokens_total{model_name="a"}', "0+60x10"),
        ('vllm:generation_tokens_total{model_name="a"}', "0+30x10"),
    ]

    evaluate(series, promql.increase(catalogue.TOKENS_PROCESSED, "2m", Scope((), (), OLD)), 180)
