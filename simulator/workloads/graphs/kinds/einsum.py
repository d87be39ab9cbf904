"""Einstein summation: products of operands whose dimensions are named by letters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from simulator.errors import InputError
from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, streamed
from simulator.workloads.graphs.tensor import Shape, Tensor, product
from simulator.workloads.operators import Gemm, Size


def terms(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Letters of each operand and of the result; an ellipsis becomes upper-case letters, counted from the right."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ranks):
        raise InputError(f"Einsum: {equation!r} names {len(inputs)} operands, the node has {len(ranks)}")
    spread = [rank - len(term.replace("...", "")) for term, rank in zip(inputs, ranks, strict=True)]
    named = [term.replace("...", _letters(more)) for term, more in zip(inputs, spread, strict=True)]
    widest = _letters(max((m for t, m in zip(inputs, spread, strict=True) if "..." in t), default=0))
    if arrow:
        return named, right.replace("...", widest)
    letters = "".join(named)
    return named, widest + "".join(c for c in sorted(set(letters)) if letters.count(c) == 1 and c not in widest)


def _letters(count: int) -> str:
    return "ZYXWVUTSRQ"[:count][::-1]


def _sizes(named: Sequence[str], operands: Operands) -> dict[str, Size]:
    sizes: dict[str, Size] = {}
    for term, operand in zip(named, operands, strict=True):
        assert operand is not None
        for letter, size in zip(term, operand.shape, strict=True):
            if letter not in sizes or (isinstance(sizes[letter], int) and sizes[letter] == 1):
                sizes[letter] = size
    return sizes


def _shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    named, result = terms(attributes["equation"], [len(t.shape) for t in operands if t is not None])
    sizes = _sizes(named, operands)
    return (tuple(sizes[c] for c in result),)


def _work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Operands are multiplied from the left to the right, each time summed over the letters no one needs any more.

    Of two operands, letters of both that stay count matrices, letters of one rows or columns, the rest are summed.
    """
    named, result = terms(attributes["equation"], [len(t.shape) for t in operands if t is not None])
    if len(operands) == 1:
        return streamed(operands, results, first(operands).elements / results[0].elements, "reduction")
    sizes = _sizes(named, operands)
    work, held, left = [], named[0], first(operands)
    for at, (term, right) in enumerate(zip(named[1:], operands[1:], strict=True), start=1):
        assert right is not None
        needed = set(chain(result, *named[at + 1 :]))
        both = [c for c in held if c in term]
        rows, columns = [c for c in held if c not in term], [c for c in term if c not in held]
        pairs, inner = [c for c in both if c in needed], [c for c in both if c not in needed]
        m, n, k, count = (product(tuple(sizes[c] for c in each)) for each in (rows, columns, inner, pairs))
        work.append((Gemm(m, n, k, right.dtype, left.dtype, count), 1))
        held = "".join(c for c in dict.fromkeys(held + term) if c in needed)
    return tuple(work)


EINSUM = {"Einsum": Kind(_shapes, _work)}
