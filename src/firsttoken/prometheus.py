"""A small client of Prometheus' HTTP API: queries, rules, targets; errors name the query."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import requests
from requests.utils import get_netrc_auth

from firsttoken.config import public_address
from firsttoken.errors import NotJudgedError

__all__ = ["Prometheus", "QueryError", "Series"]


LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts from which an answer comes as it is: to compress a small one costs more than its query."""


class QueryError(NotJudgedError):
    """Raised when Prometheus cannot be reached or refuses a query."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a result; ``points`` are (unix seconds, value), one for an instant query."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


class Prometheus:
    """One Prometheus server, for example ``http://127.0.0.1:9090``."""

    def __init__(self, url: str, *, timeout: float = 30.0, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._session = _session(self.url, token)

    def query(self, expression: str, *, at: float | None = None) -> tuple[Series, ...]:
        """An instant query; a scalar comes as one series without labels.  Raises QueryError."""
        parameters = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
        return _series(self._post("query", parameters))

    def query_range(
        self, expression: str, start: float, end: float, step: float
    ) -> tuple[Series, ...]:
        """A range query; times are unix seconds.  Raises QueryError."""
        parameters = {
            "query": expression,
            "start": f"{start:.3f}",
            "end": f"{end:.3f}",
            "step": f"{step:.3f}",
        }
        return _series(self._post("query_range", parameters))

    def value(self, expression: str, *, at: float | None = None) -> float | None:
        """The one value of an instant query; None when there is none or it is NaN."""
        found = self.query(expression, at=at)
        if not found or math.isnan(found[0].last):
            return None
        return found[0].last

    def rule_groups(self) -> list[dict[str, Any]]:
        """The loaded rule groups, as ``/api/v1/rules`` has them."""
        return cast(list[dict[str, Any]], self._get("rules")["groups"])

    def targets(self) -> list[dict[str, Any]]:
        """The active targets, as ``/api/v1/targets`` has them."""
        return cast(list[dict[str, Any]], self._get("targets")["activeTargets"])

    def alerts(self) -> list[dict[str, Any]]:
        """The pending and firing alerts."""
        return cast(list[dict[str, Any]], self._get("alerts")["alerts"])

    def ready(self) -> bool:
        """Whether the server answers that it is ready."""
        try:
            response = self._session.get(f"{self.url}/-/ready", timeout=self._timeout)
        except requests.RequestException:
            return False
        return response.ok

    def version(self) -> str | None:
        """The server's version; None where it does not say."""
        try:
            return str(self._get("status/buildinfo")["version"])
        except (QueryError, KeyError, TypeError):
            return None

    def reload(self) -> None:
        """Read the configuration and the rules again; needs ``--web.enable-lifecycle``."""
        self._checked(lambda: self._session.post(f"{self.url}/-/reload", timeout=self._timeout), "")

    def _get(self, path: str) -> Any:
        address = f"{self.url}/api/v1/{path}"
        return self._data(lambda: self._session.get(address, timeout=self._timeout), path)

    def _post(self, path: str, parameters: Mapping[str, str]) -> Any:
        address = f"{self.url}/api/v1/{path}"
        return self._data(
            lambda: self._session.post(address, data=parameters, timeout=self._timeout),
            parameters["query"],
        )

    def _data(self, send: Any, what: str) -> Any:
        body = self._checked(send, what).json()
        return body["data"]

    def _checked(self, send: Any, what: str) -> requests.Response:
        try:
            response: requests.Response = send()
        except requests.RequestException as exc:
            reason = type(exc).__name__
            raise QueryError(
                f"Prometheus at {public_address(self.url)} cannot be asked: {reason}"
            ) from None
        if not response.ok:
            try:
                reason = response.json()["error"]
            except (ValueError, KeyError, TypeError):
                reason = f"HTTP {response.status_code}"
            raise QueryError(f"Prometheus at {public_address(self.url)}: {reason}: {what}")
        return response


def _session(url: str, token: str | None) -> requests.Session:
    """A session that read once what the environment says of proxies, certificates and passwords.

    Left to itself it reads that anew for each request, which takes as long as all else it does.
    """
    session = requests.Session()
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    else:
        session.auth = get_netrc_auth(url)
    session.trust_env = False
    if urlsplit(url).hostname in LOOPBACK:
        session.headers["Accept-Encoding"] = "identity"
    return session


def _series(data: Mapping[str, Any]) -> tuple[Series, ...]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return (Series({}, ((float(result[0]), float(result[1])),)),)
    if kind == "vector":
        return tuple(
            Series(item["metric"], ((float(item["value"][0]), float(item["value"][1])),))
            for item in result
            if "value" in item
        )
    return tuple(
        Series(item["metric"], tuple((float(t), float(v)) for t, v in item["values"]))
        for item in result
        if "values" in item
    )
