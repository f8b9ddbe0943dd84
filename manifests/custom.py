"""What every custom resource of ours has: frozen, typed, and no field that its kind does not have.

The ``kubernetes`` client has models of Kubernetes' own kinds alone.  The ``custom_*`` modules hold
one API group each, and of each kind the fields that a deployment needs; tests hold them against
the kinds' definitions.  Where a definition embeds a kind of Kubernetes' own, a pod's template for
instance, the client's model stands in ours.
"""

from typing import Annotated, Any, TypeVar

from kubernetes import client as k8s
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel

from firsttoken.manifests.render import plain

__all__ = ["LabelSelector", "Native", "ObjectMeta", "Part", "Resource"]

T = TypeVar("T")
Native = Annotated[T, PlainSerializer(plain)]
"""A field that holds one of the ``kubernetes`` client's models."""


def _object_meta(value: Any) -> Any:
    return k8s.V1ObjectMeta(**value) if isinstance(value, dict) else value


ObjectMeta = Annotated[Native[k8s.V1ObjectMeta], BeforeValidator(_object_meta)]


class Part(BaseModel):
    """A structure inside a custom resource, with its keys in camel case."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        arbitrary_types_allowed=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
    )


class LabelSelector(Part):
    """Labels that an object must have."""

    match_labels: dict[str, str]


class Resource(Part):
    """A whole object; each kind adds ``api_version``, ``kind`` and ``spec``."""

    metadata: ObjectMeta
