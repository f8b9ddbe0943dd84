"""Objectives held against the client's records, else against what the server reported."""

from collections.abc import Mapping

from firsttoken.loadgen import judge as client
from firsttoken.loadgen.records import Run
from firsttoken.report.judged import judged, located
from firsttoken.report.schema import Objective
from firsttoken.rules.slo import AnyObjective, Availability, Latency, SloFile
from firsttoken.validate.page import Window

__all__ = ["client_objectives", "objectives"]

_METRIC = {"availability": "success"}


def client_objectives(slo: SloFile) -> tuple[client.Objective, ...]:
    """The objectives that a client can see for itself, as the load generator takes them."""
    return tuple(one for objective in slo.objectives for one in _seen_by_client(objective))


def _seen_by_client(objective: AnyObjective) -> tuple[client.Objective, ...]:
    name, target = objective.name, float(objective.ratio)
    if isinstance(objective, Availability):
        return (client.Objective(name, "success", None, target),)
    if isinstance(objective, Latency) and objective.metric != "queue":
        return (client.Objective(name, objective.metric, float(objective.threshold), target),)
    return ()


def objectives(
    slo: SloFile,
    run: Run | None,
    window: Window | None,
    recorded: Mapping[str, float] | None = None,
) -> tuple[Objective, ...]:
    """Every objective of the file, held against what there is.

    ``recorded``: the good share by objective, as Prometheus recorded it with the rules; it judges
    the kinds that neither records nor histograms can, such as a throughput.
    """
    seen = client.judge(run, client_objectives(slo)) if run else ()
    attained = {one.objective.name: one for one in seen}
    return tuple(
        _objective(objective, attained.get(objective.name), run, window, recorded or {})
        for objective in slo.objectives
    )


def _objective(
    objective: AnyObjective,
    seen: client.Attainment | None,
    run: Run | None,
    window: Window | None,
    recorded: Mapping[str, float],
) -> Objective:
    server = _server_share(objective, window)
    latency = objective if isinstance(objective, Latency) else None
    by_client = objective.name in {one.name for one in _seen_by_client(objective)}
    result = Objective(
        name=objective.name,
        kind=objective.kind,
        promise=objective.promise,
        metric=latency.metric if latency else "success" if by_client else objective.kind,
        threshold=float(latency.threshold) if latency else None,
        target=float(objective.ratio),
        judged_by="client" if by_client else "server",
        status="not_judged",
        server_attained=server[0] if server else recorded.get(objective.name),
    )
    if by_client:
        if seen is None or run is None or seen.count == 0:
            return result.model_copy(update={"detail": "no measured request"})
        return located(judged(result, seen.good, seen.count), run)
    if server is not None:
        share, count = server
        return judged(result, round(share * count), count)
    return _by_record(result, recorded.get(objective.name))


def _by_record(result: Objective, share: float | None) -> Objective:
    if share is None:
        detail = "nothing that it counts happened, or it was not recorded"
        return result.model_copy(update={"status": "skipped", "detail": detail})
    status = "passed" if share >= result.target - 1e-9 else "missed"
    detail = "as the rules recorded it in Prometheus"
    return result.model_copy(
        update={
            "status": status, "attained": share, "margin": share - result.target, "detail": detail,
        }
    )  # fmt: skip


def _server_share(objective: AnyObjective, window: Window | None) -> tuple[float, int] | None:
    """The share within the threshold as the server's own buckets have it, and of how many."""
    if window is None or not isinstance(objective, Latency):
        return None
    histogram = window.histogram(objective.catalogue_metric)
    share = histogram.share_within(float(objective.threshold)) if histogram else None
    return None if share is None or histogram is None else (share, round(histogram.count))
