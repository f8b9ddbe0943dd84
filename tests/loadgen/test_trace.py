"""Traces as values: a stretch, its rate, its speed."""

from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.trace import Row, Skipped, collect, mean_rate

TIMES = st.lists(st.integers(0, 10_000), min_size=1, max_size=30)


def rows(times: list[int]) -> list[Row]:
    return [Row(float(at), 10 + number, 5) for number, at in enumerate(times)]


def test_a_trace_begins_at_its_first_request_and_keeps_order() -> None:
    found = collect(rows([100, 101, 105]))
    assert [row.at for row in found.rows] == [0.0, 1.0, 5.0]
    assert [row.prompt for row in found.rows] == [10, 11, 12]


@given(TIMES, st.integers(0, 100), st.integers(1, 100))
def test_a_stretch_holds_what_came_in_it_and_nothing_else(
    times: list[int], start: int, length: int
) -> None:
    times = [times[0], *(time + times[0] for time in times[1:])]
    got = collect(rows(times), start=start, length=length)
    wanted = sorted(t - times[0] - start for t in times if 0 <= t - times[0] - start < length)
    assert [row.at for row in got.rows] == wanted


def test_no_request_is_lost_where_a_file_is_out_of_order() -> None:
    assert [row.at for row in collect(rows([5, 3, 9])).rows] == [0.0, 2.0, 6.0]


def test_requests_too_long_for_the_model_are_left_out_and_counted() -> None:
    found: list[Row | Skipped] = [
        Row(0.0, 90, 10),
        Row(1.0, 91, 10),
        Skipped(4, "had failed"),
        Row(2.0, 5, 500),
    ]
    trace = collect(found, longest=100)
    assert trace.rows == (Row(0.0, 90, 10),)
    assert trace.skipped == {"longer than 100 tokens": 2, "had failed": 1}


def test_it_is_known_whether_a_trace_goes_on_after_the_stretch() -> None:
    assert collect(rows([0, 1, 9])).whole
    assert collect(rows([0, 1, 9]), length=9.5).whole
    assert not collect(rows([0, 1, 9]), length=9).whole


def test_the_rate_is_that_of_the_gaps() -> None:
    assert mean_rate(collect(rows([0, 1, 2, 3, 4])).rows) == 1.0
    assert mean_rate(collect(rows([7])).rows) == 0.0
