"""Where a model's files come from, and what a pod needs to reach them."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from kubernetes import client as k8s

__all__ = ["MODEL_DIR", "Location", "Source", "parse"]

MODEL_DIR = "/mnt/models"
"""Where KServe puts a model, and where claims and image volumes are mounted here."""
_IN_IMAGE = "models"
"""The folder of a modelcar image that holds the model."""

Source = Literal["hub", "path", "pvc", "oci", "s3"]
_FETCHED: dict[str, Source] = {"pvc": "pvc", "oci": "oci", "s3": "s3"}


@dataclass(frozen=True, slots=True)
class Location:
    """A model's place: ``uri`` as KServe writes it, empty for a path inside the container."""

    source: Source
    uri: str
    rest: str

    @property
    def argument(self) -> str:
        """What ``vllm serve`` is given when nobody but the pod itself fetches the files."""
        if self.source == "pvc":
            path = self.rest.partition("/")[2]
            return f"{MODEL_DIR}/{path}".rstrip("/")
        if self.source == "oci":
            return f"{MODEL_DIR}/{_IN_IMAGE}"
        return self.uri if self.source == "s3" else self.rest

    @property
    def volume(self) -> k8s.V1Volume | None:
        """The volume that holds the files, for a claim or an image."""
        if self.source == "pvc":
            claim = k8s.V1PersistentVolumeClaimVolumeSource(
                claim_name=self.rest.partition("/")[0], read_only=True
            )
            return k8s.V1Volume(name="model", persistent_volume_claim=claim)
        if self.source == "oci":
            image = k8s.V1ImageVolumeSource(reference=self.rest, pull_policy="IfNotPresent")
            return k8s.V1Volume(name="model", image=image)
        return None


def parse(model: str) -> Location:
    """The place of a model; raises ValueError for an address that nothing here can read."""
    parts = urlsplit(model)
    rest = model.partition("://")[2]
    if "://" not in model:
        if model.startswith("/"):
            return Location("path", "", model)
        return Location("hub", f"hf://{model}", model)
    if not rest or rest.startswith("/"):
        raise ValueError(f"{parts.scheme}:// needs a name behind it")
    if parts.scheme == "hf":
        return Location("hub", model, rest)
    source = _FETCHED.get(parts.scheme)
    if source is not None:
        return Location(source, model, rest)
    raise ValueError(
        "expected a hub id, a path, or an address that begins with hf://, pvc://, oci:// or s3://"
    )
