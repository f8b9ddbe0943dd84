"""``firsttoken collect`` as a person, and as Prometheus, uses it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from tests.collector.conftest import response, upstream
from tests.collector.test_merge import DCGM, VLLM

from firsttoken import servers
from firsttoken.catalogue import REQUESTS_RUNNING, SOURCE_UP
from firsttoken.cli import main
from firsttoken.collector.settings import load_settings
from firsttoken.prometheus import Prometheus

COLLECT = [sys.executable, "-m", "firsttoken", "collect"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COLLECT, *arguments], capture_output=True, text=True, check=False, timeout=240
    )


def here(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[object, str, str]:
    """The command in this process, which is quicker: its exit code, and what it wrote."""
    with pytest.raises(SystemExit) as ended:
        main(["collect", *arguments])
    return ended.value.code, *capsys.readouterr()


def test_once_prints_a_page_that_promtool_accepts() -> None:
    with upstream(response(VLLM)) as engine, upstream(response(DCGM)) as gpu:
        done = run("--source", f"e={engine.url}", "--source", f"g={gpu.url},profile=dcgm", "--once")
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=done.stdout,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "gen_ai_server_requests_running{" in done.stdout
    # Advice on style (names that are not ours) ends with 3; a page that cannot be read with 1.
    assert checked.returncode in (0, 3), checked.stderr


def test_once_with_a_source_down_prints_the_rest_and_fails() -> None:
    with upstream(response(VLLM)) as engine, upstream(response(b"", status=503)) as gpu:
        done = run("--source", f"e={engine.url}", "--source", f"g={gpu.url}", "--once")

    assert done.returncode == 1
    assert 'firsttoken_collector_source_up{firsttoken_source="g"} 0' in done.stdout
    assert "1 of 2 sources" in done.stderr
    assert "g: status: answered HTTP 503" in done.stderr


def test_explain_says_what_became_of_each_family(capsys: pytest.CaptureFixture[str]) -> None:
    with upstream(response(VLLM)) as engine, upstream(response(b"", status=503)) as gpu:
        sources = ("--source", f"e={engine.url}", "--source", f"g={gpu.url}")
        code, text, _ = here(*sources, "--explain", capsys=capsys)
        told = json.loads(here(*sources, "--explain", "--format", "json", capsys=capsys)[1])

    assert code == 1
    lines = [line.split() for line in text.splitlines()]
    assert ["vllm:num_requests_running", "->", "gen_ai_server_requests_running"] in lines
    assert ["vllm:not_in_the_catalogue", "passed"] in lines
    assert ["not", "read:", "status:", "answered", "HTTP", "503"] in lines
    assert [source["up"] for source in told["sources"]] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--source NAME=URL"),
        (["--source", "nonsense"], "expected NAME=URL"),
        (["--source", "a=1", "--once", "--format", "json"], "--format json is not for --once"),
        (["--source", "a=99999"], "from 1 to 65535"),
        (["--source", "a=ftp://x/y"], "http://HOST:PORT"),
        (["--source", "a=http://me:s3cret@h/m"], "not in the URL"),
        (["--source", "a=http://h/m", "--source", "a=http://h/n"], "two sources are called a"),
        (["--source", "a=http://h/m,profile=nope"], "no profile 'nope'"),
        (["--source", "a=http://h/m", "--listen", "9464"], "HOST:PORT"),
        (["--config", "/nonexistent.yaml"], "cannot be read"),
    ],
)
def test_a_mistake_is_one_clear_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, told = here(*arguments, capsys=capsys)

    assert code == 2
    assert said in told
    assert len(told.splitlines()) == 1
    assert "s3cret" not in told


def test_a_mistake_in_the_file_names_line_key_and_what_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("sources:\n  - {name: a, url: http://h, profil: vllm}\ntimeout: fast\n")
    code, _, told = here("--config", str(file), capsys=capsys)

    assert code == 2
    assert "line 2: sources.0.profil: unknown key; did you mean profile?" in told
    assert "line 3: timeout: expected a duration" in told


def test_the_example_is_right() -> None:
    example = Path(__file__).parent.parent.parent / "examples" / "collector.yaml"

    assert [source.profile for source in load_settings(example).sources] == ["vllm", "dcgm"]


def test_a_real_prometheus_scrapes_it_and_a_signal_ends_it(tmp_path: Path) -> None:
    with upstream(response(VLLM)) as engine, upstream(response(DCGM)) as gpu:
        arguments = ["--source", f"e={engine.url}", "--source", f"g={gpu.url},profile=dcgm"]
        command = [*COLLECT, *arguments, "--listen", "127.0.0.1:0"]
        with servers.start("collector", command, tmp_path / "collector.log") as child:
            url = servers.announced_address(child)
            config = tmp_path / "prometheus.yml"
            config.write_text(
                "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: c\n"
                f"    static_configs: [{{targets: ['{url.removeprefix('http://')}']}}]\n"
            )
            with servers.prometheus(config, tmp_path) as (running, address):
                prometheus = Prometheus(address)
                servers.wait_until(
                    running, lambda: bool(prometheus.query(REQUESTS_RUNNING.prometheus))
                )
                target = prometheus.targets()[0]
                found = prometheus.query(REQUESTS_RUNNING.prometheus)[0]
                up = prometheus.query(SOURCE_UP.prometheus)
                doubled = prometheus.value("scrape_samples_scraped") or 0
                kept = prometheus.value("scrape_samples_post_metric_relabeling")

            assert (target["health"], target["lastError"]) == ("up", "")
            assert found.last == 3
            assert found.labels["gen_ai_provider_name"] == "vllm"
            assert {series.labels["firsttoken_source"] for series in up} == {"e", "g"}
            assert doubled == kept
            assert requests.get(f"{url}/healthz", timeout=30).ok
            child.process.send_signal(signal.SIGTERM)
            assert child.process.wait(60) == 0
