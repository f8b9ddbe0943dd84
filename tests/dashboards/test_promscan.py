"""What an expression reads is found, whatever stands around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.dashboards.promscan import selectors


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("up", [("up", "", ())]),
        ('sum by (job) (rate(a_total{x=~"b|c"}[5m]))', [("a_total", "5m", ("rate", "sum"))]),
        ("sum(rate(a[1m])) by (le) / b", [("a", "1m", ("rate", "sum")), ("b", "", ())]),
        ("histogram_quantile(0.95, sum by (le) (rate(h_bucket[$__rate_interval])))",
         [("h_bucket", "$__rate_interval", ("rate", "sum", "histogram_quantile"))]),
        ("a / on (b, c) group_left () (1 - d)", [("a", "", ()), ("d", "", ())]),
        ('label_replace(m, "window", "$1", "__name__", "slo:(.+)") or vector(NaN)',
         [("m", "", ("label_replace",))]),
        ("max_over_time(rate(a[5m])[1h:30s])", [("a", "5m", ("rate", "max_over_time"))]),
        ('{__name__=~"slo:.+", a="}"} > bool 0', [("", "", ())]),
        ("a offset 5m unless slo:b:rate5m @ end()", [("a", "", ()), ("slo:b:rate5m", "", ())]),
    ],
)  # fmt: skip
def test_selectors_are_found_with_their_window_and_what_they_stand_in(
    expression: str, expected: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    found = [(s.name, s.window, s.functions) for s in selectors(expression)]

    assert found == expected


def test_matchers_are_read_with_operator_and_value() -> None:
    (found,) = selectors('a{b="c", d!~"e.+", f=~"(x|y)"}')

    assert [(x.name, x.operator, x.value) for x in found.labels] == [
        ("b", "=", "c"),
        ("d", "!~", "e.+"),
        ("f", "=~", "(x|y)"),
    ]


@given(st.text(max_size=60))
def test_no_text_at_all_makes_the_search_fail_or_hang(text: str) -> None:
    assert isinstance(selectors(text), tuple)


def test_a_selector_that_is_read_at_one_moment_is_told_from_one_that_is_not() -> None:
    found = selectors("rate(a[5m] @ end()) / rate(b[5m])")

    assert [(one.name, one.pinned) for one in found] == [("a", True), ("b", False)]
