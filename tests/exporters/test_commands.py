"""``firsttoken profiles`` as a person runs it."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from firsttoken.cli import main
from firsttoken.exporters import profile

PAGES = Path(__file__).parents[1] / "data" / "pages"


class Done(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture(name="run")
def _run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``firsttoken profiles`` in this process, and holds its exit code."""

    def call(*arguments: str, code: int = 0) -> Done:
        with pytest.raises(SystemExit) as left:
            main(["profiles", *arguments])
        captured = capsys.readouterr()
        done = Done(captured.out, captured.err)
        assert left.value.code == code, done
        return done

    return call


class Handler(BaseHTTPRequestHandler):
    """A server whose ``/metrics`` is a page and that knows nothing else."""

    def do_GET(self) -> None:
        found = self.path == "/metrics"
        self.send_response(200 if found else 404)
        self.end_headers()
        if found:
            self.wfile.write((PAGES / "vllm-0.32.0.txt").read_bytes())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Tests say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_list_has_every_profile(run: Run) -> None:
    shown = run("list").stdout

    assert [line.split()[0] for line in shown.splitlines()[1:]] == list(profile.builtin_names())
    assert [each["name"] for each in json.loads(run("list", "--json").stdout)] == list(
        profile.builtin_names()
    )


def test_show_has_each_metric_and_what_it_means(run: Run) -> None:
    shown = run("show", "dcgm").stdout
    used = next(line for line in shown.splitlines() if line.startswith("DCGM_FI_DEV_FB_USED "))

    assert used.split()[1:4] == ["hw.gpu.memory.usage{hw.vendor=NVIDIA}", "x", "1048576"]
    lines = json.loads(run("show", "vllm", "--json").stdout)["lines"]
    assert {line["metric"] for line in lines} >= {"gen_ai.server.time_to_first_token"}


def test_check_says_what_a_live_page_gives(server: str, run: Run) -> None:
    shown = run("check", f"{server}/metrics").stdout

    assert shown.startswith("profile vllm (vLLM), version from 0.32.0\n")
    assert "named: " in shown
    assert "unknown: 0 of " in shown


def test_check_writes_json(run: Run) -> None:
    report = json.loads(run("check", str(PAGES / "dcgm-4.5.txt"), "--json").stdout)
    families = {each["family"]: each for each in report["families"]}

    assert report["profile"] == "dcgm"
    assert families["DCGM_FI_DEV_MEMORY_TEMP"]["dropped"] == 1
    assert families["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"]["status"] == "no name"


def test_check_writes_the_series_that_come_out(run: Run) -> None:
    shown = run("check", str(PAGES / "dcgm-4.5-mig.txt"), "--series").stdout

    assert shown.count("hw_power_watts{") == 2


def test_a_family_that_nobody_knows_is_named_and_the_exit_code_is_1(
    tmp_path: Path, run: Run
) -> None:
    file = tmp_path / "page.txt"
    file.write_text("vllm:num_requests_running 1\nvllm:brand_new 1\n")
    done = run("check", str(file), code=1)

    assert "\nunknown: 1 of 2 families\nvllm:brand_new  unknown  1 series\n" in done.stdout
    assert done.stderr == (
        f"firsttoken: {file}: 1 of 2 families are not known to the profile vllm,"
        " 0 series came out as one with another\n"
    )


def test_a_profile_of_ones_own_names_what_the_built_in_ones_do_not(
    tmp_path: Path, run: Run
) -> None:
    ours, file = tmp_path / "ours.yaml", tmp_path / "page.txt"
    ours.write_text(
        "name: ours\ntitle: Ours\nprovider: ours\ninclude: [vllm]\n"
        "metrics: [{from: 'vllm:brand_new', to: gen_ai.server.context.length}]\n"
    )
    file.write_text("# TYPE vllm:brand_new gauge\nvllm:brand_new 1\n")

    shown = run("check", str(file), "--profile", str(ours)).stdout
    assert "gen_ai.server.context.length" in shown


@pytest.mark.parametrize(
    ("text", "message", "code"),
    [
        ("something_else 1\n", "no profile fits; say one with --profile (there are: ", 2),
        ("<html></html>\n", "not a metrics page: ", 2),
    ],
)
def test_a_page_that_cannot_be_judged(
    tmp_path: Path, text: str, message: str, code: int, run: Run
) -> None:
    file = tmp_path / "page.txt"
    file.write_text(text)

    assert message in run("check", str(file), code=code).stderr


def test_a_file_that_is_not_there(run: Run) -> None:
    done = run("check", "nothing.txt", code=2)

    assert done.stderr == "firsttoken: nothing.txt: cannot be read: No such file or directory\n"


def test_a_server_that_has_no_such_page(server: str, run: Run) -> None:
    assert f"{server}/none: 404 Not Found" in run("check", f"{server}/none", code=3).stderr


def test_a_server_that_is_not_there(run: Run) -> None:
    done = run("check", "http://127.0.0.1:1/metrics", code=3)

    assert done.stderr.startswith("firsttoken: http://127.0.0.1:1/metrics: cannot be reached: ")
    assert len(done.stderr.splitlines()) == 1
