"""A run over a real Ray of this machine: the one plan, one start, and a worker that is killed."""

import asyncio
import gc
import os
import signal
import socket
import statistics
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from firsttoken.errors import UsageError
from firsttoken.loadgen.plan import Workload
from firsttoken.loadgen.raycluster import RayCrew, connect
from firsttoken.loadgen.record import Run
from firsttoken.loadgen.run import Stop, run_load
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.worker import Share, Snapshot

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [
    # Ray's own threads and sockets end with the process, not with the test.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),
    pytest.mark.timeout(150),
]
WORKERS = 4


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A Ray of this machine alone, with a place for each worker."""
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()
    # What Ray left to the collector is found here, where its warnings are expected, and not in
    # whichever test comes next.
    gc.collect()


def load(**changes: Any) -> LoadFile:
    settings = {
        "arrivals": {"kind": "poisson", "rate": 40},
        "duration": "2s",
        "warmup": "500ms",
        "prompt_tokens": {"kind": "uniform", "low": 8, "high": 64},
        "output_tokens": 4,
        "seed": 5,
    }
    return LoadFile.model_validate(settings | changes)


def on_cluster(
    url: str, settings: LoadFile, watch: Callable[[RayCrew, Snapshot], None] | None = None
) -> Run:
    crews: list[RayCrew] = []
    team = connect(WORKERS)

    def gather(share: Share, workload: Workload) -> RayCrew:
        crews.append(team(share, workload))
        return crews[0]

    def look(snapshot: Snapshot) -> None:
        if watch:
            watch(crews[0], snapshot)

    return asyncio.run(run_load(settings, url, None, Stop(), look, team=gather))


async def answer(stream: Any, body: dict[str, Any]) -> None:
    await stream.tokens(body["max_tokens"], first=0.05, gap=0.01)


def test_four_workers_ask_what_one_process_asks(serve: Callable[..., Any]) -> None:
    fake = serve(answer)
    alone = asyncio.run(run_load(load(), fake.url, None, Stop()))
    bodies = len(fake.bodies)
    run = on_cluster(fake.url, load())
    assert run.schedule_hash == alone.schedule_hash
    assert not run.interrupted
    plans = [
        {(r.index, round(r.intended, 6), r.prompt_target, r.output_target) for r in one.records}
        for one in (alone, run)
    ]
    assert plans[0] == plans[1]
    assert len(fake.bodies) == 2 * bodies
    assert not [record.error for record in run.records if record.error]
    # The server's pauses, as one process sees them; the machine has two cores.
    for one in (alone, run):
        ttft = statistics.median(record.ttft or 0.0 for record in one.records)
        assert 0.0495 < ttft < 0.1
    assert [shard.index for shard in run.shards] == [0, 1, 2, 3]
    assert {shard.host for shard in run.shards} == {socket.gethostname()}
    assert [shard.missing for shard in run.shards] == [0] * WORKERS
    assert sum(shard.asked for shard in run.shards) == len(run.records)
    for shard in run.shards:
        # One machine has one clock.
        assert shard.clock_offset is not None
        assert shard.clock_error is not None
        assert abs(shard.clock_offset) <= shard.clock_error + 0.001
        assert shard.clock_drift is not None


def test_a_worker_that_is_killed_is_said_with_what_is_missing(serve: Callable[..., Any]) -> None:
    killed: list[int] = []

    def kill(crew: RayCrew, snapshot: Snapshot) -> None:
        if snapshot.elapsed > 1 and not killed:
            killed.append(crew.members[2].pid)
            os.kill(crew.members[2].pid, signal.SIGKILL)

    settings = load(duration="3s")
    run = on_cluster(serve(answer).url, settings, kill)
    assert killed
    assert run.interrupted
    lost = [shard for shard in run.shards if shard.lost]
    assert [shard.index for shard in lost] == [2]
    assert lost[0].planned is not None
    assert lost[0].missing is not None
    assert 0 < lost[0].missing < lost[0].planned
    assert lost[0].asked + lost[0].missing == lost[0].planned
    assert f"{lost[0].missing} of its {lost[0].planned} sessions are missing" in str(run.stopped)
    # The others went on to their end; what is measured ends where the load changed.
    assert [shard.missing for shard in run.shards if not shard.lost] == [0, 0, 0]
    assert max(record.intended for record in run.records) > 3
    assert 1 < run.measure[1] < 3


def test_more_workers_than_users_are_refused(serve: Callable[..., Any]) -> None:
    settings = load(arrivals={"kind": "closed", "concurrency": 2})
    with pytest.raises(UsageError, match="4 workers for 2 users"):
        on_cluster(serve(answer).url, settings)


def test_a_run_is_stopped_on_all_workers(serve: Callable[..., Any]) -> None:
    stop = Stop()

    def watch(seen: Snapshot) -> None:
        if seen.done > 8:
            stop.set("enough")

    async def work() -> Run:
        settings = load(arrivals={"kind": "closed", "concurrency": 8}, duration="60s")
        return await run_load(settings, fake.url, None, stop, watch, team=connect(WORKERS))

    fake = serve(answer)
    run = asyncio.run(work())
    assert (run.interrupted, run.stopped) == (True, "enough")
    assert {shard.planned for shard in run.shards} == {None}
    assert len(run.records) > 8
    assert threading.active_count() < 50
