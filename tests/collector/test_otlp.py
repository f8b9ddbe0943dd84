"""The collector as an OTLP source: the same values, bounds and attributes, and honest starts."""

import asyncio
import contextlib
import gzip
import heapq
import itertools
import math
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.collector.conftest import CASES, response, settings, upstream

from firsttoken.attributes import PLACE
from firsttoken.catalogue import METRICS, Instrument, Requirement
from firsttoken.collector.changes import Changes, Key, Window
from firsttoken.collector.collector import Collector
from firsttoken.collector.form import OPENMETRICS
from firsttoken.collector.gathered import Gathered
from firsttoken.collector.health import Sending
from firsttoken.collector.otlp import Exporter
from firsttoken.collector.page import Kind, Role
from firsttoken.collector.push import Clock, Pusher, pushing
from firsttoken.collector.settings import Settings
from firsttoken.otlp import signals
from firsttoken.otlp.background import BackgroundReceiver
from firsttoken.otlp.decode import points
from firsttoken.otlp.receiver import BusyError, Receiver
from firsttoken.otlp.send import sender
from firsttoken.otlp.store import Store
from firsttoken.otlp.values import Explicit, Point, Quantiles

DATA = Path(__file__).parents[1] / "data"
VLLM = (DATA / "vllm-0.32.0.prom").read_bytes()
STARTED = b"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %d\n"


LLAMA = dict.fromkeys(("", "s0", "s1"), (("service.name", "llama"),))


def counter(value: float, started: int | None = None) -> bytes:
    page = f'# TYPE jobs_total counter\njobs_total{{kind="a"}} {value}\n'.encode()
    return page + (STARTED % started if started else b"")


def gather(*pages: bytes, content_type: str = "text/plain; version=0.0.4") -> Gathered:
    """What a collector gathers of sources with these pages."""

    async def once() -> Gathered:
        async with Collector(settings(*(source.url for source in sources))) as collector:
            return await collector.gather()

    sources = []
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(upstream(response(p, content_type))) for p in pages]
        return asyncio.run(once())


def exported(gathered: Gathered, **options: Any) -> list[Point]:
    made = Exporter(began=1.0, **options).export(gathered, 2e9, {})
    return list(points(made.request))


def flat(gathered: Gathered) -> dict[Any, float]:
    """Every sample of what was gathered, cumulative buckets as they are, by what names it."""
    found = {}
    for offer, samples in gathered.points():
        name = offer.metric.name if offer.metric else offer.name
        if name == "target_info":  # the resource
            continue
        for sample in samples:
            if sample.role is not Role.CREATED:
                labels = {k: float(v) if k in ("le", "quantile") else v for k, v in sample.labels}
                found[name, sample.role.value, frozenset(labels.items())] = sample.value
    return found


def unflattened(found: list[Point]) -> dict[Any, float]:
    """The same of what a receiver has."""
    back = {}
    for point in found:
        labels = {name: str(value) for name, value in point.attributes.items()}
        own = frozenset(labels.items())
        if isinstance(point.value, Explicit):
            running = 0
            bounds = (*point.value.bounds, math.inf)
            for bound, count in zip(bounds, point.value.counts, strict=True):
                running += count
                back[point.name, "_bucket", own | {("le", bound)}] = float(running)
            back[point.name, "_count", own] = float(point.value.count)
            if point.value.sum is not None:
                back[point.name, "_sum", own] = point.value.sum
        elif isinstance(point.value, Quantiles):
            back[point.name, "_count", own] = float(point.value.count)
            back[point.name, "_sum", own] = point.value.sum
            for quantile, value in point.value.values:
                back[point.name, "", own | {("quantile", quantile)}] = value
        elif isinstance(point.value, int | float):
            back[point.name, "", own] = point.value
    return back


def test_a_real_engines_page_comes_back_exactly() -> None:
    """Values, bounds and attributes, over the wire and back."""
    gathered = gather(VLLM, (DATA / "pages" / gpu_page()).read_bytes())
    store = Store()

    async def work() -> None:
        async with Receiver(store) as receiver:
            made = Exporter(began=1.0).export(gathered, 2e9, LLAMA)
            assert made.left_out == 0
            packed = gzip.compress(made.request.SerializeToString())
            to = sender(
                signals.METRICS, receiver.http_endpoint, "http/protobuf", headers={}, timeout=5
            )
            async with to:
                assert (await to.send(packed)).kind == "taken"

    asyncio.run(work())

    wanted = {k: v for k, v in flat(gathered).items() if not math.isnan(v)}
    assert len(wanted) > 300
    assert unflattened(list(store.points)) == wanted
    assert {p.resource["service.name"] for p in store.points} == {"llama"}


def gpu_page() -> str:
    return next(p.name for p in sorted((DATA / "pages").iterdir()) if "dcgm" in p.name)


def pages() -> list[bytes]:
    """The newest page of each kind of source, all of them behind one collector."""
    names = (
        *("vllm-0.32.0-everything", "sglang-0.5.18", "tgi-3.3.7", "trtllm-1", "lmdeploy-0.16"),
        *("triton-tensorrt-llm", "llamacpp-b10519", "dcgm-4.5-everything", "dcgm-4.5-mig"),
        *("amd-1.5", "intel-xpumd-2.0", "firsttoken-gpu-mig"),
    )
    return [VLLM, *((DATA / "pages" / f"{name}.txt").read_bytes() for name in names)]


def test_every_metric_sent_is_by_the_catalogue() -> None:
    """Name, unit, instrument, required attributes, their types and their well-known values."""
    known = {metric.name: metric for metric in METRICS}
    found = [p for p in exported(gather(*pages())) if p.name in known]
    kinds = {
        Instrument.COUNTER: ("sum", True),
        Instrument.UPDOWNCOUNTER: ("sum", False),
        Instrument.GAUGE: ("gauge", False),
        Instrument.HISTOGRAM: ("histogram", False),
    }

    sent = {point.name for point in found}
    assert len({name for name in sent if name.startswith("gen_ai.")}) > 60
    assert len({name for name in sent if name.startswith("hw.")}) > 25
    for point in found:
        metric = known[point.name]
        assert (point.kind, point.monotonic) == kinds[metric.instrument]
        assert (point.unit, point.description) == (metric.unit, metric.help)
        names = {attribute.name: attribute for attribute in metric.attributes}
        required = {n for n, a in names.items() if a.requirement is Requirement.REQUIRED}
        assert required <= point.attributes.keys()
        # A source may say more of its own, under names that are no convention's; where its device
        # is; and of what two say alike, which of them it is.
        dotted = {name for name in point.attributes if "." in name}
        assert dotted <= {*names, *(place.name for place in PLACE), "firsttoken.source"}
        assert isinstance(point.attributes.get("server.port", 0), int)
        for name, value in point.attributes.items():
            values = names[name].values if name in names else ()
            assert not values or value in values, f"{point.name}: {name} is {value!r}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_any_openmetrics_page_is_sent_or_counted(case: Path) -> None:
    gathered = gather(case.read_bytes(), content_type=OPENMETRICS.content_type)
    exporter = Exporter(began=1.0)

    made = exporter.export(gathered, 2e9, {})

    apart = [
        sample
        for offer, samples in gathered.points()
        for sample in samples
        if offer.kind is Kind.GAUGE_HISTOGRAM
    ]
    assert made.left_out >= len(apart)
    assert made.points == len(list(points(made.request)))


def watch(*readings: tuple[float, float | None, float], delta: bool) -> list[Window | None]:
    """Windows of one counter read at times, with the source's start and its value."""
    changes = Changes(100.0, delta=delta)
    key = Key("jobs", (), "s0")
    found = []
    for at, since, value in readings:
        found.append(changes.window(key, since, at, (value,)))
        changes.end(at)
    return found


def test_a_restart_that_the_source_tells_moves_the_start() -> None:
    assert watch((110, 50, 7), (120, 50, 9), (130, 125, 2), delta=False) == [
        Window(50, (7,)),
        Window(50, (9,)),
        Window(125, (2,)),
    ]


def test_a_counter_that_falls_began_anew_whatever_its_source_says() -> None:
    """Or it would go backwards at the receiver."""
    assert watch((110, 50, 7), (120, 50, 3), (130, 50, 4), delta=False) == [
        Window(50, (7,)),
        Window(110, (3,)),
        Window(110, (4,)),
    ]


def test_a_delta_is_what_was_counted_since_the_last_one() -> None:
    assert watch((110, 50, 7), (120, 50, 9), (130, 125, 2), (140, 125, 2), delta=True) == [
        None,  # counted before the watching began: nobody knows what of it was sent already
        Window(110, (2,)),
        Window(125, (2,)),
        Window(130, (0,)),
    ]


def test_the_first_delta_of_a_process_that_began_since_is_all_it_counted() -> None:
    assert watch((110, 105, 7), delta=True) == [Window(105, (7,))]


def test_the_first_delta_of_a_series_that_was_not_there_before_is_all_of_it() -> None:
    """As the first aborted request of a server that is watched for long."""
    changes = Changes(100.0, delta=True)
    changes.window(Key("jobs", (), "s0"), 50, 110, (1,))
    changes.end(110)

    assert changes.window(Key("lost", (), "s0"), 50, 120, (1,)) == Window(110, (1,))


steps = st.lists(
    st.tuples(st.integers(0, 50), st.booleans()), min_size=1, max_size=20
)  # grown by, or began anew


@given(steps)
def test_deltas_add_up_and_cumulative_values_never_fall_within_a_start(
    changes: list[tuple[int, bool]],
) -> None:
    value, grown, readings = 0, 0, []
    for number, (more, anew) in enumerate([(0, False), *changes]):
        value = more if anew else value + more
        grown += more
        readings.append((110.0 + number, 101.0, float(value)))

    deltas = [w for w in watch(*readings, delta=True) if w is not None]
    kept = [w for w in watch(*readings, delta=False) if w is not None]

    # A restart after which more is counted than before cannot be seen from values alone.
    assert sum(w.values[0] for w in deltas) <= grown
    assert all(w.values[0] >= 0 for w in deltas)
    for one, two in itertools.pairwise(kept):
        assert two.start > one.start or two.values[0] >= one.values[0]
    for one, two in itertools.pairwise(deltas):
        assert two.start >= one.start


def test_a_histogram_whose_buckets_fall_is_left_out_and_counted() -> None:
    page = (
        b'# TYPE h histogram\nh_bucket{le="1"} 5\nh_bucket{le="2"} 4\nh_bucket{le="+Inf"} 6\n'
        b"h_sum 3\nh_count 6\n# TYPE n counter\nn_total NaN\n"
    )
    made = Exporter(began=1.0).export(gather(page), 2e9, {})

    assert made.left_out == 6
    assert "h" not in {point.name for point in points(made.request)}


def configured(url: str, endpoint: str, **otlp: Any) -> Settings:
    given: Mapping[str, Any] = {"endpoint": endpoint, "interval": "50ms", **otlp}
    return settings(url, otlp=given)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a socket
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_is_gathered_arrives_and_is_counted(protocol: str) -> None:
    store = Store()

    async def work(url: str) -> None:
        async with Receiver(store) as receiver:
            to = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
            conf = configured(url, to, protocol=protocol)
            assert conf.otlp is not None
            async with Collector(conf) as c, pushing(lambda: c, conf.otlp) as pusher:
                await until(lambda: store.requests >= 3)
                assert pusher.sending.sent > 0
                page = (await c.answer(OPENMETRICS)).page.decode()
                assert "firsttoken_collector_otlp_queue_length" in page
                assert re.search(r'otlp_points_total\{.*outcome="sent"\} [1-9]', page)

    with upstream(response(counter(3, 1_700_000_000))) as source:
        asyncio.run(work(source.url))

    own = {p.resource["service.name"] for p in store.points if ".collector." in p.name}
    assert own == {"firsttoken-collector"}
    assert {p.resource["service.name"] for p in store.points if p.name == "jobs_total"} == {"s0"}
    (jobs,) = {(p.value, p.start, p.temporality) for p in store.points if p.name == "jobs_total"}
    assert jobs == (3.0, 1_700_000_000 * 10**9, "cumulative")


class Minutes:
    """Time that passes when everybody waits for it: sockets are real, waits are not."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._number = itertools.count()
        self.clock = Clock(lambda: 1e9 + self.now, lambda: self.now, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self.now + seconds, next(self._number), woken))
        await woken

    async def passed(self, seconds: float, pusher: Pusher) -> None:
        """Let time pass, from one wait that ends to the next, up to a moment before its end."""

        def nobody_works() -> bool:
            # It sends while there is something to send, else it waits for that and not for a time.
            return len(self._waiting) == (2 if pusher.sending.waiting else 1)

        end = self.now + seconds
        await until(nobody_works)
        while self._waiting[0][0] < end:
            self.now, _, woken = heapq.heappop(self._waiting)
            woken.set_result(None)
            await until(nobody_works)
        self.now = end


OUTAGES: dict[str, tuple[dict[str, Any], int, int]] = {
    "by default": ({}, 4, 4),
    "every second": ({"interval": "1s"}, 60, 60),
    "more than the queue holds": ({"interval": "1s", "queue": 40}, 60, 40),
    "one and no more": ({"interval": "1s", "queue": 1}, 60, 1),
}


@pytest.mark.parametrize(
    ("case", "protocol"),
    [*((case, "http/protobuf") for case in OUTAGES), ("more than the queue holds", "grpc")],
)
def test_of_a_minutes_outage_all_that_the_queue_holds_arrives(case: str, protocol: str) -> None:
    """And what it cannot hold is counted; the values come in the order of their time."""
    given, scrapes, held = OUTAGES[case]
    store, values, port, time = Store(), itertools.count(1), free_port(), Minutes()

    def receiver() -> Receiver:
        of_grpc = protocol == "grpc"
        return Receiver(store, grpc_port=port if of_grpc else 0, http_port=0 if of_grpc else port)

    async def work(url: str) -> Sending:
        endpoint = {"endpoint": f"http://127.0.0.1:{port}", "protocol": protocol}
        conf = settings(url, otlp=endpoint | given)
        assert conf.otlp is not None
        interval = conf.otlp.interval
        async with (
            contextlib.AsyncExitStack() as later,
            Collector(conf) as collector,
            pushing(lambda: collector, conf.otlp, time.clock) as pusher,
        ):
            async with receiver():
                await time.passed(3 * interval, pusher)
            assert jobs_of(store) == [1.0, 2.0, 3.0]
            await time.passed(60.0, pusher)
            assert pusher.sending.waiting == held
            assert (pusher.sending.dropped > 0) == (held < scrapes)
            await later.enter_async_context(receiver())
            # One pause between tries, at most, in which scrapes go on.
            while pusher.sending.waiting > 0:
                await time.passed(interval, pusher)
        return pusher.sending

    with upstream(lambda sock: sock.sendall(response(counter(next(values))))) as source:
        sent = asyncio.run(work(source.url))

    found = jobs_of(store)
    missing = sorted(set(range(1, int(found[-1]) + 1)) - set(map(int, found)))
    assert found == sorted(set(found))
    # The oldest go first, so that they are the first of the outage.
    assert missing == list(range(4, 4 + len(missing)))
    assert len(missing) >= scrapes - held
    assert (missing == []) == (held == scrapes)
    assert sent.sent == len(store.points)
    assert sent.dropped == len(missing) * (sent.sent // len(found))
    assert sent.rejected == 0


def jobs_of(store: Store) -> list[float]:
    named = (p.value for p in store.points if p.name == "jobs_total")
    return [value for value in named if isinstance(value, float)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_what_a_receiver_refuses_for_good_is_counted_and_not_tried_again() -> None:
    requests = 0

    def busy(_: Message) -> None:
        nonlocal requests
        requests += 1
        if requests == 1:
            raise BusyError

    async def work(url: str) -> None:
        async with Receiver(busy) as receiver:
            wrong = f"{receiver.http_endpoint}/v1/nothing"
            conf = configured(url, wrong)
            assert conf.otlp is not None
            async with Collector(conf) as c, pushing(lambda: c, conf.otlp) as pusher:
                await until(lambda: pusher.sending.rejected > 0)
                assert pusher.sending.sent == 0

    with upstream(response(counter(1))) as source:
        asyncio.run(work(source.url))
    assert requests == 0


def test_an_endpoint_with_a_secret_or_without_a_host_is_refused() -> None:
    for endpoint in ("collector:4317", "http://user:secret@host:4318", "ftp://x"):
        with pytest.raises(ValidationError, match="expected http://HOST:PORT"):
            configured("http://127.0.0.1:1", endpoint)


def test_the_command_pushes_and_sends_the_last_values_when_it_ends(tmp_path: Path) -> None:
    store = Store()
    with (
        upstream(response(counter(3, 1_700_000_000))) as source,
        BackgroundReceiver(store) as receiver,
    ):
        config = tmp_path / "collector.yaml"
        config.write_text(
            f"listen: 127.0.0.1:0\nsources: [{{name: jobs, url: {source.url!r}}}]\n"
            f"otlp: {{endpoint: {receiver.grpc_endpoint!r}, protocol: grpc, interval: 1h}}\n"
        )
        command = [sys.executable, "-m", "firsttoken", "collect", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("listening ")
            asyncio.run(until(lambda: store.requests >= 1))
            process.terminate()
            assert process.wait(60) == 0

    assert store.requests == 2  # the first, and what there was at the end
    assert jobs_of(store) == [3.0, 3.0]
    assert {p.resource["service.name"] for p in store.points if p.name == "jobs_total"} == {"jobs"}
