"""A page for people: sources, how they are, and what became of each of their families."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from firsttoken.collector.merge import Collision

__all__ = ["console"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #667085; --good: #16803c; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --soft: #98a2b3; --good: #4ade80; --bad: #f97066; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem; }
h2 .up { color: var(--good); } h2 .down { color: var(--bad); }
p { margin: .25rem 0; } .soft { color: var(--soft); } .down { color: var(--bad); }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; table-layout: fixed; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .75rem .2rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; } td, code { font: 13px/1.5 ui-monospace, monospace; }
details { margin: .25rem 0; } summary { cursor: pointer; padding: .15rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; margin: .5rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
"""
_OUTCOMES = (
    ("renamed", "Renamed to what the conventions call them", True),
    ("passed", "Not recognised: under their own names", False),
    ("superseded", "Left out: another family on the page says the same better", False),
    ("dropped", "Left out: not recognised, and the configuration drops such families", False),
)


def console(
    state: Sequence[Mapping[str, Any]], collisions: Sequence[Collision], now: float | None = None
) -> str:
    """The page for the state of a collector; ``now`` is unix time."""
    at = time.time() if now is None else now
    up = sum(bool(source["up"]) for source in state)
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>firsttoken collector: {up} of {len(state)} sources up</title>",
        f"<style>{_STYLE}</style><h1>firsttoken collector</h1>",
        f"<p>{up} of {len(state)} sources up. <a href=metrics>metrics</a> · "
        "<a href=sources>this page as JSON</a> · <a href=readyz>readiness</a></p>",
        *(_source(source, at) for source in state),
    ]
    if collisions:
        rows = ((c.family, c.source, c.reason) for c in collisions)
        parts.append("<h2>Collisions</h2>")
        parts.append(_table(("Family", "Source left out", "Why"), rows))
    return "\n".join(parts)


def _source(source: Mapping[str, Any], now: float) -> str:
    up = source["up"]
    word, kind = {True: ("up", "up"), False: ("down", "down"), None: ("not asked yet", "soft")}[up]
    parts = [
        f"<section id='{escape(source['name'])}'><h2>{escape(source['name'])} "
        f"<span class={kind}>{word}</span></h2>",
        f"<p class=soft><code>{escape(source['url'])}</code></p>",
    ]
    if up is False:
        parts.append(f"<p class=down>{escape(source['reason'])}: {escape(source['error'])}</p>")
    parts.append(_facts(_told(source, now)))
    families = source.get("families", ())
    for outcome, title, is_open in _OUTCOMES:
        rows = [
            (f["family"], f.get("name") if outcome == "renamed" else f.get("why"))
            for f in families
            if f["outcome"] == outcome
        ]
        if rows:
            heads = ("Family", {"renamed": "Name", "passed": "Why"}.get(outcome, ""))
            opened = " open" if is_open else ""
            parts.append(f"<details{opened}><summary>{title} ({len(rows)})</summary>")
            parts.append(f"{_table(heads, rows)}</details>")
    return "\n".join((*parts, "</section>"))


def _told(source: Mapping[str, Any], now: float) -> list[tuple[str, str]]:
    facts = [("Profile", source["profile"] or "none fits")]
    if "samples" in source:
        took = f"{source['duration_seconds'] * 1000:.1f} ms"
        left_out = f", {source['left_out']} not served" if source["left_out"] else ""
        facts.append(
            (
                "Last scrape",
                f"{source['samples']} samples{left_out}, {source['bytes']} bytes, {took}",
            )
        )
    if source["since"]:
        restarts = f", {source['restarts']} restarts seen" if source["restarts"] else ""
        facts.append(("Counts since", f"{_when(source['since'], now)}{restarts}"))
    error = source.get("last_error")
    if error:
        facts.append(
            ("Last error", f"{error['reason']}: {error['error']}, {_when(error['at'], now)}")
        )
    facts += [(name, value) for name, value in source["resource"].items()]
    return facts


def _when(then: float, now: float) -> str:
    ago = max(0, round(now - then))
    shown = datetime.fromtimestamp(then, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{shown} ({ago // 3600} h {ago % 3600 // 60} min {ago % 60} s ago)"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}<dd>{escape(value)}" for name, value in facts)
    return f"<dl>{rows}</dl>"


def _table(heads: Sequence[str], rows: Any) -> str:
    head = "".join(f"<th>{escape(text)}" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell or '')}" for cell in row) for row in rows)
    return f"<table><thead><tr>{head}<tbody>{body}</table>"
