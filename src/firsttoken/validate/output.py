"""Everything into the output folder."""

import yaml

from firsttoken.report.junit import junit
from firsttoken.report.of_run import load_file
from firsttoken.report.plots import sections
from firsttoken.report.render import html, markdown
from firsttoken.report.schema import Report
from firsttoken.report.table import requests_csv
from firsttoken.validate.found import Found

__all__ = ["write"]


def write(report: Report, found: Found) -> None:
    """All files of the report that do not lie there yet."""
    out = found.options.out
    # The data first: should a later form fail, nothing that was measured is lost.
    texts = {"report.json": report.model_dump_json(indent=2) + "\n", "junit.xml": junit(report)}
    if found.page_text:
        texts["metrics.prom"] = found.page_text
    texts["slo.yaml"] = yaml.safe_dump(report.promises, sort_keys=False)
    if report.load is not None and found.run is not None:
        texts["load.yaml"] = yaml.safe_dump(load_file(found.run), sort_keys=False)
        texts["requests.csv"] = requests_csv(found.run)
    texts["report.md"] = markdown(report)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    drawn = sections(report, found.run) if found.run is not None else ()
    (out / "report.html").write_text(html(report, drawn), encoding="utf-8")
