"""BurstGPT's traces, with and without conversations."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from firsttoken.loadgen.burstgpt import rows
from firsttoken.loadgen.trace import Row, Skipped

DATA = Path(__file__).parents[1] / "data" / "traces"
HEAD = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"


def lines(name: str) -> list[str]:
    return (DATA / name).read_text().splitlines()


def test_published_lines_are_read_and_failed_requests_counted() -> None:
    got = list(rows(lines("burstgpt-1.csv")))
    assert got[0] == Row(5.0, 472, 18, model="ChatGPT")
    assert got[2] == Row(118.0, 417, 276, model="GPT-4")
    assert got[4] == Skipped(6, "had failed")
    assert len(got) == 6


def test_conversations_of_the_third_trace_are_kept() -> None:
    got = list(rows(lines("burstgpt-3.csv")))
    assert got[0] == Row(10.5, 120, 80, model="GPT-4", session="7c1")
    assert got[1] == Row(12.25, 300, 20, model="ChatGPT")
    assert got[2] == Skipped(4, "had failed")


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 40_000), st.integers(1, 20_000))))
def test_every_request_that_was_written_is_read_back(
    requests: list[tuple[int, int, int]],
) -> None:
    text = [HEAD, *(f"{t},GPT-4,{p},{o},{p + o},API log" for t, p, o in requests)]
    assert list(rows(text)) == [Row(float(t), p, o, model="GPT-4") for t, p, o in requests]


def test_lines_that_are_no_requests_are_counted() -> None:
    got = list(rows([HEAD, "nan,GPT-4,1,1,2,API log", "1,GPT-4", "1,GPT-4,0,5,5,API log"]))
    assert [item.reason for item in got if isinstance(item, Skipped)] == [
        "not a request",
        "not a request",
        "no tokens",
    ]
