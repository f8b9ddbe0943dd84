"""Objects in a cluster: read, applied by the server, deleted; its errors as sentences."""

import contextlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kubernetes import client as k8s
from kubernetes import config, dynamic, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError
from urllib3.exceptions import HTTPError

from firsttoken.errors import NotJudgedError, UsageError

__all__ = ["MANAGER", "Cluster", "RefusedError", "title"]

MANAGER = "firsttoken"
"""The name under which this owns fields of objects."""
ATTEMPTS = 4
BUSY = 429
GONE = 410
PATIENCE: dict[str, Any] = {"_request_timeout": (5, 60)}
"""Seconds to connect, and to wait for an answer."""
T = TypeVar("T")


class RefusedError(Exception):
    """Raised when the API server refuses one object; the text says why and what helps."""


def title(item: Mapping[str, Any]) -> str:
    """How an object is called in messages."""
    return f"{item['kind']}/{item['metadata']['name']}"


class Cluster:
    """One cluster through its API server."""

    def __init__(self, api: k8s.ApiClient, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        with tempfile.TemporaryDirectory() as folder:
            # The library would keep what a server knows for good, in a file that all share.
            cache = str(Path(folder) / "discovery.json")
            self._client = self._reach(lambda: dynamic.DynamicClient(api, cache_file=cache))  # type: ignore[no-untyped-call]

    @classmethod
    def connect(cls, kubeconfig: Path | None, context: str | None) -> "Cluster":
        """The cluster of a kubeconfig, or the one that this pod runs in.

        Raises UsageError where neither is found, NotJudgedError where it does not answer.
        """
        try:
            file = str(kubeconfig) if kubeconfig else None
            api = config.new_client_from_config(config_file=file, context=context)  # type: ignore[no-untyped-call]
        except config.ConfigException as exc:
            try:
                config.load_incluster_config()  # type: ignore[no-untyped-call]
            except config.ConfigException:
                raise UsageError(f"no cluster: {str(exc).strip()}") from None
            api = k8s.ApiClient()
        return cls(api)

    def _reach(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except HTTPError as exc:
            reason = getattr(exc, "reason", exc)
            raise NotJudgedError(f"the API server does not answer: {reason}") from None
        except ApiException as exc:
            raise NotJudgedError(f"the API server does not answer: {_said(exc)}") from None

    def get(self, item: Mapping[str, Any]) -> dict[str, Any] | None:
        """The object as the cluster has it, None where it has none; raises RefusedError."""
        resource = self._resource(item)
        metadata = item["metadata"]
        try:
            return self._call(
                item,
                "get",
                lambda: resource.get(
                    name=metadata["name"], namespace=metadata.get("namespace"), **PATIENCE
                ),
            )
        except NotFoundError:
            return None

    def apply(
        self, item: Mapping[str, Any], *, dry_run: bool = False, force: bool = False
    ) -> dict[str, Any]:
        """Apply an object by the server, as our field manager; raises RefusedError."""
        resource = self._resource(item)
        arguments: dict[str, Any] = {"field_manager": MANAGER, "force_conflicts": force, **PATIENCE}
        if dry_run:
            arguments["dry_run"] = "All"
        try:
            return self._call(
                item,
                "patch",
                lambda: self._client.server_side_apply(  # type: ignore[no-untyped-call]
                    resource,
                    body=dict(item),
                    namespace=item["metadata"].get("namespace"),
                    **arguments,
                ),
            )
        except NotFoundError as exc:
            raise RefusedError(_said(exc)) from None

    def delete(self, item: Mapping[str, Any]) -> bool:
        """Delete an object; False where there was none.  Raises RefusedError."""
        resource = self._resource(item)
        metadata = item["metadata"]
        try:
            self._call(
                item,
                "delete",
                lambda: resource.delete(
                    name=metadata["name"], namespace=metadata.get("namespace"), **PATIENCE
                ),
            )
        except NotFoundError:
            return False
        return True

    def list(self, kind: Mapping[str, Any], namespace: str, labels: str) -> list[dict[str, Any]]:
        """The objects of a kind with these labels; raises RefusedError."""
        resource = self._resource(kind)
        found = self._call(
            kind,
            "list",
            lambda: resource.get(namespace=namespace, label_selector=labels, **PATIENCE),
        )
        shared = {"apiVersion": kind["apiVersion"], "kind": kind["kind"]}
        return [shared | item for item in found.get("items", ())]

    def changed(self, item: Mapping[str, Any], seconds: float) -> None:
        """Return when an object is another than ``item``, at the latest after ``seconds``.

        A version that the server has forgotten counts as another.  Where the object may not be
        watched, the time passes.
        """
        metadata = item["metadata"]
        try:
            events = watch.Watch().stream(  # type: ignore[no-untyped-call]
                self._resource(item).get,
                namespace=metadata.get("namespace"),
                field_selector=f"metadata.name={metadata['name']}",
                resource_version=metadata.get("resourceVersion"),
                serialize=False,
                timeout_seconds=max(1, math.ceil(seconds)),
                _request_timeout=(5, seconds + 10),
            )
            with contextlib.closing(events):
                next(events, None)
        except ApiException as exc:
            if exc.status != GONE:
                self._sleep(seconds)
        except (HTTPError, RefusedError):
            self._sleep(seconds)

    def _resource(self, item: Mapping[str, Any]) -> Any:
        version, kind = item["apiVersion"], item["kind"]
        try:
            return self._client.resources.get(api_version=version, kind=kind)
        except ResourceNotFoundError:
            raise RefusedError(
                f"the cluster has no {kind} of {version}; install what defines it"
            ) from None

    def _call(self, item: Mapping[str, Any], verb: str, call: Callable[[], Any]) -> dict[str, Any]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                found: dict[str, Any] = self._reach_server(call).to_dict()
            except NotFoundError:
                raise
            except ApiException as exc:
                if exc.status == BUSY and attempt < ATTEMPTS:
                    self._sleep(float((exc.headers or {}).get("Retry-After", attempt)))
                    continue
                raise RefusedError(_explained(exc, item, verb)) from None
            return found
        raise AssertionError("unreachable")

    @staticmethod
    def _reach_server(call: Callable[[], T]) -> T:
        try:
            return call()
        except HTTPError as exc:
            raise NotJudgedError(
                f"the API server does not answer: {getattr(exc, 'reason', exc)}"
            ) from None


def _said(exc: ApiException) -> str:
    try:
        message = json.loads(exc.body or "")["message"]
    except (TypeError, ValueError, KeyError):
        return f"{exc.status} {exc.reason}"
    return str(message)


def _explained(exc: ApiException, item: Mapping[str, Any], verb: str) -> str:
    said = _said(exc)
    if exc.status == 401:
        return "the API server does not know this account; log in again"
    if exc.status == 403:
        namespace = item["metadata"].get("namespace", "") if "metadata" in item else ""
        where = f" in namespace {namespace}" if namespace else ""
        return f"this account may not {verb} {item['kind']}{where}; a Role must allow it: {said}"
    if exc.status == 409:
        return f"{said}; --force-conflicts takes these fields over"
    return said
