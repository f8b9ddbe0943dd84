"""Files of traces: told apart by their first line, read as far as asked, refused in one line."""

import gzip
from pathlib import Path

import pytest

from firsttoken.errors import ConfigError
from firsttoken.loadgen.tracefile import detect, read_trace

DATA = Path(__file__).parents[1] / "data" / "traces"


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("azure-2023-conv.csv", "azure", 7),
        ("azure-2024-code.csv", "azure", 3),
        ("burstgpt-1.csv", "burstgpt", 5),
        ("burstgpt-3.csv", "burstgpt", 3),
        ("mooncake.jsonl", "mooncake", 6),
    ],
)
def test_each_published_format_is_told_by_its_first_line(name: str, kind: str, count: int) -> None:
    path = DATA / name
    assert detect(path.read_text().splitlines()[0]) == kind
    assert len(read_trace(path).rows) == count


def test_a_compressed_trace_is_the_same_trace(tmp_path: Path) -> None:
    plain = DATA / "azure-2023-conv.csv"
    packed = tmp_path / "conv.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_trace(packed) == read_trace(plain)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    plain = DATA / "burstgpt-1.csv"
    other = tmp_path / "excel.csv"
    other.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n"))
    assert read_trace(other) == read_trace(plain)


def test_only_the_stretch_that_is_asked_for_is_read() -> None:
    trace = read_trace(DATA / "mooncake.jsonl", start=3.0, length=25.0)
    assert [(round(row.at, 3), row.prompt) for row in trace.rows] == [(0.052, 4834), (24.482, 6955)]


@pytest.mark.parametrize("line", ["", "a,b,c", '{"timestamp": 0}', "[1]", '"text"', "{]"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "file"
    path.write_text(line)
    with pytest.raises(ConfigError, match="line 1: not a trace that is known"):
        read_trace(path)


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_trace(tmp_path / "absent.csv")
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(b"no gzip")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(broken)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_trace(binary)


def test_a_trace_without_a_request_says_what_was_left_out(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"
    head = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"
    path.write_text(f"{head}\n1,GPT-4,5,0,5,API log\n")
    with pytest.raises(ConfigError, match=r"no request to replay \(left out: 1 had failed\)"):
        read_trace(path)
