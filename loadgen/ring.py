"""io_uring, as much of it as reading from many sockets takes: one call fetches what all have got.

A multishot receive (Linux 6.0) is asked for once a connection; from then on the kernel puts what
comes, with the time at which it came, into buffers that all connections share.  The rings are
memory that both sides see; as completions are posted only within this thread's own calls
(``IORING_SETUP_DEFER_TASKRUN``, Linux 6.1), plain loads and stores are enough.

https://kernel.dk/io_uring.pdf, and io_uring_enter(2), io_uring_register(2) of liburing.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import select
import struct
import sys

__all__ = [
    "BUFFER",
    "BUFFER_SIZE",
    "COMPLETION",
    "HEADER",
    "LENGTH",
    "MORE",
    "STAMPED",
    "TIME",
    "Completion",
    "Ring",
]

_SETUP, _ENTER, _REGISTER = 425, 426, 427  # system calls, the same on all processors
_CQSIZE, _SUBMIT_ALL, _SINGLE_ISSUER, _DEFER_TASKRUN = 1 << 3, 1 << 7, 1 << 12, 1 << 13
_GETEVENTS, _EXT_ARG = 1, 1 << 3
_PBUF_RING = 22
_OFF_SQES = 0x10000000
_POLL_ADD, _RECVMSG, _CANCEL = 6, 10, 14
_MULTISHOT, _BUFFER_SELECT, _SKIP_SUCCESS = 1 << 1, 1 << 5, 1 << 6
_SQE = struct.Struct("=BBHiQQIIQHHIQQ")
_WAIT = struct.Struct("=QIIQqq")  # io_uring_getevents_arg, and the time that it points to
_ENTRIES, _COMPLETIONS = 512, 16384
_BUFFERS = 4096
_CONTROL = 32  # of one control message with a time in it
_HARMLESS = {errno.ETIME, errno.EINTR, errno.EBUSY, errno.EAGAIN}

HEADER = 16 + _CONTROL
"""Bytes before the payload of each receive: its lengths, and the message with its time."""
STAMPED, LENGTH, TIME = 4, 8, 32
"""Where a header says how long the message is, 0 without one; how long the payload; and when."""
BUFFER_SIZE = 2048
BUFFER, MORE = 1, 2
"""Flags of a completion: the upper half names the buffer that it filled; others will follow."""
COMPLETION = struct.Struct("=QiI")
Completion = tuple[int, int, int]
"""What was asked for (its key), the result or minus an error number, and flags."""


class Ring:
    """Belongs to the thread that made it.  Raises OSError where the system refuses."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "io_uring is Linux' own")
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        # All of a register's width, else what is above an int's is left to chance.
        self._call.restype, self._call.argtypes = ctypes.c_long, [ctypes.c_long] * 7
        parameters = bytearray(120)
        flags = _CQSIZE | _SUBMIT_ALL | _SINGLE_ISSUER | _DEFER_TASKRUN
        struct.pack_into("=8xI", parameters, 0, flags)
        struct.pack_into("=4xI", parameters, 0, _COMPLETIONS)
        self._fd = self._system(_SETUP, _ENTRIES, _address(parameters))
        try:
            self._map(struct.unpack("=30I", parameters))
        except BaseException:
            os.close(self._fd)
            raise

    def _map(self, told: tuple[int, ...]) -> None:
        """Map the rings, as the kernel laid them out, and give it the buffers."""
        entries, completions = told[0], told[1]
        sq_head, sq_tail, sq_array = told[10], told[11], told[16]
        cq_head, cq_tail, self._cqes = told[20], told[21], told[25]
        size = max(sq_array + 4 * entries, self._cqes + COMPLETION.size * completions)
        self._rings = mmap.mmap(self._fd, size)
        self._sqes = mmap.mmap(self._fd, _SQE.size * entries, offset=_OFF_SQES)
        self._words = memoryview(self._rings).cast("I")
        self._sq_head, self._sq_tail = sq_head // 4, sq_tail // 4
        self._cq_head, self._cq_tail = cq_head // 4, cq_tail // 4
        self._sq_mask, self._cq_mask = entries - 1, completions - 1
        for place in range(entries):
            self._words[sq_array // 4 + place] = place
        self._wait = bytearray(_WAIT.size)
        self._wait_at = _address(self._wait)
        # What a receive fills: no name, one control message.
        self._message = bytearray(struct.pack("=QIxxxxQQQQixxxx", 0, 0, 0, 0, 0, _CONTROL, 0))
        self._message_at = _address(self._message)
        ring = _BUFFERS * 16
        # One more than there are, so that whoever compares parts may look beyond the last.
        self.memory = mmap.mmap(-1, ring + (_BUFFERS + 1) * BUFFER_SIZE)
        self.start = ring
        if hasattr(mmap, "MADV_HUGEPAGE"):  # else each part is in another page
            with contextlib.suppress(OSError):
                self.memory.madvise(mmap.MADV_HUGEPAGE)
        where = _address(self.memory)
        for place in range(_BUFFERS):
            address = where + ring + place * BUFFER_SIZE
            struct.pack_into("=QIH", self.memory, 16 * place, address, BUFFER_SIZE, place)
        self._free = _BUFFERS
        struct.pack_into("=H", self.memory, 14, self._free)
        told_of = bytearray(struct.pack("=QIHHQQQ", where, _BUFFERS, 0, 0, 0, 0, 0))
        self._system(_REGISTER, self._fd, _PBUF_RING, _address(told_of), 1)

    # --- What is asked for ------------------------------------------------------------------------

    def receive(self, fd: int, key: int) -> None:
        """From the next ``enter`` on, complete ``key`` each time that something came."""
        self._ask(_RECVMSG, _BUFFER_SELECT, _MULTISHOT, fd, self._message_at, 1, 0, key)

    def writable(self, fd: int, key: int) -> None:
        """Complete ``key`` once, when the socket can be written to."""
        self._ask(_POLL_ADD, 0, 0, fd, 0, 0, select.POLLOUT, key)

    def cancel(self, key: int) -> None:
        """Give up what was asked for under a key."""
        self._ask(_CANCEL, _SKIP_SUCCESS, 0, -1, key, 0, 0, 0)

    def _ask(
        self, code: int, flags: int, how: int, fd: int, at: int, count: int, op: int, key: int
    ) -> None:
        words = self._words
        if words[self._sq_tail] - words[self._sq_head] & 0xFFFFFFFF > self._sq_mask:
            self.submit()
        tail = words[self._sq_tail]
        place = (tail & self._sq_mask) * _SQE.size
        _SQE.pack_into(
            self._sqes, place, code, flags, how, fd, 0, at, count, op, key, 0, 0, 0, 0, 0
        )
        words[self._sq_tail] = tail + 1 & 0xFFFFFFFF

    # --- What has come ----------------------------------------------------------------------------

    def submit(self) -> None:
        """Ask at once for what is to be asked for."""
        asked = self._words[self._sq_tail] - self._words[self._sq_head] & 0xFFFFFFFF
        if asked:
            self._enter(asked, 0, 0, 0, 0)

    def enter(self, fewest: int, timeout: float) -> None:
        """Ask for what is to be asked for, and wait for ``fewest`` completions for that long."""
        words = self._words
        asked = words[self._sq_tail] - words[self._sq_head] & 0xFFFFFFFF
        nanoseconds = int(timeout * 1e9) if timeout > 0 else 0
        _WAIT.pack_into(
            self._wait, 0, 0, 0, 0, self._wait_at + 24, *divmod(nanoseconds, 1_000_000_000)
        )
        self._enter(asked, fewest, _GETEVENTS | _EXT_ARG, self._wait_at, 24)

    def completions(self) -> bytes:
        """What was completed since the last call, a ``COMPLETION`` behind the other.

        Their buffers stay as they are until ``free``.
        """
        words, mask = self._words, self._cq_mask
        head, tail = words[self._cq_head], words[self._cq_tail]
        start = head & mask
        end = start + (tail - head & 0xFFFFFFFF)
        first = self._cqes + COMPLETION.size * start
        if end <= mask + 1:
            found = self._rings[first : self._cqes + COMPLETION.size * end]
        else:
            found = self._rings[first : self._cqes + COMPLETION.size * (mask + 1)]
            found += self._rings[self._cqes : self._cqes + COMPLETION.size * (end - mask - 1)]
        words[self._cq_head] = tail
        return found

    def free(self, count: int) -> None:
        """Give back as many buffers, those that were filled first.

        The kernel takes buffers in the order in which they lie in their ring, so that those given
        back are always the ones whose entries come next: the entries never have to be written.
        """
        self._free = self._free + count & 0xFFFF
        struct.pack_into("=H", self.memory, 14, self._free)

    def close(self) -> None:
        """Give up all that was asked for."""
        self._words.release()
        self._rings.close()
        self._sqes.close()
        os.close(self._fd)

    def _enter(self, *arguments: int) -> None:
        try:
            self._system(_ENTER, self._fd, *arguments)
        except OSError as exc:
            if exc.errno not in _HARMLESS:
                raise

    def _system(self, number: int, *arguments: int) -> int:
        got: int = self._call(number, *arguments, *(0,) * (6 - len(arguments)))
        if got < 0:
            failed = ctypes.get_errno()
            raise OSError(failed, os.strerror(failed))
        return got


def _address(memory: "bytearray | mmap.mmap") -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
