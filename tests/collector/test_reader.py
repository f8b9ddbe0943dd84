from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collector.conftest import CASES, escaped
from tests.collector.test_page import pages

from firsttoken.collector import lines
from firsttoken.collector.page import Kind, MalformedError, Role
from firsttoken.collector.reader import Reader

PAGE = b"""\
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200",path="/a b"} 10
requests_total{code="500",path="/a b"} 1
# TYPE latency_seconds histogram
latency_seconds_bucket{le="1.0"} 3
latency_seconds_bucket{le="+Inf"} 4
latency_seconds_count 4
latency_seconds_sum 3.25
# TYPE latency_seconds_created gauge
latency_seconds_created 1.7e+09
up 1
"""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_every_good_page_of_the_specification_is_read(case: Path) -> None:
    page = case.read_bytes()
    samples = [line for line in page.splitlines() if not line.startswith(b"#")]

    assert Reader().read(page, openmetrics=True).shape.size == len(samples)


def test_families_of_the_text_format() -> None:
    shape = Reader().read(PAGE).shape

    assert [(f.name, f.kind, len(f.places)) for f in shape.families] == [
        ("requests_total", Kind.COUNTER, 2),
        ("latency_seconds", Kind.HISTOGRAM, 5),
        ("up", Kind.UNKNOWN, 1),
    ]
    assert [role for _, role, _ in shape.families[1].samples] == [
        Role.BUCKET, Role.BUCKET, Role.COUNT, Role.SUM, Role.CREATED,
    ]  # fmt: skip
    assert shape.families[0].help == "Requests."


def test_families_of_openmetrics_have_the_names_of_the_text_format() -> None:
    page = (
        b'# TYPE a counter\na_total 1\na_created 5\n# TYPE b info\nb_info{v="1"} 1\n'
        b"# TYPE c gauge\n# UNIT c seconds\nc 2\n# EOF\n"
    )
    shape = Reader().read(page, openmetrics=True).shape

    assert [(f.name, f.kind, len(f.places)) for f in shape.families] == [
        ("a_total", Kind.COUNTER, 2),
        ("b_info", Kind.INFO, 1),
        ("c", Kind.GAUGE, 1),
    ]


def test_a_page_that_differs_in_numbers_alone_has_the_same_shape_and_the_new_numbers() -> None:
    reader = Reader()
    first = reader.read(PAGE)
    second = reader.read(PAGE.replace(b" 10\n", b" 12345678901234567890\n"))

    assert second.shape is first.shape
    assert second.values[0] == b"12345678901234567890"
    assert list(second.values[1:]) == list(first.values[1:])


@pytest.mark.parametrize(
    "changed",
    [
        PAGE.replace(b'code="500"', b'code="501"'),
        PAGE.replace(b"/a b", b"/a  b"),
        PAGE.replace(b"/a b", b"/a\tb"),
        PAGE + b"down 1\n",
        PAGE.replace(b"up 1\n", b""),
        PAGE.replace(b"requests_total counter", b"requests_total gauge"),
    ],
)
def test_a_page_that_differs_in_more_has_another_shape(changed: bytes) -> None:
    reader = Reader()
    before = reader.read(PAGE).shape
    after = reader.read(changed).shape

    assert after is not before
    fresh = Reader().read(changed).shape
    assert [(f.name, f.kind, f.help, list(f.samples))
            for f in after.families] == [
        (f.name, f.kind, f.help, list(f.samples))
        for f in fresh.families
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        b"up one\n",
        b"up\n",
        b"up 1 2 3\n",
        b'up{a="1} 1\n',
        b'up{a="1",a="2"} 1\n',
        b"up{a} 1\n",
        b"up 1_0\n",
        b'{a="1"} 1\n',
        b'up{a="\xff"} 1\n',
        b"<html><body>502</body></html>\n",
        b"\x08\x12\x0cfoo\x18\x01\n",
    ],
)
def test_a_page_with_one_bad_line_is_refused_whole(body: bytes) -> None:
    reader = Reader()
    reader.read(PAGE)

    with pytest.raises(MalformedError):
        reader.read(PAGE + body)
    assert reader.read(PAGE).shape.size == 8


@pytest.mark.parametrize("page", [b"a 1\n", b"a 1\n# EOF\nb 2\n", b"a 1\n# EOF\n# EOF\n", b""])
def test_an_openmetrics_page_ends_with_one_eof(page: bytes) -> None:
    with pytest.raises(MalformedError, match="EOF"):
        Reader().read(page, openmetrics=True)


@pytest.mark.parametrize(
    "page",
    [
        b"a 1",
        b"a 1\r\n",
        b"\xef\xbb\xbfa 1\n",
        b"\n\n  a   1  \n",
        b"a{} 1\n",
        b"a\t1\n",
        b"# a comment\n#\n# EOF\na 1\n",
        b"a 1\n# TYPE a gauge\n",
        b'{"a"} 1\n',
        b'a{x=""} 1\n',
    ],
)
def test_what_prometheus_reads_is_read(page: bytes) -> None:
    reading = Reader().read(page)

    assert list(reading.numbers) == [1.0]
    assert [f.name for f in reading.shape.families] == ["a"]


def test_without_a_length_a_page_that_ends_within_a_line_is_cut() -> None:
    with pytest.raises(MalformedError, match="cut"):
        Reader().read(PAGE[:-2], sealed=False)
    with pytest.raises(MalformedError, match="cut"):
        Reader().read(PAGE[: PAGE.index(b'latency_seconds_bucket{le="+Inf')], sealed=False)


def test_timestamps_and_exemplars_are_kept_apart_from_the_number() -> None:
    page = b'# TYPE a counter\na_total 5 12.5 # {id="x} y"} 0.5 12.0\n# EOF\n'
    reading = Reader().read(page, openmetrics=True)

    assert list(reading.values) == [b"5"]
    assert reading.timestamps == {0: b"12.5"}
    assert reading.exemplars == {0: b'{id="x} y"} 0.5 12.0'}


def test_memory_is_bounded_by_one_page_when_every_series_is_new_each_time() -> None:
    reader = Reader()
    for scrape in range(20):
        reader.read(b"".join(b'a{id="%d-%d"} 1\n' % (scrape, row) for row in range(50)))

    assert reader.remembered == 50


@given(
    st.dictionaries(
        st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
        max_size=4,
    )
)
def test_any_label_values_are_read_back(labels: dict[str, str]) -> None:
    pairs = ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items())

    assert dict(lines.series(f"a{{{pairs}}}".encode()).labels) == labels


@given(pages(), pages())
def test_what_was_read_before_changes_nothing(one: bytes, two: bytes) -> None:
    other_numbers = one.translate(bytes.maketrans(b"17", b"71"))
    reader = Reader()
    for page in (one, one, other_numbers, two, one):
        found, fresh = reader.read(page), Reader().read(page)

        assert list(found.values) == list(fresh.values)
        assert (found.timestamps, found.exemplars) == (fresh.timestamps, fresh.exemplars)
        assert [(f.name, f.kind, list(f.samples)) for f in found.shape.families] == [
            (f.name, f.kind, list(f.samples)) for f in fresh.shape.families
        ]


def test_families_with_the_same_series_share_what_is_known_of_them() -> None:
    bucket = b'%(name)s_bucket{le="1",x="%(x)s"} 1\n%(name)s_bucket{le="+Inf",x="%(x)s"} 1\n'
    page = b"".join(
        b"# TYPE %(name)s histogram\n" % given
        + bucket % given
        + b'%(name)s_count{x="%(x)s"} 1\n%(name)s_sum{x="%(x)s"} 1\n' % given
        for given in ({b"name": b"a", b"x": b"1"}, {b"name": b"b", b"x": b"1"})
    )
    page += b'c{x="1"} 1\nd{x="1"} 1\ne{x="2"} 1\n'

    a, b, c, d, e = Reader().read(page).shape.families

    assert a.layout is b.layout
    assert a.layout.metric == (("x", "1"),)
    assert a.layout.bounds == (("le", "1"), ("le", "+Inf"), None, None)
    assert c.layout is d.layout
    assert c.layout is not e.layout
