"""What the server says of itself while it is under load: sampled from the collector's page.

The load generator knows nothing of this; it is put beside its records afterwards.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from firsttoken import catalogue
from firsttoken.catalogue import HW_ID, REQUEST_MODEL, Metric
from firsttoken.errors import NotJudgedError
from firsttoken.loadtest.schema import Seen
from firsttoken.validate.page import Page
from firsttoken.validate.stack import Exporter, Stack

__all__ = ["Nobody", "Observer", "PageObserver", "Watching", "observer", "seen"]

SAMPLE_EVERY_S = 1.0


class Watching:
    """Filled when the watched block has ended; ``seen`` is None where nothing was reported."""

    seen: Seen | None = None


class Observer(Protocol):
    """Who watches the server during a load."""

    def watch(self) -> contextlib.AbstractContextManager[Watching]:
        """Watch while the block lasts."""


class Nobody:
    """Stands where the server's metrics cannot be had."""

    @contextlib.contextmanager
    def watch(self) -> Iterator[Watching]:
        """Nothing is seen."""
        yield Watching()


class PageObserver:
    """Samples a page once a second in a thread of this process, which is not the generator's."""

    def __init__(self, page: Callable[[], Page], model: str) -> None:
        self._page, self._model = page, model

    @contextlib.contextmanager
    def watch(self) -> Iterator[Watching]:
        """Sample until the block is left."""
        pages: list[Page] = []
        over = threading.Event()

        def sample() -> None:
            while True:
                with contextlib.suppress(NotJudgedError, ValueError):
                    pages.append(self._page())
                if over.wait(SAMPLE_EVERY_S):
                    return

        thread = threading.Thread(target=sample, daemon=True)
        watching = Watching()
        thread.start()
        try:
            yield watching
        finally:
            over.set()
            thread.join()
            watching.seen = seen(pages, self._model)


@contextlib.contextmanager
def observer(
    target: str, model: str, exporters: Sequence[Exporter], folder: Path
) -> Iterator[Observer]:
    """An observer behind a collector of its own; one who sees nothing where there is no page."""
    with contextlib.ExitStack() as exits:
        stack = Stack(folder, exits)
        try:
            stack.collector(target, exporters, timeout=5.0)
            stack.page()
        except (NotJudgedError, ValueError):
            yield Nobody()
            return
        yield PageObserver(lambda: stack.page()[0], model)


def seen(pages: Sequence[Page], model: str) -> Seen | None:
    """What the pages of one load come to; None without any that says something."""
    levels = {
        metric: [value for page in pages if (value := _total(page, metric, model)) is not None]
        for metric in (
            *(catalogue.REQUESTS_RUNNING, catalogue.REQUESTS_WAITING, catalogue.PREEMPTIONS),
            *(catalogue.KV_CACHE_UTILIZATION, catalogue.GPU_UTILIZATION, catalogue.POWER),
        )
    }
    if not any(levels.values()):
        return None
    preemptions = levels[catalogue.PREEMPTIONS]
    gpus = max((_gpus(page) for page in pages), default=0)
    utilization = _mean(levels[catalogue.GPU_UTILIZATION])
    return Seen(
        samples=len(pages),
        running_mean=_mean(levels[catalogue.REQUESTS_RUNNING]),
        running_max=max(levels[catalogue.REQUESTS_RUNNING], default=None),
        waiting_mean=_mean(levels[catalogue.REQUESTS_WAITING]),
        waiting_max=max(levels[catalogue.REQUESTS_WAITING], default=None),
        kv_cache_max=max(levels[catalogue.KV_CACHE_UTILIZATION], default=None),
        preemptions=preemptions[-1] - preemptions[0] if preemptions else None,
        gpu_utilization=utilization / gpus if utilization is not None and gpus else None,
        power=_mean(levels[catalogue.POWER]),
        gpus=gpus or None,
    )


def _total(page: Page, metric: Metric, model: str) -> float | None:
    """The sum of a metric's series that carry this model or none."""
    found = [
        value
        for labels, value in page.samples.get(metric.prometheus, {}).items()
        if dict(labels).get(REQUEST_MODEL.label) in (None, model)
    ]
    return sum(found) if found else None


def _gpus(page: Page) -> int:
    """How many GPUs the page speaks of."""
    return len(
        {
            dict(labels).get(HW_ID.label)
            for metric in (catalogue.GPU_UTILIZATION, catalogue.POWER)
            for labels in page.samples.get(metric.prometheus, {})
        }
        - {None}
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
