"""Mutants of a source file: copies that differ from it in one small place."""

import ast
import pathlib
from collections.abc import Iterator
from typing import NamedTuple


class Mutant(NamedTuple):
    """One change of one file."""

    path: str  # relative to the root of the project
    line: int
    last_line: int
    before: str
    after: str
    source: str  # the whole file with the change


SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def mutants(root: pathlib.Path, path: str) -> Iterator[Mutant]:
    """All mutants of the file `path` in the project at `root`."""
    tree = ast.parse((root / path).read_text())
    for node in ast.walk(tree):
        if not changes(node):
            continue
        before, lines = ast.unparse(node), (node.lineno, getattr(node, "test", node).end_lineno)
        for change, undo in changes(node):
            change()
            yield Mutant(path, *lines, before, ast.unparse(node), ast.unparse(tree))
            undo()


def changes(node: ast.AST) -> list:
    """Pairs of functions that change `node` in place and change it back."""
    found = []

    def replace(field, new):
        old = getattr(node, field)
        found.append((lambda: setattr(node, field, new), lambda: setattr(node, field, old)))

    match node:
        case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in SWAPS:
            replace("op", SWAPS[type(op)]())
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            replace("ops", [SWAPS[type(op)]()])
        case ast.IfExp() | ast.If() | ast.While():
            replace("test", ast.UnaryOp(ast.Not(), node.test))
        case ast.Constant(value=bool(value)):
            replace("value", not value)
        case ast.Constant(value=int(value)):
            replace("value", value + 1)
        case ast.Constant(value=float(value)):
            replace("value", value + 1)
        case ast.UnaryOp(op=ast.USub()):
            replace("op", ast.UAdd())
        case ast.Return(value=ast.Call(args=[first, *_])):
            replace("value", first)
    return found
