"""A metrics page as families and series, from a server, a file or a text; for looking at, not for
serving: the collector has a reader of its own, made for speed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import requests
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from firsttoken.errors import NotJudgedError, UsageError

__all__ = ["Family", "Sample", "parse", "read"]

_HEADERS = {"Accept": "text/plain;version=0.0.4, */*;q=0.1"}
_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One series; ``suffix`` is what its name has beyond the family's (``_bucket``, ``_sum``)."""

    suffix: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """One family, without a counter's ``_total``; ``kind`` is its declared type, or ``unknown``."""

    name: str
    kind: str
    samples: tuple[Sample, ...]


def read(where: str) -> str:
    """The text of a page at an ``http(s)://`` address or in a file.

    Raises NotJudgedError for a server that gives none, UsageError for a file that cannot be read.
    """
    if "://" not in where:
        try:
            return Path(where).read_text(encoding="utf-8")
        except OSError as exc:
            raise UsageError(f"{where}: cannot be read: {exc.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{where}: is not UTF-8 text") from None
    try:
        answer = requests.get(where, headers=_HEADERS, timeout=_TIMEOUT)
        answer.raise_for_status()
    except requests.HTTPError as exc:
        raise NotJudgedError(f"{where}: {exc.response.status_code} {exc.response.reason}") from None
    except requests.RequestException as exc:
        raise NotJudgedError(f"{where}: cannot be reached: {_reason(exc)}") from None
    return answer.content.decode("utf-8", errors="replace")


def _reason(error: BaseException) -> str:
    """The innermost reason of a failed request, without the library's wrapping."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__


def parse(text: str) -> tuple[Family, ...]:
    """The families of a page in Prometheus' text format or OpenMetrics, in the page's order.

    A family that appears twice is one; a value that is not a number of its own stays NaN.  Raises
    UsageError where the text is neither format.
    """
    is_openmetrics = text.rstrip().endswith("# EOF")
    reader = (
        openmetrics.text_string_to_metric_families
        if is_openmetrics
        else text_string_to_metric_families
    )
    samples: dict[tuple[str, str], list[Sample]] = {}
    try:
        for metric in reader(text):
            found = samples.setdefault((metric.name, metric.type), [])
            for sample in metric.samples:
                suffix = sample.name.removeprefix(metric.name)
                value = math.nan if sample.value is None else float(sample.value)
                found.append(Sample(suffix, dict(sample.labels), value))
    except (ValueError, KeyError, IndexError) as exc:
        raise UsageError(f"not a metrics page: {exc}") from None
    return tuple(
        Family(name, kind, tuple(found)) for (name, kind), found in samples.items() if found
    )
