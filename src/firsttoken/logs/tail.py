"""Bytes of a log as they come: a file with its rotations, a pipe, or standard input."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from firsttoken.errors import ConfigError

__all__ = ["chunks"]

_CHUNK = 256 * 1024
_POLL_S = 0.25


def chunks(path: Path | None, *, follow: bool, stopped: threading.Event) -> Iterator[bytes]:
    """What is there, and with ``follow`` what comes, until ``stopped``; None is standard input.

    A file that is replaced or cut short is read on from its new beginning.  Raises ConfigError
    when it cannot be read.
    """
    if path is None:
        yield from _until_end(sys.stdin.fileno(), stopped)
        return
    try:
        while not stopped.is_set():
            with path.open("rb", buffering=0) as file:
                yield from _until_end(file.fileno(), stopped)
                if not follow or not path.is_file():
                    return
                yield from _until_replaced(path, file.fileno(), stopped)
            while not stopped.is_set() and not path.exists():  # between two files of a rotation
                stopped.wait(_POLL_S)
    except OSError as exc:
        raise ConfigError(path, [f"cannot be read: {exc.strerror}"]) from None


def _until_end(number: int, stopped: threading.Event) -> Iterator[bytes]:
    while not stopped.is_set() and (data := os.read(number, _CHUNK)):
        yield data


def _until_replaced(path: Path, number: int, stopped: threading.Event) -> Iterator[bytes]:
    """What is appended, until another file has the name; what the old one still got comes too."""
    while not stopped.wait(_POLL_S):
        try:
            replaced = not os.path.samestat(path.stat(), os.fstat(number))
        except FileNotFoundError:
            replaced = True
        yield from _until_end(number, stopped)
        if replaced:
            return
        if os.fstat(number).st_size < os.lseek(number, 0, os.SEEK_CUR):  # cut short in place
            os.lseek(number, 0, os.SEEK_SET)
