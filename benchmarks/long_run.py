"""What a long run keeps: the most memory of ``firsttoken load run`` over very many short requests.

``python -m benchmarks.long_run [REQUESTS]`` (a million); a line every half minute, and at the end.
Takes some minutes, half of them for the summary, which reads the records from their file.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.truth import can_build, started

__all__ = ["report"]

_EVERY_S = 30.0


def report(requests: int) -> None:
    """Run so many requests of one token, as fast as 32 users get them, and print the memory."""
    with started([]) as server, tempfile.TemporaryDirectory() as folder:
        server.configure(ttft_us=2000, itl_us=0, sync=0, ntok=0, tpc=1)
        load, records = Path(folder) / "load.yaml", Path(folder) / "records.jsonl"
        load.write_text(
            f"api: completions\nduration: 2h\nrequests: {requests}\n"
            "arrivals: {kind: closed, concurrency: 32}\nprompt_tokens: 16\noutput_tokens: 1\n"
        )
        command = [sys.executable, "-m", "firsttoken", "load", "run", "--target", server.url]
        begun, most, told = time.monotonic(), 0.0, 0.0
        process = subprocess.Popen(
            [*command, "--load", str(load), "--out", str(records), "--quiet"],
            stdout=subprocess.DEVNULL,
        )
        while process.poll() is None:
            now = _memory_mb(process.pid)
            most, elapsed = max(most, now), time.monotonic() - begun
            if elapsed >= told:
                size = records.stat().st_size / 1e6 if records.exists() else 0.0
                print(f"{elapsed:6.0f} s{now:8.0f} MB, records {size:.0f} MB", flush=True)
                told += _EVERY_S
            time.sleep(0.1)
        with records.open(encoding="utf-8") as file:
            count = sum(1 for _ in file) - 2  # what the run was, and how it ended
    elapsed = time.monotonic() - begun
    print(f"{count} requests in {elapsed:.0f} s with the summary: at most {most:.0f} MB")


def _memory_mb(pid: int) -> float:
    try:
        told = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", told)
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    if can_build():
        report(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    else:
        print("long run: not measured, there is no C compiler (cc)")
