"""The pages of ``firsttoken simulate`` say nothing that the profiles do not know."""

import sys
from pathlib import Path

import pytest

from firsttoken import servers
from firsttoken.exporters import page, profile
from firsttoken.exporters.check import Status, check


@pytest.mark.parametrize(("vendor", "name"), [("nvidia", "dcgm"), ("amd", "amd")])
def test_the_pages_of_engine_and_gpus_are_wholly_known(
    tmp_path: Path, vendor: str, name: str
) -> None:
    command = [sys.executable, "-m", "firsttoken", "simulate", "--listen=127.0.0.1:0"]
    flags = ["--gpus=2", f"--gpu-vendor={vendor}"]
    with servers.start("simulate", [*command, *flags], tmp_path / "simulate.log") as child:
        url = servers.announced_address(child)
        pages = {
            "vllm": page.parse(page.read(f"{url}/metrics")),
            name: page.parse(page.read(f"{url}/{name}/metrics")),
        }

    for expected, families in pages.items():
        found = profile.guess((family.name for family in families), profile.load_all())
        assert found is not None
        assert found.name == expected
        report = check(found, families)
        assert [finding.family for finding in report.of(Status.UNKNOWN)] == []
        assert [line.source for line in report.missing] == []
        assert report.doubled == ()
        ids = {s.attributes.get("hw.id") for f in report.findings for s in f.series}
        assert len(ids - {None}) == (0 if expected == "vllm" else 2)
