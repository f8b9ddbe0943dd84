"""The catalogue's entries of what stands before a model server: HTTP, and Knative's queue-proxy."""

from firsttoken import attributes as a
from firsttoken.attributes import ERROR_TYPE
from firsttoken.metric import Instrument, Metric, Stability

__all__ = ["METRICS"]

METRICS: tuple[Metric, ...] = (
    Metric(
        "http.server.request.duration",
        Instrument.HISTOGRAM,
        "s",
        "Duration of HTTP server requests.",
        (a.HTTP_METHOD, a.HTTP_ROUTE, a.HTTP_STATUS, a.SERVER_ADDRESS, a.SERVER_PORT, ERROR_TYPE),
        buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
    ),
    Metric(
        "kn.serving.invocation.duration",
        Instrument.HISTOGRAM,
        "s",
        "Time that the container behind Knative's queue-proxy took for a request.",
        (a.HTTP_STATUS, *a.KNATIVE, *a.PLACE),
        Stability.EXTENSION,
    ),
    Metric(
        "kn.serving.queue.depth",
        Instrument.GAUGE,
        "{request}",
        "Requests in Knative's queue-proxy when the last one arrived.",
        (*a.KNATIVE, *a.PLACE),
        Stability.EXTENSION,
    ),
    Metric(
        "http.server.requests",
        Instrument.COUNTER,
        "{request}",
        "HTTP requests answered, by class of status.",
        (a.HTTP_METHOD, a.HTTP_ROUTE, a.HTTP_STATUS, a.HTTP_STATUS_CLASS),
        Stability.EXTENSION,
    ),
)
