"""Dashboards drawn by Grafana's own libraries, and held against its own schema."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from firsttoken.dashboards.expand import View
from firsttoken.dashboards.pictures import picture
from firsttoken.dashboards.render import dashboards
from firsttoken.errors import NotJudgedError
from firsttoken.prometheus import Prometheus

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "browser"
END = 1_790_000_000
Looked = Callable[[Any], AbstractContextManager[Prometheus]]
needs_libraries = pytest.mark.skipif(
    not (BUILD / "schema" / "dashboard.json").exists(),
    reason="needs 675 MB of npm packages: run dashboards/browser/build.sh build/browser",
)
EMPTY = {
    "firsttoken-slo": {"Firing alerts"},
    "firsttoken-service": {"HTTP responses", "Rejected requests"},
    "firsttoken-gpu": {"Memory errors", "PCIe replays", "Remapped rows", "Throttled"},
    "firsttoken-data-quality": {
        "Needed metrics that nobody reports",
        "Names that were not translated",
        "Counter resets",
    },
}
"""Panels of what the deployment does not report, and those for which nothing to show is good."""
KNOWN = ("'definition' was unexpected", "'expr', 'step', 'textFormat', 'titleFormat' were")
"""Keys that Grafana's data source plugins read, and the schema of the core does not have."""


@needs_libraries
@pytest.mark.parametrize(
    ("theme", "uids"), [("dark", tuple(dashboards())), ("light", ("firsttoken-slo",))]
)
def test_every_panel_is_drawn_without_an_error(
    theme: Any,
    uids: tuple[str, ...],
    tmp_path: Path,
    past: Any,
    looked_at: Looked,
    deployment: Any,
    recorded_objective: Any,
) -> None:
    past.step = 60
    deployment(gpus=("nvidia", "amd")).write(past)
    recorded_objective(past)

    wrong = {}
    with looked_at(past) as prometheus:
        for uid in uids:
            shape = dashboards()[uid]
            view = View(END - 3600, END, 60)
            file = tmp_path / f"{uid}.png"
            drawn = picture(shape, prometheus.url, view, file, build=BUILD, theme=theme)
            assert file.read_bytes().startswith(b"\x89PNG")
            wrong[uid] = [
                *drawn.errors,
                *(
                    f"{panel['title']}: {panel['error']}"
                    for panel in drawn.panels
                    if panel["error"]
                ),
                *(f"empty or not: {title}" for title in set(drawn.empty) ^ EMPTY.get(uid, set())),
                # A GPU's id may be cut off in a legend, where its index stands before it.
                *(text for text in drawn.clipped if "GPU-" not in text or text.startswith("GPUs:")),
            ]

    assert {uid: problems for uid, problems in wrong.items() if problems} == {}


def violations(shape: dict[str, Any]) -> Iterator[str]:
    def check(schema: str, value: Any) -> Iterator[str]:
        found = Draft7Validator(json.loads((BUILD / "schema" / f"{schema}.json").read_text()))
        for error in found.iter_errors(value):
            if not any(known in error.message for known in KNOWN):
                yield f"{schema}: {list(error.absolute_path)}: {error.message[:200]}"

    yield from check("dashboard", shape)
    for row in shape["panels"]:
        for panel in (row, *row.get("panels", ())):
            kind = panel["type"].replace("-", "")
            if kind != "row":
                yield from check(f"{kind}-options", panel["options"])
            if kind not in ("row", "text"):
                yield from check(
                    f"{kind}-custom", panel["fieldConfig"]["defaults"].get("custom", {})
                )


@needs_libraries
@pytest.mark.parametrize("uid", dashboards())
def test_grafanas_schema_has_no_objection(uid: str) -> None:
    assert list(violations(dashboards()[uid])) == []


def test_a_page_that_is_not_built_is_said_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(NotJudgedError, match=r"build[.]sh"):
        picture(
            dashboards()["firsttoken-slo"],
            "http://127.0.0.1:1",
            View(0, 60, 15),
            tmp_path / "x.png",
            build=tmp_path,
        )
