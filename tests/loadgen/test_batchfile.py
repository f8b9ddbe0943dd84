"""Batch input files: the requests in them, as they are."""

from pathlib import Path

import pytest

from firsttoken.loadgen.batchfile import Request, requests
from firsttoken.loadgen.trace import Skipped

DATA = Path(__file__).parents[1] / "data" / "traces"


def test_a_batch_file_is_read_and_what_cannot_be_streamed_is_counted() -> None:
    found = list(requests((DATA / "batch.jsonl").read_text().splitlines()))
    assert isinstance(found[0], Request)
    assert found[0].name == "request-1"
    assert found[0].body["max_tokens"] == 7
    assert isinstance(found[1], Request)
    assert found[1].body["temperature"] == 0.2
    assert found[2] == Skipped(3, "for another path than completions")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not a request"),
        ("[]", "not a request"),
        ('{"url": "/v1/completions"}', "not a request"),
        ('{"url": "/v1/completions", "body": {"prompt": ""}}', "asks nothing"),
        ('{"url": "/v1/completions", "body": []}', "asks nothing"),
        ('{"url": ["/v1/completions"], "body": {}}', "for another path than completions"),
        (
            '{"method": "GET", "url": "/v1/completions", "body": {"prompt": "a"}}',
            "for another path than completions",
        ),
    ],
)
def test_lines_that_ask_nothing_are_counted(line: str, reason: str) -> None:
    assert list(requests([line])) == [Skipped(1, reason)]
