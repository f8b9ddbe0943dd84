"""A PromQL expression as a tree, and what can be told from it without asking a Prometheus."""

from collections.abc import Iterator

import promql_parser as promql
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatchOp,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

__all__ = [
    "COMPARISONS",
    "ancestors",
    "bare",
    "carried",
    "children",
    "has_surely",
    "is_filter",
    "nodes",
    "operator",
    "parse",
    "ranges",
]

COMPARISONS = frozenset({">", "<", ">=", "<=", "==", "!="})
_SETS = frozenset({"and", "or", "unless"})


def parse(text: str) -> Expr:
    """The tree of an expression; raises ValueError with what is wrong."""
    found: Expr = promql.parse(text)
    return found


def bare(node: Expr) -> Expr:
    """What is within parentheses."""
    while isinstance(node, ParenExpr):
        node = node.expr
    return node


def operator(node: BinaryExpr | AggregateExpr) -> str:
    """Its operator as it is written."""
    return str(node.op)


def children(node: Expr) -> tuple[Expr, ...]:
    """The nodes right below."""
    if isinstance(node, BinaryExpr):
        return node.lhs, node.rhs
    if isinstance(node, Call):
        return tuple(node.args)
    if isinstance(node, MatrixSelector):
        return (node.vector_selector,)
    if isinstance(node, AggregateExpr | ParenExpr | SubqueryExpr | UnaryExpr):
        return (node.expr,)
    return ()


def nodes(root: Expr) -> Iterator[Expr]:
    """Every node, from the top down."""
    yield root
    for child in children(root):
        yield from nodes(child)


def ancestors(root: Expr) -> Iterator[tuple[Expr, tuple[Expr, ...]]]:
    """Every node, with those above it from the top down."""

    def below(node: Expr, above: tuple[Expr, ...]) -> Iterator[tuple[Expr, tuple[Expr, ...]]]:
        yield node, above
        for child in children(node):
            yield from below(child, (*above, node))

    return below(root, ())


def ranges(root: Expr) -> Iterator[tuple[float, Expr]]:
    """Seconds of every range that the expression looks back over, and the node that has it."""
    for node in nodes(root):
        if isinstance(node, MatrixSelector | SubqueryExpr) and node.range is not None:
            yield node.range.total_seconds(), node


def is_filter(node: Expr) -> bool:
    """Whether the expression can have no value although its series exist, as alerts must."""
    node = bare(node)
    if isinstance(node, BinaryExpr):
        kind = operator(node)
        if kind in COMPARISONS:
            return not (node.modifier and node.modifier.return_bool)
        if kind in ("and", "unless"):
            return True
        return is_filter(node.lhs) or is_filter(node.rhs)
    if isinstance(node, Call):
        return node.func.name in ("absent", "absent_over_time", "vector") or any(
            is_filter(argument) for argument in node.args
        )
    if isinstance(node, VectorSelector):
        return node.name == "ALERTS"
    return any(is_filter(child) for child in children(node))


def carried(node: Expr) -> frozenset[str] | None:
    """The labels that the result can have; None where it may have any."""
    node = bare(node)
    if isinstance(node, AggregateExpr):
        if operator(node) in ("topk", "bottomk", "limitk", "limit_ratio"):
            return carried(node.expr)
        if node.modifier is None:
            return frozenset()
        if node.modifier.type == promql.AggModifierType.By:
            return frozenset(node.modifier.labels)
        inner = carried(node.expr)
        return None if inner is None else inner - frozenset(node.modifier.labels)
    if isinstance(node, BinaryExpr):
        return _joined(node)
    if isinstance(node, Call):
        if node.func.name in ("label_replace", "label_join"):
            inner, target = carried(node.args[0]), getattr(node.args[1], "val", None)
            return None if inner is None or target is None else inner | {str(target)}
        if node.func.name in ("vector", "time", "scalar"):
            return frozenset()
        if node.func.name in ("absent", "absent_over_time"):
            return None
        return carried(node.args[0]) if node.args else frozenset()
    if isinstance(node, UnaryExpr | SubqueryExpr):
        return carried(node.expr)
    if isinstance(node, VectorSelector | MatrixSelector):
        return None
    return frozenset()


def _joined(node: BinaryExpr) -> frozenset[str] | None:
    left, right = carried(node.lhs), carried(node.rhs)
    kind, modifier = operator(node), node.modifier
    if _is_number(node.lhs):
        return right
    if _is_number(node.rhs) or kind in ("and", "unless"):
        return left
    if kind == "or":
        return None if left is None or right is None else left | right
    if modifier is None or modifier.matching is None:
        return left if right is None or left is None else left & right
    card = modifier.card
    if card == promql.VectorMatchCardinality.ManyToOne:
        return None if left is None else left | frozenset(modifier.group_labels or ())
    if card == promql.VectorMatchCardinality.OneToMany:
        return None if right is None else right | frozenset(modifier.group_labels or ())
    labels = frozenset(modifier.matching.labels)
    if modifier.matching.type == promql.LabelModifierType.Include:
        return labels if left is None else labels & left
    return None if left is None else left - labels


def _is_number(node: Expr) -> bool:
    node = bare(node)
    if isinstance(node, UnaryExpr):
        return _is_number(node.expr)
    if isinstance(node, BinaryExpr):
        return _is_number(node.lhs) and _is_number(node.rhs)
    if isinstance(node, Call):
        return node.func.name in ("scalar", "time", "pi")
    return isinstance(node, promql.NumberLiteral)


def has_surely(node: Expr, label: str) -> bool | None:
    """Whether the result has a label for certain, lacks it for certain, or None: not known."""
    node = bare(node)
    labels = carried(node)
    if labels is not None and label not in labels:
        return False
    if isinstance(node, AggregateExpr):
        return has_surely(node.expr, label)
    if isinstance(node, Call | MatrixSelector | UnaryExpr | SubqueryExpr):
        inner = children(node)
        return has_surely(inner[0], label) if inner else False
    if isinstance(node, VectorSelector):
        for matcher in node.matchers.matchers:
            if matcher.name == label and matcher.op == MatchOp.Equal:
                return bool(matcher.value)
        name = node.name or ""
        if label == "le" and name.endswith(("_count", "_sum")):
            return False
        return True if label == "le" and name.endswith("_bucket") else None
    return None
