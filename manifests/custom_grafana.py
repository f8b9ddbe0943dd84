"""The Grafana Operator's kind, ``grafana.integreatly.org``: a dashboard for a Grafana."""

from typing import Annotated, Literal

from pydantic import Field

from firsttoken.manifests.custom import LabelSelector, Part, Resource

__all__ = ["GrafanaDashboard", "GrafanaDashboardSpec"]


class GrafanaDashboardSpec(Part):
    """A dashboard's JSON, and the Grafana that it is for."""

    allow_cross_namespace_import: bool
    folder: str
    instance_selector: LabelSelector
    text: Annotated[str, Field(validation_alias="json", serialization_alias="json")]


class GrafanaDashboard(Resource):
    """A dashboard; read from what the dashboards are written as."""

    api_version: Literal["grafana.integreatly.org/v1beta1"] = "grafana.integreatly.org/v1beta1"
    kind: Literal["GrafanaDashboard"] = "GrafanaDashboard"
    spec: GrafanaDashboardSpec
