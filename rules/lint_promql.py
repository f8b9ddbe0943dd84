"""Checks of an expression: what Prometheus evaluates and yet does not mean what its author meant.

Names and intent follow Cloudflare's pint.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import promql_parser as promql
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatchOp,
    MatrixSelector,
    NumberLiteral,
    SubqueryExpr,
    VectorSelector,
)

from firsttoken.catalogue import METRICS, Instrument
from firsttoken.config import format_duration
from firsttoken.rules.bounds import Version
from firsttoken.rules.syntax import (
    COMPARISONS,
    ancestors,
    bare,
    carried,
    has_surely,
    is_filter,
    nodes,
    operator,
    ranges,
)

__all__ = ["EXPRESSION_CHECKS", "Settings"]

_RATES = frozenset({"rate", "irate", "increase", "resets"})
_COUNTERS_MAY = (
    frozenset(
        {
            "absent",
            "absent_over_time",
            "count_over_time",
            "present_over_time",
            "timestamp",
            "changes",
        }
    )
    | _RATES
)
_GAUGES = frozenset(
    metric.prometheus
    for metric in METRICS
    if metric.instrument in (Instrument.GAUGE, Instrument.UPDOWNCOUNTER)
)
_COUNTER_NAME = re.compile(r"(?i)_total$")
_PLAIN = re.compile(r"[a-zA-Z0-9_:/ -]*")


@dataclass(frozen=True, slots=True)
class Settings:
    """What depends on the Prometheus; seconds, 0 where it is not known."""

    scrape: int
    retention: int = 0
    target: Version = (2, 42)
    recording: bool = False
    """Whether the expression is recorded rather than alerted on."""


Check = Callable[[Expr, Settings], Iterator[str]]


def _calls(root: Expr, names: frozenset[str]) -> Iterator[Call]:
    for node in nodes(root):
        if isinstance(node, Call) and node.func.name in names:
            yield node


def _selectors(root: Expr) -> Iterator[VectorSelector]:
    for node in nodes(root):
        if isinstance(node, VectorSelector):
            yield node


def rate(root: Expr, settings: Settings) -> Iterator[str]:
    """Rates over too few scrapes, of aggregates, and of what is no counter."""
    for call in _calls(root, _RATES | {"delta", "deriv"}):
        over = bare(call.args[0])
        name = call.func.name
        if isinstance(over, MatrixSelector):
            seconds = over.range.total_seconds()
            if seconds < 2 * settings.scrape:
                window = format_duration(seconds)
                yield f"{name} over {window} holds fewer than two scrapes of {settings.scrape}s"
            series = over.vector_selector.name
            if name in _RATES and series in _GAUGES:
                yield f"{name} of {series}, which is a gauge; delta and deriv are for those"
        if isinstance(over, SubqueryExpr) and name in _RATES:
            inner = bare(over.expr)
            if isinstance(inner, AggregateExpr):
                yield f"{name} of an aggregate hides counter resets; aggregate the rates"


def counter(root: Expr, _: Settings) -> Iterator[str]:
    """Counters whose value is used as it is: it only grows, and falls to 0 at a restart."""
    for node, above in ancestors(root):
        if not isinstance(node, VectorSelector) or not _COUNTER_NAME.search(node.name or ""):
            continue
        if any(isinstance(one, Call) and one.func.name in _COUNTERS_MAY for one in above):
            continue
        if any(isinstance(one, AggregateExpr) and operator(one) in ("count", "group")
               for one in above):  # fmt: skip
            continue
        if any(isinstance(one, BinaryExpr) and operator(one) in COMPARISONS for one in above):
            yield f"compares the counter {node.name} itself, which only grows; take its rate"


def nan(root: Expr, settings: Settings) -> Iterator[str]:
    """Ratios that are NaN while nothing happens, recorded or aggregated."""
    for node, above in ancestors(root):
        if not isinstance(node, BinaryExpr) or operator(node) != "/":
            continue
        if not _may_be_zero(node.rhs):
            continue
        if any(isinstance(one, AggregateExpr) for one in above):
            yield "divides within an aggregation: one NaN makes all of it NaN; divide last"
        elif settings.recording:
            yield "divides by what may be 0 and so records NaN; divide by (... > 0)"


def _may_be_zero(node: Expr) -> bool:
    node = bare(node)
    if isinstance(node, BinaryExpr) and operator(node) in COMPARISONS:
        return False
    if isinstance(node, Call) and node.func.name in ("clamp_min", "vector"):
        return False
    if isinstance(node, VectorSelector):
        return ":rate" in (node.name or "")
    return any(isinstance(one, Call) and one.func.name in _RATES for one in nodes(node))


def bounds(root: Expr, _: Settings) -> Iterator[str]:
    """Bucket bounds in the spelling of one exporter and one Prometheus only."""
    found = {
        matcher.value
        for selector in _selectors(root)
        for matcher in selector.matchers.matchers
        if matcher.name in ("le", "quantile") and matcher.op == MatchOp.Equal
    }
    for bound in sorted(found):
        if re.fullmatch(r"[0-9]+(\.0)?", bound):
            whole = bound.removesuffix(".0")
            yield f'le="{bound}" matches one spelling of the bound only; le=~"{whole}([.]0)?" both'


def comparison(root: Expr, settings: Settings) -> Iterator[str]:
    """Alerts that fire whenever there is a series."""
    if not settings.recording and not is_filter(root):
        yield "compares nothing, so it fires whenever there is a series"


def dead(root: Expr, settings: Settings) -> Iterator[str]:
    """Counts of nothing, which are no value and not 0."""
    if settings.recording:
        return
    for node in nodes(root):
        if not isinstance(node, BinaryExpr) or operator(node) not in ("<", "<=", "=="):
            continue
        counted, limit = bare(node.lhs), bare(node.rhs)
        if not isinstance(counted, AggregateExpr) or operator(counted) != "count":
            continue
        zero = isinstance(limit, NumberLiteral) and limit.val == 0
        if zero or (operator(node) != "==" and is_filter(counted.expr)):
            yield "count() of nothing is no value, not 0: it cannot fire when all are gone"


def matching(root: Expr, _: Settings) -> Iterator[str]:
    """Joins that no two series can meet."""
    for node in nodes(root):
        if not isinstance(node, BinaryExpr) or operator(node) == "or" or not _two_vectors(node):
            continue
        modifier = node.modifier.matching if node.modifier else None
        sides = (("left", node.lhs), ("right", node.rhs))
        if modifier is not None and modifier.type == promql.LabelModifierType.Include:
            for label in modifier.labels:
                for side, one in sides:
                    if has_surely(one, label) is False:
                        yield f"joins on {label}, which the {side} side does not have"
            continue
        ignored = set(modifier.labels) if modifier is not None else set()
        yield from _unequal(node, ignored)


def _two_vectors(node: BinaryExpr) -> bool:
    return all(
        any(isinstance(one, VectorSelector) for one in nodes(side)) for side in (node.lhs, node.rhs)
    )


def _unequal(node: BinaryExpr, ignored: set[str]) -> Iterator[str]:
    left, right = carried(node.lhs), carried(node.rhs)
    if left is not None and right is not None:
        labels = (left ^ right) - ignored
    else:
        labels = frozenset({"le"}) - ignored
    for label in sorted(labels):
        has = has_surely(node.lhs, label), has_surely(node.rhs, label)
        if (has[0] and has[1] is False) or (has[1] and has[0] is False):
            yield (
                f"joins series of which only one side has {label}, so that none meet; aggregate"
                " both, or ignore it"
            )


def regexp(root: Expr, _: Settings) -> Iterator[str]:
    """Regular expressions that are not needed, or anchored although Prometheus does that."""
    for selector in _selectors(root):
        for matcher in selector.matchers.matchers:
            if matcher.op not in (MatchOp.Re, MatchOp.NotRe):
                continue
            sign, plain = ("=~", "=") if matcher.op == MatchOp.Re else ("!~", "!=")
            text = f'{matcher.name}{sign}"{matcher.value}"'
            if matcher.value.startswith("^") or matcher.value.endswith("$"):
                yield f"{text}: is anchored without ^ and $"
            elif _PLAIN.fullmatch(matcher.value):
                yield f"{text}: needs no regular expression, {plain} is enough"


def fragile(root: Expr, _: Settings) -> Iterator[str]:
    """What fires anew, or stops to match, when a label comes or the order changes."""
    for node, above in ancestors(root):
        if isinstance(node, AggregateExpr) and operator(node) in ("topk", "bottomk", "limitk"):
            yield f"{operator(node)} changes its series all the time, so alerts come and go"
        without = (
            isinstance(node, AggregateExpr)
            and node.modifier is not None
            and node.modifier.type == promql.AggModifierType.Without
        )
        joined = any(isinstance(one, BinaryExpr) and _two_vectors(one) for one in above)
        if without and joined:
            yield "joins an aggregation with without(): a new label on one side ends the match"


def look_back(root: Expr, settings: Settings) -> Iterator[str]:
    """Ranges beyond what Prometheus keeps."""
    longest = max((seconds for seconds, _ in ranges(root)), default=0.0)
    if settings.retention and longest > settings.retention:
        yield (
            f"looks back {format_duration(longest)}, and Prometheus keeps only"
            f" {format_duration(settings.retention)}"
        )


def features(root: Expr, _: Settings) -> Iterator[str]:
    """Functions behind a feature flag."""
    for node in nodes(root):
        if isinstance(node, Call) and node.func.experimental:
            yield (
                f"{node.func.name} works only with --enable-feature=promql-experimental-functions"
            )


EXPRESSION_CHECKS: dict[str, Check] = {
    "alerts/comparison": comparison,
    "alerts/count": dead,
    "promql/rate": rate,
    "promql/counter": counter,
    "promql/nan": nan,
    "promql/le": bounds,
    "promql/vector_matching": matching,
    "promql/regexp": regexp,
    "promql/fragile": fragile,
    "promql/range_query": look_back,
    "promql/features": features,
}
"""Name -> what finds it in one expression."""
