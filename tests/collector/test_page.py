"""What is served is valid, whatever the sources say."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text
from tests.collector.conftest import CASES, escaped, samples

from firsttoken.collector.form import OPENMETRICS, TEXT, Form
from firsttoken.collector.merge import Part, merge, shared_names
from firsttoken.collector.plan import plan
from firsttoken.collector.reader import Reader
from firsttoken.collector.translate import Translator
from firsttoken.exporters.profile import load

UTF8 = Form(openmetrics=True, version="1.0.0", escaping="allow-utf-8")
DOTS = Form(openmetrics=True, version="1.0.0", escaping="dots")
VALUES = Form(openmetrics=True, version="1.0.0", escaping="values")


def merged(
    *pages: tuple[str, bytes, str | None], form: Form = TEXT, openmetrics: bool = False
) -> bytes:
    """The page that (source, page, profile) come to, without the collector's own metrics."""
    parts, readings, offered, offset = [], [], {}, 0
    for name, body, profile in pages:
        reading = Reader().read(body, openmetrics=openmetrics)
        offers = Translator(load(profile) if profile else None).contribution(reading.shape).offers
        parts.append(Part(name, offset, offers))
        offered[name] = [offer.name for offer in offers]
        readings.append(reading)
        offset += reading.shape.size
    return plan(merge(parts, shared_names(offered)), form, offset).write(readings)


def parsed(page: bytes) -> list[Metric]:
    """The families that prometheus_client's OpenMetrics parser reads."""
    return list(openmetrics(page.decode()))  # type: ignore[no-untyped-call]


def strict(page: bytes) -> int:
    """How many samples prometheus_client's OpenMetrics parser reads."""
    return sum(len(family.samples) for family in parsed(page))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_what_the_specification_allows_is_served_so_that_strict_readers_take_it(case: Path) -> None:
    page = case.read_bytes()
    # Of a series with several timestamps one is served.
    given = {(s.name, *sorted(s.labels.items())) for family in parsed(page) for s in family.samples}

    out = merged(("a", page, None), form=OPENMETRICS, openmetrics=True)
    assert strict(out) == len(given)
    list(text(merged(("a", page, None), openmetrics=True).decode()))


PLAIN = ("a", "a_total", "a_created", "a_bucket", "a_count", "a_sum", "a_info", "b", "b_total")
NAMES = st.sampled_from(
    [*PLAIN, "b_gcount", "ä.b", "vllm:x", "process_cpu_seconds_total", "vllm:num_requests_running"]
)
KINDS = st.sampled_from(
    ["counter", "gauge", "histogram", "summary", "untyped", "info", "stateset", "gaugehistogram"]
)
NUMBERS = st.one_of(
    st.floats(), st.integers(), st.sampled_from(["NaN", "+Inf", "-Inf", "1e3", "007", "1.50"])
).map(str)
LABELS = st.dictionaries(
    st.sampled_from(["le", "quantile", "x", "a", "model_name", "firsttoken_source"]),
    st.sampled_from(["1", "1.0", "0.5", "+Inf", "2", "", 'é"\\\n', "m"]),
    max_size=3,
)


EXEMPLARS = st.sampled_from(
    ["", "", "", ' # {id="x"} 0.5', " # {} 1 2.5", f' # {{id="{"x" * 200}"}} 1', ' # {id="y"} NaN']
)


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """Pages that are well-formed line by line and otherwise as wrong as they come."""
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        name = draw(NAMES)
        shown = name if name.isascii() else f'"{name}"'
        if draw(st.booleans()):
            lines.append(f"# TYPE {shown} {draw(KINDS)}")
        for _ in range(draw(st.integers(0, 3))):
            sample = name + draw(st.sampled_from(["", "", "_bucket", "_count", "_sum", "_total"]))
            pairs = [f'{key}="{escaped(value)}"' for key, value in draw(LABELS).items()]
            if not name.isascii():
                pairs, sample = [f'"{sample}"', *pairs], ""
            stamp = draw(st.sampled_from(["", "", " 1000", " -5"]))
            exemplar = draw(EXEMPLARS)
            lines.append(f"{sample}{{{','.join(pairs)}}} {draw(NUMBERS)}{stamp}{exemplar}")
    return "".join(f"{line}\n" for line in lines).encode()


@hypothesis_settings(max_examples=300)
@given(st.lists(pages(), min_size=1, max_size=3))
def test_strict_readers_take_what_is_served_for_any_pages(bodies: list[bytes]) -> None:
    named = [(f"s{place}", body, "vllm") for place, body in enumerate(bodies)]

    for form in (OPENMETRICS, UTF8, DOTS, VALUES):
        strict(merged(*named, form=form))
    served = merged(*named)
    list(text(served.decode()))
    samples(b"\n".join(line for line in served.splitlines() if line))


def test_promtool_takes_what_is_served_for_any_pages() -> None:
    """A sample of made-up pages, since each is a process."""
    checked = []

    @hypothesis_settings(max_examples=40, phases=[Phase.generate])
    @given(st.lists(pages(), min_size=1, max_size=3))
    def check(bodies: list[bytes]) -> None:
        served = merged(*((f"s{place}", body, "vllm") for place, body in enumerate(bodies)))
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=served, capture_output=True, check=False
        )
        # 3 is advice on style.
        assert done.returncode in (0, 3), (done.stderr, served)
        checked.append(served)

    check()
    assert any(checked)


@pytest.mark.parametrize("form", [DOTS, VALUES], ids=["dots", "values"])
def test_what_a_family_s_samples_end_in_is_not_escaped(form: Form) -> None:
    page = (
        b"# TYPE some_time summary\nsome_time_sum 3\nsome_time_count 2\nsome_time_created 1\n"
        b"# TYPE some_total counter\nsome_total 3\nsome_created 1\n"
    )

    families = {family.type: family for family in parsed(merged(("a", page, None), form=form))}

    assert [s.name.rpartition("_")[2] for s in families["summary"].samples] == [
        *("count", "sum", "created"),
    ]
    assert all(s.name.startswith(families["summary"].name) for s in families["summary"].samples)
    assert {s.name for s in families["counter"].samples} == {
        f"{families['counter'].name}_total",
        f"{families['counter'].name}_created",
    }
