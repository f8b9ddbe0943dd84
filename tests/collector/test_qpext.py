"""KServe's qpext has known faults; a real Prometheus that scrapes this collector sees none of them.

One Prometheus watches a collector for each fault, started at once, so that all are seen in one run.
"""

import asyncio
import contextlib
import logging
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web
from tests.collector.conftest import Upstream, collected, response, samples, settings, upstream

from firsttoken import servers
from firsttoken.collector.collector import Collector
from firsttoken.collector.environment import from_environment
from firsttoken.collector.server import Served, application
from firsttoken.collector.settings import Settings
from firsttoken.prometheus import Prometheus

PAGES_FOLDER = Path(__file__).parents[1] / "data" / "pages"
OM = "application/openmetrics-text; version=1.0.0"
QUEUE_PROXY = (
    b"# HELP process_open_fds Open.\n# TYPE process_open_fds gauge\nprocess_open_fds 5\n"
    b"# TYPE queue_depth gauge\nqueue_depth 2\n"
)
APP = (
    b"# HELP process_open_fds Open.\n# TYPE process_open_fds gauge\nprocess_open_fds 9\n"
    b"# TYPE app_total counter\napp_total 3\n"
)
EXEMPLAR = (
    b"# TYPE before gauge\nbefore 1\n# TYPE h histogram\n"
    b'h_bucket{le="1.0"} 1 # {id="x"} 0.5\nh_bucket{le="+Inf"} 2\nh_count 2\nh_sum 3\n'
    b"# TYPE after gauge\nafter 1\n# EOF\n"
)
TYPES = (
    b'# TYPE x counter\nx_total 1\nx_created 5\n# TYPE y info\ny_info{a="b"} 1\n'
    b'# TYPE s stateset\ns{s="on"} 1\ns{s="off"} 0\n# TYPE u unknown\nu 4\n'
    b'# TYPE g gaugehistogram\ng_bucket{le="+Inf"} 4\ng_gcount 4\ng_gsum 8\n'
    b"# TYPE stamped gauge\nstamped 7 %d.5\n# TYPE last gauge\nlast 1\n# EOF\n"
)
NUMBERS = (
    b'# TYPE b histogram\nb_bucket{le="1.0"} 12345678901\nb_bucket{le="+Inf"} 12345678901\n'
    b"b_count 12345678901\nb_sum 2.5\n"
)
LABELLED = b'own{service_name="mine"} 1\nplain 2\n'


def silent(sock: Any) -> None:
    sock.recv(1)


def stamped(sock: Any) -> None:
    """A page that says when it was made, so that it is never too old to be seen."""
    sock.sendall(response(TYPES % (int(time.time()) - 1), OM))


@dataclass
class Watched:
    """What a Prometheus knows after it has scraped all collectors."""

    prometheus: Prometheus
    accepted: list[str]
    """The ``Accept`` headers that came to sources."""

    def value(self, expression: str) -> float | None:
        return self.prometheus.value(expression)

    def types(self, job: str) -> dict[str, str]:
        """Family -> type, as Prometheus read them from a job's target."""
        told = requests.get(
            f"{self.prometheus.url}/api/v1/targets/metadata",
            params={"match_target": f'{{job="{job}"}}'},
            timeout=20,
        ).json()
        return {item["metric"]: item["type"] for item in told["data"]}

    def page(self, job: str) -> str:
        """What a job's target serves in the text format."""
        (target,) = [t for t in self.prometheus.targets() if t["labels"]["job"] == job]
        return requests.get(target["scrapeUrl"], timeout=20).text


class Collectors:
    """Several collectors on one event loop of their own."""

    def __init__(self, configs: dict[str, Settings]) -> None:
        self._configs = configs
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self.targets: dict[str, str] = {}

    async def _run(self, stopped: asyncio.Event) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for name, config in self._configs.items():
                collector = await stack.enter_async_context(Collector(config))
                runner = web.AppRunner(application(Served(collector)), access_log=None)
                await runner.setup()
                stack.push_async_callback(runner.cleanup)
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.targets[name] = f"127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await stopped.wait()

    @contextlib.contextmanager
    def serving(self) -> Iterator[dict[str, str]]:
        stopped = asyncio.Event()
        thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(stopped),))
        thread.start()
        try:
            assert self._ready.wait(60)
            yield self.targets
        finally:
            self._loop.call_soon_threadsafe(stopped.set)
            thread.join()
            self._loop.close()


PAGES: dict[str, tuple[Any, ...]] = {
    "exemplar": (response(QUEUE_PROXY), response(EXEMPLAR, OM)),
    "types": (stamped,),
    "protobuf": (response(b"\x08\x01", "application/vnd.google.protobuf"), response(APP)),
    "both": (response(QUEUE_PROXY), response(APP)),
    "labelled": (response(LABELLED),),
    "untyped": (response(b"# TYPE a_total untyped\na_total 1\nb 2\n"),),
    "no_newline": (response(b"nonl 1"), response(APP)),
    "utf8": (response(b'{"a.b",c="d"} 1\nplain 2\n'),),
    "slow": (silent, silent, response(APP)),
    "down": (response(b"", status=500), response(b"", status=500)),
    "numbers": (response(NUMBERS),),
}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("prometheus")
    asked: list[Upstream] = []
    with contextlib.ExitStack() as stack:
        configs = {}
        for name, answers in PAGES.items():
            sources = [stack.enter_context(upstream(answer)) for answer in answers]
            asked += sources
            configs[name] = settings(*(source.url for source in sources), timeout=60)
        (labelled,) = configs["labelled"].sources
        labels = labelled.model_copy(update={"labels": {"service_name": "chat"}})
        configs["labelled"] = configs["labelled"].model_copy(update={"sources": (labels,)})
        targets = stack.enter_context(Collectors(configs).serving())
        jobs = "".join(
            f"  - job_name: {name}\n    static_configs: [{{targets: ['{target}']}}]\n"
            for name, target in targets.items()
        )
        file = folder / "prometheus.yml"
        file.write_text(
            f"global: {{scrape_interval: 4s, scrape_timeout: 4s}}\nscrape_configs:\n{jobs}"
        )
        running, address = stack.enter_context(servers.prometheus(file, folder))
        prometheus = Prometheus(address)
        servers.wait_until(running, lambda: len(prometheus.query("up")) == len(PAGES), timeout=120)
        accepted = [
            found.group(0)
            for source in asked
            for request in source.requests
            if (found := re.search(r"(?im)^accept:.*$", request.decode()))
        ]
        yield Watched(prometheus, accepted)


@pytest.mark.parametrize("job", sorted(PAGES.keys() - {"down"}))
def test_every_page_is_scraped_whole(watched: Watched, job: str) -> None:
    (target,) = [t for t in watched.prometheus.targets() if t["labels"]["job"] == job]
    where = f'{{job="{job}"}}'

    assert (target["health"], target["lastError"]) == ("up", "")
    scraped = watched.value(f"scrape_samples_scraped{where}")
    assert scraped == watched.value(f"scrape_samples_post_metric_relabeling{where}")
    # Nothing was there twice, and dropped by Prometheus as a duplicate.
    stored = watched.value(f'count({{job="{job}",__name__!~"up|scrape_.*"}})')
    assert scraped == stored


def test_1_an_exemplar_makes_no_false_zeros_and_loses_nothing(watched: Watched) -> None:
    assert watched.value('h_bucket{job="exemplar",le="+Inf"}') == 2
    assert watched.value('h_count{job="exemplar"}') == 2
    assert watched.value('before{job="exemplar"}') == watched.value('after{job="exemplar"}') == 1


def test_2_types_and_help_are_those_of_the_source(watched: Watched) -> None:
    types = watched.types("types")

    assert types["x"] == "counter"
    assert watched.value('x_total{job="types"}') == 1
    assert watched.types("both")["app"] == "counter"
    assert "# HELP process_open_fds Open.\n" in watched.page("both")


def test_3_every_type_of_openmetrics_is_read(watched: Watched) -> None:
    types = watched.types("types")

    assert (types["y"], types["s"], types["g"]) == ("info", "stateset", "gaugehistogram")
    assert watched.value('y_info{job="types",a="b"}') == 1
    assert watched.value('u{job="types"}') == 4
    assert watched.value('g_gsum{job="types"}') == 8
    assert watched.value('last{job="types"}') == 1


def test_4_a_timestamp_in_seconds_is_read(watched: Watched) -> None:
    stamp = watched.value('timestamp(stamped{job="types"})')

    assert watched.value('stamped{job="types"}') == 7
    assert stamp is not None
    assert stamp % 1 == 0.5


def test_5_protobuf_is_never_asked_for_and_costs_nobody_else(watched: Watched) -> None:
    assert watched.accepted
    assert not any("protobuf" in header for header in watched.accepted)
    assert watched.value('app_total{job="protobuf"}') == 3
    assert (
        watched.value('firsttoken_collector_source_up{job="protobuf",firsttoken_source="s0"}') == 0
    )


def test_6_a_family_of_several_sources_is_described_once(watched: Watched) -> None:
    page = watched.page("both")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )

    assert page.count("# HELP process_open_fds ") == page.count("# TYPE process_open_fds ") == 1
    assert checked.returncode in (0, 3), checked.stderr
    for source, value in (("s0", 5), ("s1", 9)):
        where = f'{{job="both",firsttoken_source="{source}"}}'
        assert watched.value(f"process_open_fds{where}") == value


def test_7_a_label_that_a_series_has_is_not_added_again(watched: Watched) -> None:
    assert watched.value('own{job="labelled",service_name="mine"}') == 1
    assert watched.value('plain{job="labelled",service_name="chat"}') == 2


def test_8_what_has_no_type_is_kept_without_one(watched: Watched) -> None:
    assert watched.types("untyped")["a_total"] == "unknown"
    assert watched.value('a_total{job="untyped"}') == 1
    assert watched.value('b{job="untyped"}') == 2


def test_9_a_source_without_a_final_newline_runs_into_nothing(watched: Watched) -> None:
    assert watched.value('nonl{job="no_newline"}') == 1
    assert watched.value('app_total{job="no_newline"}') == 3


def test_10_a_name_in_quotes_costs_no_family(watched: Watched) -> None:
    assert watched.value('a_b{job="utf8",c="d"}') == 1
    assert watched.value('plain{job="utf8"}') == 2


def test_11_slow_sources_share_one_deadline(watched: Watched) -> None:
    took = watched.value('scrape_duration_seconds{job="slow"}')

    assert took is not None
    assert took < 4
    assert watched.value('app_total{job="slow"}') == 3


def test_12_a_pod_whose_sources_are_all_down_is_down(watched: Watched) -> None:
    assert watched.value('up{job="down"}') == 0


def test_13_a_page_that_cannot_be_read_is_one_short_line_in_the_log_and_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = b"".join(b'family_%d{x="y"} 1\n' % row for row in range(1000)) + b"broken {\n"

    async def run(config: Settings) -> None:
        async with Collector(config) as collector:
            for _ in range(3):
                await collector.gather()

    caplog.set_level(logging.DEBUG, "firsttoken")
    with upstream(response(page)) as source:
        asyncio.run(run(settings(source.url)))

    (record,) = caplog.records
    assert len(record.getMessage()) < 200
    assert record.exc_info is None


def test_14_the_order_of_lines_is_the_same_in_every_scrape(watched: Watched) -> None:
    one, two = (
        [line.rpartition(" ")[0] for line in watched.page("both").splitlines()] for _ in "12"
    )

    assert one == two


def test_15_without_a_port_there_is_no_port_by_chance() -> None:
    told = from_environment({"KSERVE_CONTAINER_PROMETHEUS_METRICS_PORT": "8080"})

    assert Settings.model_validate(told).listen == ":9088"
    assert from_environment({"AGGREGATE_PROMETHEUS_METRICS_PORT": ""}) is None


def test_16_without_a_queue_proxy_the_model_server_is_served(watched: Watched) -> None:
    """As in a RawDeployment, and with Knative since 1.19, whose queue-proxy serves no metrics."""
    with upstream(response(APP)) as app:
        config = settings("http://127.0.0.1:1/metrics", app.url)
        answer = collected(config)

    assert [result.up for result in answer.results] == [False, True]
    assert samples(answer.page)["app_total"] == "3"


@pytest.mark.parametrize("release", ["1.18", "1.19", "1.21"])
def test_17_and_19_names_stay_when_knative_changes_its_own(release: str) -> None:
    page = (PAGES_FOLDER / f"queue-proxy-{release}.txt").read_bytes()
    with upstream(response(page)) as proxy:
        served = samples(collected(settings(proxy.url)).page)
    names = {series.partition("{")[0] for series in served}

    assert {
        "http_server_request_duration_seconds_count",
        "kn_serving_invocation_duration_seconds_count",
        "kn_serving_queue_depth",
    } <= names


def test_18_the_page_is_not_larger_than_its_sources(watched: Watched) -> None:
    page = (PAGES_FOLDER.parent / "vllm-0.32.0.prom").read_bytes()
    with upstream(response(page)) as engine:
        served = collected(settings(engine.url, names="passthrough")).page
    own = [
        line
        for line in served.splitlines(keepends=True)
        if b"firsttoken_" in line or b"target_info" in line
    ]

    assert len(served) - sum(map(len, own)) <= len(page)


def test_20_the_text_of_bounds_and_numbers_is_kept(watched: Watched) -> None:
    assert 'b_bucket{le="1.0"} 12345678901\n' in watched.page("numbers")
    assert watched.value('b_bucket{job="numbers",le="1.0"}') == 12345678901


def test_21_an_error_without_a_body_or_a_timeout_does_no_harm() -> None:
    cut = b"HTTP/1.1 500 X\r\nContent-Length: 100\r\n\r\nhalf"
    with upstream(cut) as bad, upstream(response(APP)) as app:
        answer = collected(settings(bad.url, app.url), patience=None)

    assert [result.reason for result in answer.results] == ["status", ""]
