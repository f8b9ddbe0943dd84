"""Grafana's own descriptions of a dashboard accept ours."""

import json
import warnings
from typing import Any

import pytest

from firsttoken.dashboards.render import dashboards


def lost(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """The places where a value of ours did not come back as it was."""
    if isinstance(ours, dict):
        absent = [
            f"{path}.{k}" for k, v in ours.items() if k not in theirs and v not in (None, {}, [])
        ]
        shared = [key for key in ours if key in theirs]
        return absent + [x for key in shared for x in lost(ours[key], theirs[key], f"{path}.{key}")]
    if isinstance(ours, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [x for i, (a, b) in pairs for x in lost(a, b, f"{path}[{i}]")]
    return [] if ours == theirs or ours is None else [path]


@pytest.mark.parametrize("uid", dashboards())
def test_grafanas_sdk_reads_and_writes_it_without_losing_anything(uid: str) -> None:
    with warnings.catch_warnings():  # it would rather have the schema that files cannot use yet
        warnings.simplefilter("ignore", DeprecationWarning)
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.cog.plugins import register_default_plugins
        from grafana_foundation_sdk.models.dashboard import Dashboard

        register_default_plugins()
    ours = dashboards()[uid]

    theirs = json.loads(json.dumps(Dashboard.from_json(ours), cls=JSONEncoder))

    assert lost(ours, theirs) == []
