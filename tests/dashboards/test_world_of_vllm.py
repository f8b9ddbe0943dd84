"""Every panel in every situation on what a real vLLM served."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firsttoken.servers import missing_tools

CAPTURE = Path(__file__).parents[1] / "data" / "vllm-0.32.0-run.xz"
pytestmark = pytest.mark.skipif(
    bool(missing_tools("prometheus", "promtool")), reason="needs the Debian package prometheus"
)


@pytest.fixture(name="real", scope="module")
def _real(worlds: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real vLLM on a CPU, until its load ends; its failures are made up, as it has none."""
    run = worlds.played.captured(CAPTURE)
    busy = worlds.played.Run(run.every, run.pages[:-4])
    idle = worlds.played.Run(run.every, (run.pages[0],) * len(busy.pages))
    swapped = worlds.played.edited(busy, 'finished_reason="error"', 'finished_reason="x"')
    failing = worlds.played.edited(swapped, 'finished_reason="length"', 'finished_reason="error"')
    timed = r"^vllm:(time_to_first|request_|e2e_|inter_token)"
    silent = timed + r"\w+_(seconds|tokens)_(sum|count|bucket).*\n"
    folder = tmp_path_factory.mktemp("real")
    targets = worlds.situations((busy, busy), idle, worlds.played.edited(failing, silent))
    with worlds.world(folder, targets, int(run.every)) as found:
        yield found


def test_each_panel_has_its_expected_outcome(worlds: Any, real: Any) -> None:
    worlds.expect_outcomes("real", real)


def test_an_outage_is_red_and_no_tile_shows_what_was_before(worlds: Any, real: Any) -> None:
    worlds.expect_outage(real)
