"""Requests as CSV, one line each, for a spreadsheet or a data frame."""

import csv
import io

from firsttoken.loadgen.records import Run

__all__ = ["COLUMNS", "requests_csv"]

COLUMNS = (
    "index", "phase", "intended_s", "sent_s", "ended_s", "lag_s", "ttft_s", "scheduled_ttft_s",
    "tpot_s", "e2e_s", "scheduled_e2e_s", "prompt_tokens", "output_tokens", "chunks", "status",
    "error", "finish_reason", "workload", "model", "session", "turn", "trace_id",
)  # fmt: skip
"""Times are seconds, moments since the first request; empty where something did not happen."""


def requests_csv(run: Run) -> str:
    """Every request of a run, by its index."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in sorted(run.records, key=lambda one: one.index):
        writer.writerow(
            _cell(value)
            for value in (
                record.index, record.phase, record.intended, record.sent, record.ended, record.lag,
                record.ttft, record.scheduled_ttft, record.tpot, record.e2e, record.scheduled_e2e,
                record.prompt_tokens, record.output_tokens, record.chunks, record.status,
                record.error, record.finish_reason, record.workload, record.model, record.session,
                record.turn, record.trace_id,
            )
        )  # fmt: skip
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6f}"
    # A spreadsheet takes text that begins so for a formula, and errors quote the server.
    if isinstance(value, str) and value[:1] in "=+-@\t\r":
        return f"'{value}"
    return value
