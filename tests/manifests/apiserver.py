"""An API server in a thread: discovery, server-side apply with owners, watches, and its errors."""

import contextlib
import copy
import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["KINDS", "ApiServer", "serving"]

KINDS: dict[str, dict[str, str]] = {
    "v1": {
        "ConfigMap": "configmaps", "Service": "services", "Namespace": "namespaces",
        "PersistentVolumeClaim": "persistentvolumeclaims", "Pod": "pods",
    },
    "apps/v1": {"Deployment": "deployments"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
    "monitoring.coreos.com/v1": {"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"},
}  # fmt: skip
_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?"
)
Key = tuple[str, str, str]


class ApiServer:
    """The state: objects, who owns which of their fields, and which faults to play."""

    def __init__(self) -> None:
        self.kinds = copy.deepcopy(KINDS)
        self.objects: dict[Key, dict[str, Any]] = {}
        self.owners: dict[Key, dict[str, str]] = {}
        self.forbidden: set[tuple[str, str]] = set()
        """Pairs of an HTTP method and a plural."""
        self.busy = 0
        """So many requests are answered with 429 first."""
        self.requests: list[tuple[str, str]] = []
        self.forgotten = 0
        """Up to this version nothing can be watched any more."""
        self.version = 0

    def touched(self, key: Key) -> None:
        """The object is another now."""
        self.version += 1
        self.objects[key]["metadata"]["resourceVersion"] = str(self.version)

    def set_field(self, key: Key, path: str, value: Any, manager: str) -> None:
        """What somebody else does: set one field, such as ``spec.replicas``."""
        _set(self.objects[key], path, value)
        self.owners[key][path] = manager
        self.touched(key)

    def apply(
        self, key: Key, body: dict[str, Any], manager: str, *, force: bool, dry_run: bool
    ) -> tuple[int, dict[str, Any]]:
        """Server-side apply: what a manager gives is its own, what it gives no more goes."""
        live = copy.deepcopy(self.objects.get(key))
        owners = dict(self.owners.get(key, {}))
        given = dict(_leaves(body, ""))
        new = live is None
        live = live or {"metadata": {"uid": f"uid-{len(self.objects)}"}}
        taken = [
            f'conflict with "{owners[path]}": .{path}'
            for path, value in given.items()
            if owners.get(path, manager) != manager and _get(live, path) != value
        ]
        if taken and not force:
            return 409, _status(409, "Conflict", f"Apply failed with 1 conflict: {taken[0]}")
        before = copy.deepcopy(live)
        for path in [p for p, owner in owners.items() if owner == manager and p not in given]:
            _remove(live, path)
            del owners[path]
        for path, value in given.items():
            _set(live, path, value)
            owners[path] = manager
        if new or live != before:
            self.version += 1
            live["metadata"] |= {
                "resourceVersion": str(self.version),
                "generation": live["metadata"].get("generation", 0) + 1,
            }
        live["metadata"]["managedFields"] = [{"manager": name} for name in set(owners.values())]
        if not dry_run:
            self.objects[key], self.owners[key] = live, owners
        return (201 if new else 200), live


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, child in value.items():
            # A dot inside a name is not the one between names.
            yield from _leaves(child, f"{path}.{name.replace('.', '~')}".removeprefix("."))
    else:
        yield path, value


def _steps(path: str) -> list[str]:
    return [step.replace("~", ".") for step in path.split(".")]


def _get(item: Any, path: str) -> Any:
    for step in _steps(path):
        item = item.get(step) if isinstance(item, dict) else None
    return item


def _set(item: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = _steps(path)
    for step in parents:
        item = item.setdefault(step, {})
    item[last] = copy.deepcopy(value)


def _remove(item: dict[str, Any], path: str) -> None:
    *parents, last = _steps(path)
    for step in parents:
        item = item.get(step, {})
    item.pop(last, None)


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def log_message(self, format: str, *_args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""

    def _answer(self, code: int, body: dict[str, Any], **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _handle(self) -> None:
        state = self.server.state
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or b"{}")
        state.requests.append((self.command, self.path))
        if self._discovery(address.path):
            return None
        found = _PATH.fullmatch(address.path)
        version = (found["core"] or found["group"]) if found else ""
        plural = found["plural"] if found else ""
        kinds = {value: kind for kind, value in state.kinds.get(version, {}).items()}
        if found is None or plural not in kinds:
            return self._answer(404, _status(404, "NotFound", "the server has no such resource"))
        if (self.command, plural) in state.forbidden:
            message = f'{plural} is forbidden: User "dev" cannot {self.command.lower()} it'
            return self._answer(403, _status(403, "Forbidden", message))
        if state.busy > 0:
            state.busy -= 1
            status = _status(429, "TooManyRequests", "too many requests")
            return self._answer(429, status, Retry_After="0")
        namespace, name = found["namespace"] or "", found["name"]
        if query.get("watch", "").lower() == "true":
            if ("WATCH", plural) in state.forbidden:
                return self._answer(403, _status(403, "Forbidden", f"cannot watch {plural}"))
            return self._watch(kinds[plural], namespace, query)
        if name is None:
            return self._list(kinds[plural], namespace, query.get("labelSelector", ""))
        return self._object((kinds[plural], namespace, name), body, query)

    do_GET = do_PATCH = do_DELETE = _handle  # noqa: N815 - the library's names

    def _discovery(self, path: str) -> bool:
        kinds = self.server.state.kinds
        if path == "/version":
            self._answer(200, {"major": "1", "minor": "32", "gitVersion": "v1.32.0"})
        elif path == "/apis":
            groups = [version.split("/") for version in kinds if "/" in version]
            listed = [
                {
                    "name": group,
                    "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                    "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
                }
                for group, version in groups
            ]
            self._answer(200, {"kind": "APIGroupList", "groups": listed})
        elif (version := re.sub(r"^/apis?/", "", path)) in kinds:
            resources = [
                {
                    "name": plural, "singularName": kind.lower(), "kind": kind,
                    "namespaced": kind != "Namespace",
                    "verbs": ["get", "list", "watch", "patch", "delete", "create"],
                }
                for kind, plural in kinds[version].items()
            ]  # fmt: skip
            body = {"kind": "APIResourceList", "groupVersion": version, "resources": resources}
            self._answer(200, body)
        else:
            return False
        return True

    def _list(self, kind: str, namespace: str, labels: str) -> None:
        wanted = dict(part.split("=") for part in labels.split(",") if part)
        items = [
            item
            for (own, place, _), item in self.server.state.objects.items()
            if own == kind
            and place == namespace
            and wanted.items() <= item["metadata"].get("labels", {}).items()
        ]
        self._answer(200, {"kind": f"{kind}List", "apiVersion": "v1", "items": items})

    def _watch(self, kind: str, namespace: str, query: dict[str, str]) -> None:
        """A line for each change after a version, until the time that was asked for is over."""
        state, seen = self.server.state, int(query.get("resourceVersion") or 0)
        key = (kind, namespace, query["fieldSelector"].removeprefix("metadata.name="))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if 0 < seen <= state.forgotten:
            self._event("ERROR", _status(410, "Expired", f"too old resource version: {seen}"))
            return self._chunk(b"")
        end = time.monotonic() + float(query["timeoutSeconds"])
        while time.monotonic() < end:
            item = state.objects.get(key)
            if item and (version := int(item["metadata"]["resourceVersion"])) > seen:
                self._event("MODIFIED", item)
                seen = version
            time.sleep(0.01)
        return self._chunk(b"")

    def _event(self, kind: str, item: dict[str, Any]) -> None:
        self._chunk(json.dumps({"type": kind, "object": item}).encode() + b"\n")

    def _chunk(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # whoever watched has seen enough
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

    def _object(self, key: Key, body: dict[str, Any], query: dict[str, str]) -> None:
        state = self.server.state
        if self.command == "PATCH":
            assert self.headers["Content-Type"] == "application/apply-patch+yaml"
            code, answer = state.apply(
                key, body, query["fieldManager"], force=query.get("force", "").lower() == "true",
                dry_run=query.get("dryRun") == "All",
            )  # fmt: skip
            return self._answer(code, answer)
        if key not in state.objects:
            message = f'{key[0]} "{key[2]}" not found'
            return self._answer(404, _status(404, "NotFound", message))
        if self.command == "DELETE":
            del state.objects[key], state.owners[key]
            return self._answer(200, {"kind": "Status", "status": "Success"})
        return self._answer(200, state.objects[key])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, state: ApiServer) -> None:
        self.state = state
        super().__init__(("127.0.0.1", 0), _Handler)


@contextlib.contextmanager
def serving(state: ApiServer) -> Iterator[str]:
    """Serve the state; gives the address."""
    server = _Server(state)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
