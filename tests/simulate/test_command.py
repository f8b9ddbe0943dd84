"""``firsttoken simulate`` as a person runs it."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from firsttoken.cli import main
from firsttoken.servers import announced_address, start
from firsttoken.simulate.faults import Faults
from firsttoken.simulate.parameters import Parameters
from firsttoken.simulate.settings import Simulation

COMMAND = [sys.executable, "-m", "firsttoken", "simulate"]
DOCS = Path(__file__).parents[2] / "docs" / "simulate.md"


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *arguments])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert not said.out
    return said.err.strip()


def get(url: str) -> object:
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310
        return json.load(response)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    config = tmp_path / "simulate.yaml"
    config.write_text(
        "model: my/model\ngpus: 4\nparameters: {max_model_len: 4096}\nfaults: {xid: 31}\n"
    )
    log = tmp_path / "log"
    arguments = ["--listen", "127.0.0.1:0", "--config", str(config), "--fault", "stalled=true"]
    with start("simulate", [*COMMAND, *arguments, "--gpus", "3"], log) as child:
        url = announced_address(child)
        [card] = get(f"{url}/v1/models")["data"]  # type: ignore[index]
        assert (card["id"], card["max_model_len"]) == ("my/model", 4096)
        faults = get(f"{url}/faults")
        assert isinstance(faults, dict)
        assert (faults["xid"], faults["stalled"]) == (31, True)
        with urllib.request.urlopen(f"{url}/dcgm/metrics", timeout=30) as response:  # noqa: S310
            assert response.read().decode().count("DCGM_FI_DEV_GPU_UTIL{") == 3
        child.process.send_signal(number)
        assert child.process.wait(60) == 0
    assert log.read_text() == f"listening {url}\n"


def test_mistakes_are_one_line_that_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "simulate.yaml"
    config.write_text("parameters:\n  kv_block: 7\n")
    said = fails(capsys, "--config", str(config))
    assert "line 2: parameters.kv_block: unknown key; did you mean kv_blocks?" in said
    assert len(said.splitlines()) == 1
    assert "expected HOST:PORT" in fails(capsys, "--listen", "8000")
    assert "expected HOST:PORT" in fails(capsys, "--listen", "127.0.0.1:http")
    assert "gpus" in fails(capsys, "--gpus", "-1")
    assert "did you mean stalled" in fails(capsys, "--fault", "stall=true")
    assert "cannot be read" in fails(capsys, "--config", str(tmp_path / "none.yaml"))


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with start("simulate", [*COMMAND, "--listen", "127.0.0.1:0"], tmp_path / "log") as child:
        address = announced_address(child).removeprefix("http://")
        done = subprocess.run(
            [*COMMAND, "--listen", address], capture_output=True, text=True, check=False, timeout=30
        )
    assert done.returncode == 3
    assert f"cannot listen on {address}" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_fault_and_parameter() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    for name in (*Faults.model_fields, *Parameters.model_fields):
        assert f"  {name}" in done.stdout
    assert "Examples:" in done.stdout


def test_the_page_documents_every_setting_with_its_default() -> None:
    rows = {
        cells[1].strip(" `"): cells[2].strip(" `")
        for line in DOCS.read_text().splitlines()
        if line.startswith("| `") and len(cells := line.split("|")) >= 4
    }
    expected = {}
    for model in (Simulation, Parameters, Faults):
        for name, field in model.model_fields.items():
            if name not in ("parameters", "faults"):
                default = field.default
                expected[name] = str(default).lower() if isinstance(default, bool) else str(default)
    assert {name: rows.get(name) for name in expected} == expected
    known = {*expected, "parameters", "faults"}
    assert {name for name in rows if name.isidentifier()} <= known
