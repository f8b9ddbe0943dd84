"""Azure's traces: the published form, and whatever else a file may hold."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.azure import rows
from firsttoken.loadgen.trace import Row, Skipped, collect

DATA = Path(__file__).parents[1] / "data" / "traces"
HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens"


def test_published_lines_of_2023_are_read_with_their_times_and_lengths() -> None:
    trace = collect(rows((DATA / "azure-2023-conv.csv").read_text().splitlines()))
    assert [(row.prompt, row.output) for row in trace.rows[:3]] == [
        (374, 44),
        (396, 109),
        (879, 55),
    ]
    # 18:15:46.6805900, :50.9951690, :51.2224670; the tenths of a microsecond are zeros.
    assert [round(row.at, 6) for row in trace.rows[:3]] == [0.0, 4.314579, 4.541877]
    assert not trace.skipped


def test_times_with_a_zone_are_read_as_those_of_2024_are_written() -> None:
    trace = collect(rows((DATA / "azure-2024-code.csv").read_text().splitlines()))
    assert [round(row.at, 6) for row in trace.rows] == [0.0, 0.007405, 1.49007]


@given(
    st.lists(
        st.tuples(st.integers(0, 10**12), st.integers(1, 200_000), st.integers(1, 10_000)),
        min_size=1,
    )
)
def test_every_request_that_was_written_is_read_back(
    requests: list[tuple[int, int, int]],
) -> None:
    zero = datetime(2023, 11, 16, tzinfo=UTC)
    lines = [HEAD]
    for microseconds, prompt, output in requests:
        when = (zero + timedelta(microseconds=microseconds)).replace(tzinfo=None)
        lines.append(f"{when.isoformat(' ', 'microseconds')}0,{prompt},{output}")
    got = [row for row in rows(lines) if isinstance(row, Row)]
    wanted = [(p, o) for _, p, o in requests]
    assert [(row.prompt, row.output) for row in got] == wanted
    first = requests[0][0]
    assert [round((row.at - got[0].at) * 1e6) for row in got] == [m - first for m, _, _ in requests]


@given(st.lists(st.text(alphabet=st.characters(exclude_characters='"\r\n'), max_size=40)))
def test_nonsense_costs_only_its_own_line(lines: list[str]) -> None:
    good = "2023-11-16 18:15:46.6805900,374,44"
    got = list(rows([HEAD, *lines, good]))
    assert got[-1] == Row(1700158546.68059, 374, 44)
    assert all(isinstance(row, Row | Skipped) for row in got)


def test_requests_without_tokens_are_counted_not_replayed() -> None:
    got = list(rows([HEAD, "2023-11-16 18:15:46,0,5", "2023-11-16 18:15:46,5,0", "x,1,1"]))
    assert got == [Skipped(2, "no tokens"), Skipped(3, "no tokens"), Skipped(4, "not a request")]
