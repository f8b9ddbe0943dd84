"""Everything into the output folder."""

from firsttoken.validate.found import Found
from firsttoken.validate.schema import Report

__all__ = ["write"]


def write(report: Report, found: Found) -> None:
    """All files of the report that do not lie there yet."""
    out = found.options.out
    text = report.model_dump_json(indent=2) + "\n"
    (out / "report.json").write_text(text, encoding="utf-8")
    if found.page_text:
        (out / "metrics.prom").write_text(found.page_text, encoding="utf-8")
