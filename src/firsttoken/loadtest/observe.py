"""What the server says of itself while it is under load: sampled from the collector's page.

The load generator knows nothing of this; it is put beside its records afterwards.
"""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import requests

from firsttoken import catalogue
from firsttoken.attributes import HW_TYPE
from firsttoken.catalogue import HW_ID, REQUEST_MODEL, Metric
from firsttoken.errors import NotJudgedError
from firsttoken.loadtest.schema import Seen
from firsttoken.validate.page import Page, parse
from firsttoken.validate.stack import Exporter, Stack

__all__ = ["Nobody", "Observer", "PageObserver", "Watching", "observer", "seen"]

SAMPLE_EVERY_S = 2.0
GPU = "gpu"


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
    """Fetches a page every two seconds; it is read once the load is over, not beside it."""

    def __init__(self, page: Callable[[], str], model: str) -> None:
        self._page, self._model = page, model

    @contextlib.contextmanager
    def watch(self) -> Iterator[Watching]:
        """Sample until the block is left."""
        pages: list[str] = []
        over = threading.Event()

        def sample() -> None:
            while True:
                with contextlib.suppress(requests.RequestException):
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
            watching.seen = seen([parse(page) for page in pages], self._model)


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
        yield PageObserver(lambda: _text(stack.page_url or ""), model)


def _text(url: str) -> str:
    response = requests.get(url, headers={"Accept": "text/plain;version=0.0.4"}, timeout=10)
    response.raise_for_status()
    return response.text


def seen(pages: Sequence[Page], model: str) -> Seen | None:
    """What the pages of one load come to; None without any that says something."""

    def levels(metric: Metric, combine: Callable[[list[float]], float]) -> list[float]:
        found = (_series(page, metric, model) for page in pages)
        return [combine(list(one.values())) for one in found if one]

    running, waiting = (
        levels(metric, sum) for metric in (catalogue.REQUESTS_RUNNING, catalogue.REQUESTS_WAITING)
    )
    preemptions = levels(catalogue.PREEMPTIONS, sum)
    cache = levels(catalogue.KV_CACHE_UTILIZATION, max)
    power = levels(catalogue.POWER, sum)
    busy = [mean for page in pages if (mean := _busy(page)) is not None]
    if not (running or waiting or cache or power or busy):
        return None
    return Seen(
        samples=len(pages),
        running_mean=_mean(running),
        running_max=max(running, default=None),
        waiting_mean=_mean(waiting),
        waiting_max=max(waiting, default=None),
        kv_cache_max=max(cache, default=None),
        step_tokens=max(_step_tokens(pages, model), default=None),
        preemptions=preemptions[-1] - preemptions[0] if preemptions else None,
        gpu_utilization=_mean(busy),
        power=_mean(power),
        gpus=max((_gpus(page) for page in pages), default=0) or None,
    )


def _series(page: Page, metric: Metric, model: str) -> dict[str, float]:
    """A metric's series that carry this model or none, of GPUs where they are of hardware."""
    return _named(page, metric.prometheus, model)


def _named(page: Page, name: str, model: str) -> dict[str, float]:
    found = {}
    for labels, value in page.samples.get(name, {}).items():
        own = dict(labels)
        if own.get(REQUEST_MODEL.label) in (None, model) and own.get(HW_TYPE.label) in (None, GPU):
            found[str(sorted(labels))] = value
    return found


def _step_tokens(pages: Sequence[Page], model: str) -> Iterator[float]:
    """The mean number of tokens in a step, between each page and the next."""
    name = catalogue.ITERATION_TOKENS.prometheus
    sums = [
        (
            sum(_named(page, f"{name}_sum", model).values()),
            sum(_named(page, f"{name}_count", model).values()),
        )
        for page in pages
    ]
    for (tokens, steps), (more_tokens, more_steps) in itertools.pairwise(sums):
        if more_steps > steps:
            yield (more_tokens - tokens) / (more_steps - steps)


def _busy(page: Page) -> float | None:
    """The mean utilization of the GPUs, of each the busiest of its engines."""
    gpus: dict[str, float] = {}
    for labels, value in page.samples.get(catalogue.GPU_UTILIZATION.prometheus, {}).items():
        name = dict(labels).get(HW_ID.label, "")
        gpus[name] = max(gpus.get(name, 0.0), value)
    return _mean(list(gpus.values()))


def _gpus(page: Page) -> int:
    """How many GPUs the page speaks of."""
    return len(
        {
            dict(labels).get(HW_ID.label)
            for metric in (catalogue.GPU_UTILIZATION, catalogue.GPU_MEMORY_USAGE)
            for labels in page.samples.get(metric.prometheus, {})
        }
        - {None}
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
