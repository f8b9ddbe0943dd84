"""Compare and write dashboards over Grafana's HTTP API.

Endpoints: ``/api/dashboards/uid/UID``, ``/api/dashboards/db`` and ``/api/folders``, which Grafana
10 to 13 have.  The token needs the role Editor on the folder.
"""

import difflib
import json
from collections.abc import Mapping
from typing import Any

import requests

from firsttoken.dashboards.render import to_json
from firsttoken.errors import NotJudgedError

__all__ = ["Grafana", "GrafanaError"]

_OF_THE_SERVER = ("id", "version")
"""Keys that Grafana sets itself."""


class GrafanaError(NotJudgedError):
    """Raised when Grafana cannot be reached or refuses a request."""


class Grafana:
    """One Grafana server, for example ``https://grafana.example.org``."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def dashboard(self, uid: str) -> dict[str, Any] | None:
        """The dashboard as Grafana has it, without what only a server sets; None if it has none."""
        found = self._send("GET", f"dashboards/uid/{uid}", missing=True)
        return None if found is None else _comparable(found["dashboard"])

    def diff(self, ours: Mapping[str, Any]) -> str:
        """A unified diff from Grafana's dashboard to ours; empty when they are the same."""
        theirs = self.dashboard(ours["uid"])
        before = "" if theirs is None else to_json(theirs)
        return "".join(
            difflib.unified_diff(
                before.splitlines(keepends=True),
                to_json(_comparable(ours)).splitlines(keepends=True),
                f"{self.url}/d/{ours['uid']}",
                f"{ours['uid']}.json",
            )
        )

    def push(self, dashboard: Mapping[str, Any], *, folder: str, message: str) -> None:
        """Write a dashboard into a folder (by its uid), over what has the same uid."""
        body = {
            "dashboard": {**dashboard, "id": None},
            "folderUid": folder,
            "message": message,
            "overwrite": True,
        }
        self._send("POST", "dashboards/db", body)

    def folder(self, title: str) -> str | None:
        """The uid of the folder with that title."""
        for folder in self._send("GET", "folders?limit=1000") or ():
            if folder["title"] == title:
                return str(folder["uid"])
        return None

    def make_folder(self, title: str) -> str:
        """Make a folder; returns its uid."""
        made = self._send("POST", "folders", {"title": title})
        return str((made or {})["uid"])

    def _send(
        self, method: str, path: str, body: object = None, *, missing: bool = False
    ) -> Any | None:
        address = f"{self.url}/api/{path}"
        try:
            response = self._session.request(method, address, json=body, timeout=self._timeout)
        except requests.RequestException as exc:
            reason = type(exc).__name__
            raise GrafanaError(f"Grafana at {self.url} cannot be asked: {reason}") from None
        if missing and response.status_code == 404:
            return None
        try:
            answer = response.json()
        except ValueError:
            answer = {}
        if not response.ok:
            said = answer.get("message") or f"HTTP {response.status_code}"
            raise GrafanaError(f"Grafana at {self.url}: {said}: {method} {path}")
        return answer


def _comparable(dashboard: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in dashboard.items() if key not in _OF_THE_SERVER}
    copy: dict[str, Any] = json.loads(json.dumps(kept))
    return copy
