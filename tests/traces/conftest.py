"""Runs and spans to join, and the spans that a real vLLM 0.32 sent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firsttoken.loadgen.identity import identify
from firsttoken.loadgen.records import VERSION, Generator, Record, Run
from firsttoken.loadgen.writer import Writer

VLLM_SPANS = Path(__file__).parents[1] / "data" / "vllm" / "vllm-0.32.0-spans.jsonl"


def record(index: int, **changes: Any) -> Record:
    """A request due at its index in seconds, that took 1 s for 10 tokens."""
    at = float(index)
    whole: dict[str, Any] = {
        "index": index,
        "intended": at,
        "sent": at + 0.01,
        "first": at + 0.2,
        "last": at + 0.98,
        "ended": at + 1.01,
        "chunks": 10,
        "prompt_tokens": 4,
        "output_tokens": 10,
        "output_source": "usage",
        "status": 200,
        "error": None,
        "finish_reason": "length",
        "gaps": (),
        "phase": "measure",
        "output_target": 10,
        "trace_id": identify("nonce", index).trace_id,
    }
    return Record(**{**whole, **changes})


def run_of(*records: Record, **changes: Any) -> Run:
    """A run of these requests, measured from 0 to 1000 s."""
    whole: dict[str, Any] = {
        "version": VERSION,
        "target": "http://127.0.0.1:8000",
        "model": "tiny",
        "engine": "vllm 0.32.0",
        "started": 1_795_691_990.25,
        "measure": (0.0, 1000.0),
        "load": {"api": "chat"},
        "schedule_hash": "",
        "interrupted": False,
        "stopped": None,
        "generator": Generator(),
        "records": records,
    }
    return Run(**{**whole, **changes})


@pytest.fixture(name="saved")
def _saved(tmp_path: Path) -> Callable[[Run], Path]:
    """Writes a run as a records file."""

    def save(run: Run) -> Path:
        path = tmp_path / "records.jsonl"
        with Writer(path) as writer:
            writer.begin(run)
            for one in run.records:
                writer.add(one)
            writer.end(run)
        return path

    return save
