"""In the place of KServe's qpext: its environment works, and its faults are gone."""

import os
import subprocess
import sys
from pathlib import Path

import requests
from tests.collector.conftest import OWN, collected, response, samples, settings, upstream

from firsttoken import servers
from firsttoken.collector.environment import from_environment
from firsttoken.collector.form import OPENMETRICS
from firsttoken.collector.settings import Settings

APP = b"# TYPE app_total counter\napp_total 3\nprocess_open_fds 4\n"
ENVIRONMENT = {
    "KSERVE_CONTAINER_PROMETHEUS_METRICS_PORT": "8080",
    "KSERVE_CONTAINER_PROMETHEUS_METRICS_PATH": "/v2/metrics",
    "AGGREGATE_PROMETHEUS_METRICS_PORT": "9099",
    "SERVING_SERVICE": "chat",
}


def test_its_environment_is_a_configuration() -> None:
    config = Settings.model_validate(from_environment(ENVIRONMENT))

    assert config.listen == ":9099"
    assert [source.url for source in config.sources] == [
        "http://127.0.0.1:9091/metrics",
        "http://127.0.0.1:8080/v2/metrics",
    ]
    assert config.sources[1].labels == {"service_name": "chat"}
    assert from_environment({}) is None


def test_without_a_port_of_its_own_it_serves_on_the_one_that_the_injector_gives() -> None:
    config = Settings.model_validate(
        from_environment({"KSERVE_CONTAINER_PROMETHEUS_METRICS_PORT": "8080"})
    )

    assert config.listen == ":9088"


def test_a_kserve_pod_s_environment_is_all_that_it_needs(tmp_path: Path) -> None:
    with upstream(response(APP)) as app:
        environment = ENVIRONMENT | {
            "KSERVE_CONTAINER_PROMETHEUS_METRICS_PORT": app.url.split(":")[2].split("/")[0],
            "AGGREGATE_PROMETHEUS_METRICS_PORT": "0",
        }
        command = ["env", *(f"{k}={v}" for k, v in environment.items()), sys.executable, "-m"]
        with servers.start(
            "collector", [*command, "firsttoken", "collect"], tmp_path / "log"
        ) as child:
            url = servers.announced_address(child).replace("0.0.0.0", "127.0.0.1")
            page = requests.get(f"{url}/metrics", timeout=20).content

    assert samples(page)['app_total{service_name="chat"}'] == "3"


def test_a_label_that_the_source_has_already_is_kept() -> None:
    with upstream(response(b'a{service_name="own"} 1\nb 2\n')) as source:
        config = settings(source.url)
        told = config.sources[0].model_copy(update={"labels": {"service_name": "chat"}})
        found = samples(collected(config.model_copy(update={"sources": (told,)})).page)

    assert found['a{service_name="own"}'] == "1"
    assert found['b{service_name="chat"}'] == "2"


def test_an_exemplar_never_makes_false_zeros() -> None:
    page = (
        b'# TYPE h histogram\nh_bucket{le="1.0"} 1 # {id="x"} 0.5\nh_bucket{le="+Inf"} 2\n'
        b"h_count 2\nh_sum 3\n# TYPE after gauge\nafter 1\n# EOF\n"
    )
    with upstream(response(page, "application/openmetrics-text; version=1.0.0")) as source:
        text = samples(collected(settings(source.url)).page)
        full = collected(settings(source.url), OPENMETRICS).page

    assert (text['h_bucket{le="1.0"}'], text["h_count"], text["after"]) == ("1", "2", "1")
    assert b'h_bucket{le="1.0"} 1 # {id="x"} 0.5\n' in full


def test_types_are_those_of_the_source() -> None:
    page = b'# TYPE x counter\nx_total 1\nx_created 5\n# TYPE y info\ny_info{a="b"} 1\n# EOF\n'
    with upstream(response(page, "application/openmetrics-text; version=1.0.0")) as source:
        out = collected(settings(source.url)).page.decode()

    assert "# TYPE x_total counter\n" in out
    assert "# TYPE x_created gauge\n" in out
    assert "# TYPE y_info gauge\n" in out


def test_untyped_families_are_kept_untyped() -> None:
    with upstream(response(b"# TYPE a_total untyped\na_total 1\nb 2\n")) as source:
        out = collected(settings(source.url)).page.decode()

    assert "# TYPE a_total untyped\na_total 1\n" in out
    assert "# TYPE b untyped\nb 2\n" in out


def test_a_source_without_a_final_newline_does_not_run_into_the_next() -> None:
    with upstream(response(b"nonl 1")) as first, upstream(response(APP)) as second:
        assert samples(collected(settings(first.url, second.url)).page)["nonl"] == "1"


def test_utf8_names_are_served_escaped_to_who_cannot_read_them() -> None:
    with upstream(response(b'{"a.b",c="d"} 1\n')) as source:
        assert samples(collected(settings(source.url)).page)['a_b{c="d"}'] == "1"


def test_bounds_and_large_numbers_keep_their_text() -> None:
    page = b'# TYPE h histogram\nh_bucket{le="1.0"} 12345678901\nh_bucket{le="+Inf"} 12345678901\n'
    with upstream(response(page)) as source:
        assert samples(collected(settings(source.url)).page)['h_bucket{le="1.0"}'] == "12345678901"


def test_the_order_of_lines_never_changes() -> None:
    page = b"".join(b'f%d{x="%d"} 1\n' % (place % 7, place) for place in range(70))
    with upstream(response(page)) as source:
        orders = {tuple(samples(collected(settings(source.url)).page))[3:] for _ in range(3)}

    assert len(orders) == 1


def test_without_anything_to_collect_it_does_not_listen_anywhere() -> None:
    environment = {k: v for k, v in os.environ.items() if "PROMETHEUS" not in k}
    done = subprocess.run(
        [sys.executable, "-m", "firsttoken", "collect"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert (done.returncode, done.stdout) == (2, "")


def test_names_and_unknown_families_are_as_configured() -> None:
    page = b"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 1\nmine 2\n"
    known, own = "gen_ai_server_requests_running", "vllm:num_requests_running"
    cases: list[tuple[dict[str, str], set[str]]] = [
        ({}, {known, "mine"}),
        ({"names": "passthrough"}, {own, "mine"}),
        ({"names": "both"}, {known, own, "mine"}),
        ({"unknown": "drop"}, {known}),
    ]
    with upstream(response(page)) as source:
        for config, expected in cases:
            found = samples(collected(settings(source.url, **config)).page)
            names = {series.partition("{")[0] for series in found}
            assert {n for n in names if not n.startswith(OWN)} == expected
