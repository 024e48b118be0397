"""What a PromQL expression asks for."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    Matcher,
    MatchOp,
    ParenExpr,
    VectorSelector,
    parse,
    walk,
)

_JOINS: Final = {">", ">=", "<", "<=", "==", "!=", "or", "and", "unless"}


class Selector(NamedTuple):
    """Series that an expression looks at."""

    name: str
    matchers: tuple[Matcher, ...]

    def __str__(self) -> str:
        """Return it as PromQL has it."""
        return f"{self.name}{{{', '.join(map(str, self.matchers))}}}"

    def selects(self, labels: dict[str, str]) -> bool:
        """Tell whether a series of this name with these labels is meant."""
        return all(_matches(one, labels.get(one.name, "")) for one in self.matchers)


def selectors(expr: str) -> Iterator[Selector]:
    """Yield what an expression looks at."""
    for node in _nodes(parse(expr)):
        if isinstance(node, VectorSelector):
            assert node.name, f"no name: {node}"
            yield Selector(node.name, tuple(node.matchers.matchers))


def labels(expr: str) -> set[str]:
    """Return the labels that an expression groups or matches by."""
    found: set[str] = set()
    for node in _nodes(parse(expr)):
        if isinstance(node, AggregateExpr) and node.modifier:
            found.update(node.modifier.labels)
        elif isinstance(node, BinaryExpr) and node.modifier and node.modifier.matching:
            found.update(node.modifier.matching.labels)
    return found


def parts(expr: str) -> list[str]:
    """Return what an expression compares and joins: each must have data while nothing is wrong."""
    return [str(node) for node in _parts(parse(expr))]


def _parts(node: Expr) -> Iterator[Expr]:
    match node:
        case ParenExpr():
            yield from _parts(node.expr)
        case BinaryExpr() if str(node.op) in _JOINS:
            yield from _parts(node.lhs)
            yield from _parts(node.rhs)
        case Call() if node.func.name == "absent":
            yield from _parts(node.args[0])
        case _ if any(isinstance(one, VectorSelector) for one in _nodes(node)):
            yield node
        case _:
            # A number, the other side of a comparison.
            return


def _nodes(expr: Expr) -> list[Expr]:
    found: list[Expr] = []

    def visit(node: Expr) -> bool:
        found.append(node)
        return True

    walk(expr, visit)
    return found


def _matches(matcher: Matcher, value: str) -> bool:
    # It has no hash, so a set will not do.
    if matcher.op in (MatchOp.Re, MatchOp.NotRe):
        return bool(re.fullmatch(matcher.value, value)) is bool(matcher.op == MatchOp.Re)
    return (matcher.value == value) is bool(matcher.op == MatchOp.Equal)
