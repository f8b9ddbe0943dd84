"""The load generator of one process, as an actor of a Ray cluster; nothing here imports Ray."""

import os
import socket
import tempfile
import time
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from firsttoken.loadgen.plan import Workload
from firsttoken.loadgen.worker import Ended, Share, Snapshot, Worker
from firsttoken.loadgen.workload import plan

__all__ = ["RemoteWorker", "State"]


class State(NamedTuple):
    """What a worker has to say: whole lines of records since it was asked last, and how it goes."""

    lines: bytes
    snapshot: Snapshot


class RemoteWorker:
    """A worker on another machine; ``run`` lasts as long as the run, beside the other calls."""

    def __init__(self, share: Share, workload: Workload) -> None:
        folder = tempfile.mkdtemp(prefix="firsttoken-")
        self._file = Path(folder) / "records.jsonl"
        self._file.touch()
        self._read = 0
        # The whole plan is dealt here, so that a file it comes from is read in one place only.
        sessions = share.shard.deal(plan(share.load, workload))
        self._worker = Worker(share._replace(out=self._file), sessions)

    def prepare(self) -> tuple[str, int]:
        """Write the first requests; returns the machine's name and the process' id."""
        self._worker.prepare()
        return socket.gethostname(), os.getpid()

    def clock(self) -> float:
        """This machine's time."""
        return time.time()

    def run(self, start: float) -> Ended:
        """Run from ``start``, in this machine's time, to the end."""
        self._worker.run(perf_counter() + start - time.time())
        return self._worker.ended()

    def state(self) -> State:
        """How it goes, and what has been recorded since the last time."""
        with self._file.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return State(whole, self._worker.snapshot())

    def stop(self) -> None:
        """End the run soon."""
        self._worker.stop()

    def close(self) -> None:
        """Remove what was written here."""
        self._file.unlink(missing_ok=True)
        self._file.parent.rmdir()
