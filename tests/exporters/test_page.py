"""Pages as people have them: two formats, families in pieces, and what is no page at all."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsttoken.errors import UsageError
from firsttoken.exporters.page import Sample, parse


def test_a_counter_has_one_name_with_and_without_total() -> None:
    families = parse(
        "# TYPE a_total counter\na_total 1\n# TYPE DCGM_FI_DEV_X counter\nDCGM_FI_DEV_X 2\n"
    )

    assert [(f.name, f.kind, f.samples[0].value) for f in families] == [
        ("a", "counter", 1),
        ("DCGM_FI_DEV_X", "counter", 2),
    ]


def test_a_histogram_may_end_in_total() -> None:
    (family,) = parse(
        '# TYPE a_total histogram\na_total_bucket{le="+Inf"} 2\na_total_sum 3\na_total_count 2\n'
    )

    assert family.name == "a_total"
    assert [sample.suffix for sample in family.samples] == ["_bucket", "_sum", "_count"]


def test_a_family_in_two_pieces_is_one() -> None:
    (family,) = parse('# TYPE a gauge\na{x="1"} 1\n# TYPE b gauge\n# TYPE a gauge\na{x="2"} NaN\n')

    assert family.samples[0] == Sample("", {"x": "1"}, 1.0)
    assert math.isnan(family.samples[1].value)


def test_openmetrics_is_read_as_well() -> None:
    (family,) = parse('# TYPE a counter\na_total 1 # {trace_id="x"} 1\na_created 5\n# EOF\n')

    assert [(s.suffix, s.value) for s in family.samples] == [("_total", 1), ("_created", 5)]


@pytest.mark.parametrize("text", ["<html><body>404</body></html>", '{"error": "x"}', "a{b 1\n"])
def test_what_is_no_page_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UsageError, match="not a metrics page"):
        parse(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse(text)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.text(max_size=8)))
def test_labels_come_back_as_they_were(labels: dict[str, str]) -> None:
    def quoted(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    inner = ",".join(f'{name}="{quoted(value)}"' for name, value in labels.items())
    (family,) = parse(f"# TYPE m gauge\nm{{{inner}}} 1\n")

    assert family.samples[0].labels == labels
