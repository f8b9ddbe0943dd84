"""``firsttoken trace receive`` as a process: what it is sent stands in its file when it ends."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.traces.conftest import record, run_of

from firsttoken.otlp.decode import spans
from firsttoken.otlp.jsonfile import read
from firsttoken.traces.clientspans import Keep, client_spans, kept
from firsttoken.traces.export import export


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_is_sent_is_in_the_file_when_it_ends(tmp_path: Path, protocol: str) -> None:
    out = tmp_path / "spans.jsonl"
    command = [sys.executable, "-m", "firsttoken", "trace", "receive", "--out", str(out)]
    process = subprocess.Popen(
        [*command, "--grpc-port", "0", "--http-port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(2)]
    urls = [found[1] for line in lines if (found := re.match(r"listening (\S+)", line))]
    run = run_of(record(1), record(2))
    made = client_spans(run, kept(run.records, Keep()))

    if protocol == "grpc":
        assert export(made, urls[0], "grpc") == len(made)
    else:
        assert export(made, urls[1], "http/protobuf") == len(made)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=240)

    assert process.returncode == 0, said
    assert "received 1 of traces" in said
    kept_spans = [span for request in read(out).requests for span in spans(request)]
    assert len(kept_spans) == len(made)
    assert {span.trace_id for span in kept_spans} == {r.trace_id for r in run.records}
