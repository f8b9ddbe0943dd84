"""Records survive writing, reading and a kill at any moment."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firsttoken.errors import ConfigError
from firsttoken.loadgen import records
from firsttoken.loadgen.record import INTERRUPTED, VERSION, Generator, Record, Run
from firsttoken.loadgen.records import convert, read
from firsttoken.loadgen.summary import summarise
from firsttoken.loadgen.writer import Writer

times = st.one_of(st.none(), st.floats(0, 1e6).map(lambda value: round(value, 6)))


@settings(max_examples=40)
@given(
    st.lists(
        st.builds(
            Record,
            index=st.integers(0, 10**6),
            intended=st.floats(0, 1e6).map(lambda value: round(value, 6)),
            sent=times,
            first=times,
            last=times,
            ended=times,
            chunks=st.integers(0, 10**6),
            prompt_tokens=st.one_of(st.none(), st.integers(0, 10**6)),
            output_tokens=st.one_of(st.none(), st.integers(0, 10**6)),
            output_source=st.sampled_from(["usage", "chunks", None]),
            status=st.one_of(st.none(), st.integers(100, 599)),
            error=st.one_of(st.none(), st.text()),
            finish_reason=st.one_of(st.none(), st.text()),
            gaps=st.lists(st.integers(0, 10**8).map(lambda value: round(value * 1e-6, 6))).map(
                tuple
            ),
            phase=st.sampled_from(["warmup", "measure", "drain"]),
        ),
        max_size=5,
    )
)
def test_a_run_reads_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record]
) -> None:
    file = tmp_path_factory.mktemp("records") / "run.jsonl"
    load = {"arrivals": {"kind": "closed", "concurrency": 2}}
    own = Generator(0.5, 0.001, 0.002, 0.003, 0.004, 5)
    fields = (VERSION, "http://x", "m", "vllm 1", 12.5, (1.0, 2.0), load, "ab")
    run = Run(*fields, False, None, own, tuple(records))
    write(file, run)
    assert read(file) == run


def write(file: Path, run: Run) -> None:
    with Writer(file) as writer:
        writer.begin(run)
        for record in run.records:
            writer.add(record)
        writer.end(run)


def test_a_file_cut_off_anywhere_is_read_as_far_as_it_goes(
    tmp_path: Path, make_run: Callable[..., Run], make_record: Callable[..., Record]
) -> None:
    file = tmp_path / "run.jsonl"
    records = [make_record(at, index=index) for index, at in enumerate((1.0, 2.0, 3.0))]
    write(file, make_run(*records))
    data = file.read_bytes()
    head = data.index(b"\n")
    complete = len(data) - 1
    for size in range(head, complete):
        file.write_bytes(data[:size])
        run = read(file)
        assert run.interrupted
        assert run.records == tuple(records[: len(run.records)])
    assert len(run.records) == 3
    assert run.measure == (0.0, 3.5)
    file.write_bytes(data[:complete])
    assert not read(file).interrupted


def test_records_are_in_the_file_before_the_run_ends(
    tmp_path: Path, make_run: Callable[..., Run], make_record: Callable[..., Record]
) -> None:
    file = tmp_path / "run.jsonl"
    with Writer(file) as writer:
        writer.begin(make_run())
        writer.add(make_record())
        writer.flush()
        assert len(read(file).records) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "line 1"),
        ("{}\n", "line 1"),
        ("no json\n{}\n", "line 1"),
        ('{"kind":"run","version":"v0"}\n', "version 'v0'"),
        ('{"kind":"run","version":"firsttoken.records/v1"}\n', "not a records file"),
    ],
)
def test_what_is_no_records_file_is_said_in_a_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.jsonl") as caught:
        read(file)
    assert problem in str(caught.value)


def test_a_spoilt_line_in_the_middle_is_an_error(
    tmp_path: Path, make_run: Callable[..., Run], make_record: Callable[..., Record]
) -> None:
    file = tmp_path / "run.jsonl"
    write(file, make_run(make_record()))
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], "{half", *lines[1:]]) + "\n")
    with pytest.raises(ConfigError, match="line 2"):
        read(file)


def test_a_missing_file_and_a_folder_that_cannot_be_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"), Writer(tmp_path / "file" / "x"):
        pass


def test_latencies_follow_their_definitions(make_record: Callable[..., Record]) -> None:
    record = make_record(1.0, sent=1.25, first=1.5, last=2.5, ended=2.75, output_tokens=5)
    assert (record.ttft, record.scheduled_ttft) == (0.25, 0.5)
    assert (record.e2e, record.scheduled_e2e) == (1.5, 1.75)
    assert (record.tpot, record.lag) == (0.25, 0.25)
    assert make_record(output_tokens=1).tpot is None
    assert make_record(sent=None, first=None).ttft is None


def test_the_measured_are_those_due_in_the_window(
    make_run: Callable[..., Run], make_record: Callable[..., Record]
) -> None:
    records = [make_record(at) for at in (0.9, 1.0, 1.9, 2.0)]
    broken_off = make_record(1.5, error=INTERRUPTED)
    run = make_run(*records, broken_off, measure=(1.0, 2.0))
    assert [record.intended for record in run.measured] == [1.0, 1.9]
    assert run.measured_seconds == 1.0


def test_a_line_is_json_with_every_field(
    tmp_path: Path, make_run: Callable[..., Run], make_record: Callable[..., Record]
) -> None:
    write(tmp_path / "run.jsonl", make_run(make_record()))
    kinds = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert set(kinds[1]) == set(Record.__slots__)
    assert [kind.get("kind") for kind in kinds] == ["run", None, "end"]


def test_records_of_the_first_version_are_still_read(
    tmp_path: Path, make_run: Callable[..., Run], make_record: Callable[..., Record]
) -> None:
    file = tmp_path / "run.jsonl"
    write(file, make_run(make_record(gaps=(0.25, 0.125))))
    head, record, end = (json.loads(line) for line in file.read_text().splitlines())
    assert record["gaps"] == [250000, 125000]
    added = ("error_class", "first_byte", "bytes", "prompt_target", "output_target", "workload")
    for name in (*added, "model", "session", "turn", "trace_id"):
        del record[name]
    head["version"], record["gaps"] = "firsttoken.records/v1", [0.25, 0.125]
    file.write_text("".join(json.dumps(line) + "\n" for line in (head, record, end)))
    assert read(file).records == (make_record(gaps=(0.25, 0.125)),)


def test_parquet_holds_what_the_lines_hold(
    tmp_path: Path, make_run: Callable[..., Run], make_record: Callable[..., Record]
) -> None:
    pytest.importorskip("pyarrow")
    lines, table = tmp_path / "run.jsonl", tmp_path / "run.parquet"
    odd = make_record(2.0, error="http 503", error_class="http", first=None, gaps=(), session="s")
    write(lines, make_run(make_record(1.0), odd))
    convert(lines, table)
    assert read(table) == read(lines)
    lines.write_bytes(lines.read_bytes()[:-10])
    convert(lines, table)
    assert read(table).interrupted
    table.write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match="not a records file"):
        read(table)


def test_so_many_records_are_read_from_their_file(
    tmp_path: Path,
    make_run: Callable[..., Run],
    make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "IN_MEMORY", 3)
    file = tmp_path / "run.jsonl"
    write(file, make_run(*(make_record(float(at), index=at) for at in range(8))))
    run = read(file)
    assert not isinstance(run.records, tuple)
    assert len(run.records) == 8
    assert [record.index for record in run.records] == list(range(8))
    assert (run.records[0].index, run.records[-1].index) == (0, 7)
    assert [record.index for record in run.records[2:4]] == [2, 3]
    assert len(run.measured) == 8
    assert summarise(run).requests == 8
