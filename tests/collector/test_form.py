from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name
from prometheus_client.utils import floatToGoString

from firsttoken.collector.form import OPENMETRICS, TEXT, Escaping, Form, negotiate
from firsttoken.collector.numbers import canonical, milliseconds, scaled, seconds
from firsttoken.collector.server import patience

UTF8 = Form(openmetrics=True, version="1.0.0", escaping="allow-utf-8")
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, UTF8),
        ("application/openmetrics-text; version=1.0.0; escaping=underscores", OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;q=0.2,text/plain;version=0.0.4;q=0.3", TEXT),
        ("application/openmetrics-text;q=0,text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;version=2.0.0,text/plain;version=0.0.4;q=0.3", TEXT),
        ("application/vnd.google.protobuf;proto=x;encoding=delimited;q=0.7,*/*;q=0.1", TEXT),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            Form(openmetrics=False, version="1.0.0", escaping="allow-utf-8"),
        ),
        ("application/openmetrics-text;q=nonsense", TEXT),
        (
            "application/openmetrics-text;version=1.0.0;escaping=dots",
            Form(openmetrics=True, version="1.0.0", escaping="dots"),
        ),
        (
            "text/plain;version=0.0.4;escaping=values",
            Form(openmetrics=False, version="0.0.4", escaping="values"),
        ),
        ("application/openmetrics-text;version=1.0.0;escaping=hieroglyphs", OPENMETRICS),
        ("text/plain;version=0.0.4;escaping=allow-utf-8", TEXT),
    ],
)
def test_the_form_is_the_one_that_the_client_prefers(accept: str | None, form: Form) -> None:
    assert negotiate(accept) == form


def test_the_content_type_says_version_and_escaping() -> None:
    assert TEXT.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert UTF8.content_type.endswith("version=1.0.0; charset=utf-8; escaping=allow-utf-8")
    assert OPENMETRICS.content_type.endswith("escaping=underscores")
    old = Form(openmetrics=False, version="0.0.4", escaping="dots")
    assert old.content_type == "text/plain; version=0.0.4; charset=utf-8; escaping=dots"


# The examples of the schemes' specification and of Prometheus' own implementation.
@pytest.mark.parametrize(
    ("name", "dots", "values"),
    [
        ("no:escaping_required", "no:escaping__required", "no:escaping_required"),
        ("metric.name", "metric_dot_name", "U__metric_2e_name"),
        (
            "mysystem.prod.west.cpu.load_total",
            "mysystem_dot_prod_dot_west_dot_cpu_dot_load__total",
            "U__mysystem_2e_prod_2e_west_2e_cpu_2e_load__total",
        ),
        ("http.status:sum", "http_dot_status:sum", "U__http_2e_status:sum"),
        ("label with 😱", "label__with____", "U__label_20_with_20__1f631_"),
        ("花火", "____", "U___82b1__706b_"),
    ],
)
def test_names_can_be_escaped_so_that_they_come_back(name: str, dots: str, values: str) -> None:
    assert Form(openmetrics=True, version="1.0.0", escaping="dots").name("x", name) == dots
    assert Form(openmetrics=True, version="1.0.0", escaping="values").name("x", name) == values


@given(st.text(min_size=1), st.sampled_from(["dots", "values"]))
def test_names_are_escaped_as_the_reference_implementation_escapes_them(
    name: str, escaping: Escaping
) -> None:
    form = Form(openmetrics=False, version="1.0.0", escaping=escaping)

    assert form.name("x", name) == escape_metric_name(name, escaping)
    # It takes reserved labels for illegal ones, and Prometheus itself does not (model.EscapeName):
    # as if there were a letter before them.
    label = escape_label_name(f"a{name}", escaping).replace("a", "", 1)
    reserved = name.startswith("__")
    assert form.label(name) == (label if reserved else escape_label_name(name, escaping))


@pytest.mark.parametrize(
    ("header", "expected"),
    [("10", 9.5), ("1", 0.95), ("60", 59.5), ("0.2", 0.19), (None, 7.0), ("", 7.0), ("x", 7.0),
     ("0", 7.0), ("-1", 7.0), ("nan", 7.0), ("inf", 7.0)],
)  # fmt: skip
def test_the_scrapers_patience_less_a_margin_is_the_deadline(
    header: str | None, expected: float
) -> None:
    assert patience(header, 7.0) == pytest.approx(expected)


@given(st.floats(min_value=0))
def test_bounds_are_spelled_as_the_reference_implementation_spells_them(number: float) -> None:
    assert canonical(repr(number)) == floatToGoString(number)  # type: ignore[no-untyped-call]


@given(st.integers(-(10**18), 10**18), st.integers(-9, 9))
def test_scaling_is_exact(number: int, exponent: int) -> None:
    scale = Decimal(10) ** exponent

    assert Decimal(scaled(str(number).encode(), scale).decode()) == number * scale


@pytest.mark.parametrize(
    ("text", "scale", "expected"),
    [
        (b"81559.0", Decimal(1048576), b"85520809984"),
        (b"100", Decimal("0.01"), b"1"),
        (b"7", Decimal("0.01"), b"0.07"),
        (b"NaN", Decimal("0.01"), b"NaN"),
        (b"+Inf", Decimal("0.01"), b"+Inf"),
        (b"0", Decimal("0.001"), b"0"),
    ],
)
def test_scaled_numbers_have_plain_text(text: bytes, scale: Decimal, expected: bytes) -> None:
    assert scaled(text, scale) == expected


@given(st.integers(-(10**15), 10**15))
def test_timestamps_survive_the_way_there_and_back(stamp: int) -> None:
    assert milliseconds(seconds(str(stamp).encode())) == str(stamp).encode()
