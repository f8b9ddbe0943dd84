"""Everything into the output folder."""

from firsttoken.report.junit import junit
from firsttoken.report.render import html, markdown
from firsttoken.report.schema import Report
from firsttoken.validate.found import Found
from firsttoken.validate.plots import pictures

__all__ = ["write"]


def write(report: Report, found: Found) -> None:
    """All files of the report that do not lie there yet."""
    out = found.options.out
    # The data first: should a later form fail, nothing that was measured is lost.
    texts = {"report.json": report.model_dump_json(indent=2) + "\n", "junit.xml": junit(report)}
    if found.page_text:
        texts["metrics.prom"] = found.page_text
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    drawn = pictures(report, found.run) if found.run is not None else ()
    (out / "report.html").write_text(html(report, drawn), encoding="utf-8")
