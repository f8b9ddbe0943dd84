"""A run over several processes: one plan, dealt out in turn, and one file of records.

Each process sends its share and appends to the same file; this side starts them at one moment,
adds up what they say of themselves, and ends them together.  The messages are pickles over the
pipes of processes that this side has started itself.
"""

import asyncio
import contextlib
import pickle
import signal
import struct
import sys
import threading
from time import perf_counter
from typing import Any, BinaryIO, NamedTuple

from firsttoken.errors import FirstTokenError, NotJudgedError
from firsttoken.loadgen.arrivals import Closed
from firsttoken.loadgen.gauges import Gauges
from firsttoken.loadgen.page import Tally
from firsttoken.loadgen.record import ShardResult
from firsttoken.loadgen.shards import Shard
from firsttoken.loadgen.worker import Ended, Share, Snapshot, Worker, added

__all__ = ["Shards", "main"]

SNAPSHOT_S = 0.9
_SIZE = struct.Struct("I")


class _Failed(NamedTuple):
    error: str


class Shards:
    """The processes of a run, from this side."""

    lead = 0.02

    def __init__(self, share: Share) -> None:
        arrivals, count = share.load.arrivals, share.load.processes
        if isinstance(arrivals, Closed):
            count = min(count, arrivals.concurrency)
        self._shares = [
            share._replace(
                load=Shard(number, count).load(share.load), shard=share.shard.within(number, count)
            )
            for number in range(count)
        ]
        self._processes: list[asyncio.subprocess.Process] = []
        self._snapshots: dict[int, Snapshot] = {}
        self._tallies: dict[int, Tally | None] = {}
        self._ended: dict[int, Ended] = {}
        self._waiting: list[asyncio.Task[None]] = []

    async def prepare(self) -> None:
        """Start the processes and have them write their first requests.

        Raises NotJudgedError when one cannot.
        """
        for share in self._shares:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "firsttoken.loadgen.processes"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            self._processes.append(process)
            self._tell(process, share)
        for process in self._processes:
            await self._hear(process)

    async def run(self, zero: float) -> None:
        """Run from ``zero`` to the end of all of them.  Raises NotJudgedError when one fails."""
        for process in self._processes:
            self._tell(process, zero)
        self._waiting = [
            asyncio.create_task(self._follow(number)) for number in range(len(self._processes))
        ]
        await asyncio.gather(*self._waiting)

    def stop(self) -> None:
        """End the run soon."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()

    async def close(self) -> None:
        """End whatever still runs."""
        for task in self._waiting:
            task.cancel()
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                if process.returncode is None:
                    process.kill()
            await process.wait()

    def snapshot(self) -> Snapshot | None:
        """What the processes said last, together."""
        found = list(self._snapshots.values())
        return added(found) if len(found) == len(self._processes) else None

    def tally(self) -> Tally:
        """What the run's own page shows, of all of them together."""
        whole = Tally()
        for tally in self._tallies.values():
            if tally is not None:
                whole.merge(tally)
        return whole

    def ended(self) -> Ended:
        """How it ended in all of them together."""
        ends = list(self._ended.values())
        stopped = [end.stopped_at for end in ends if end.stopped_at is not None]
        reasons = [end.reason for end in ends if end.reason is not None]
        return Ended(
            min(stopped, default=None),
            reasons[0] if reasons else None,
            Gauges.together([end.gauges for end in ends]),
            sum(end.held_back for end in ends),
            sum(end.turns_dropped for end in ends),
        )

    def shards(self) -> tuple[ShardResult, ...]:
        """None: the processes of one machine are one generator."""
        return ()

    async def _follow(self, number: int) -> None:
        process = self._processes[number]
        while True:
            message = await self._hear(process)
            if isinstance(message, Ended):
                self._ended[number] = message
                if message.stopped_at is not None:
                    self.stop()
                await process.wait()
                return
            self._snapshots[number], self._tallies[number] = message

    def _tell(self, process: asyncio.subprocess.Process, message: object) -> None:
        assert process.stdin is not None  # noqa: S101
        process.stdin.write(_packed(message))

    async def _hear(self, process: asyncio.subprocess.Process) -> Any:
        assert process.stdout is not None  # noqa: S101
        try:
            (size,) = _SIZE.unpack(await process.stdout.readexactly(_SIZE.size))
            message = pickle.loads(await process.stdout.readexactly(size))  # noqa: S301
        except asyncio.IncompleteReadError:
            code = await process.wait()
            raise NotJudgedError(f"a process of the load generator ended with {code}") from None
        if isinstance(message, _Failed):
            raise NotJudgedError(message.error)
        return message


def _packed(message: object) -> bytes:
    data = pickle.dumps(message)
    return _SIZE.pack(len(data)) + data


def _read(file: BinaryIO) -> Any:
    head = file.read(_SIZE.size)
    if len(head) < _SIZE.size:
        return None
    return pickle.loads(file.read(_SIZE.unpack(head)[0]))  # noqa: S301


def main() -> None:
    """One of the processes: told its share and the start, says how it goes, ends with its input."""
    # Ctrl-C reaches all processes of a terminal; the one that started this decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    lock = threading.Lock()

    def say(message: object) -> None:
        with lock, contextlib.suppress(BrokenPipeError):
            sink.write(_packed(message))
            sink.flush()

    share = _read(source)
    if share is None:
        return
    try:
        worker = Worker(share)
        worker.prepare()
        say("ready")
        zero = _read(source)
        if zero is None:
            return
        over = threading.Event()
        threading.Thread(target=_until_told, args=(source, worker), daemon=True).start()
        threading.Thread(target=_report, args=(worker, zero, over, say), daemon=True).start()
        worker.run(zero)
        over.set()
        say((worker.snapshot(), worker.tally))
        say(worker.ended())
    except FirstTokenError as exc:
        say(_Failed(str(exc)))


def _until_told(source: BinaryIO, worker: Worker) -> None:
    source.read()
    worker.stop()


def _report(worker: Worker, zero: float, over: threading.Event, say: Any) -> None:
    over.wait(max(0.0, zero - perf_counter()))
    while not over.wait(SNAPSHOT_S):
        say((worker.snapshot(), worker.tally))


if __name__ == "__main__":
    main()
