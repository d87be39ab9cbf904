"""Backward passes in pieces of the sequence: StreamBP (arXiv:2506.03077, section 3).

A layer is formed again and differentiated piece by piece, each attending to what lies before it, so that activations
of one piece alone are there; keys and values of the whole sequence and their gradients stay until the last piece. The
head's logits and loss are formed a piece at a time in the same way. Values and gradients are those of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from simulator.errors import InputError
from simulator.workloads.operators import AnyOperator, Attention, Collective, Elementwise, Gather, Gemm
from simulator.workloads.training.block import Block


def pieces_of(sequence: int, tokens: int) -> int:
    """Pieces of at most so many tokens that a sequence is cut into."""
    return math.ceil(sequence / tokens)


def in_pieces(block: Block, pieces: int) -> Block:
    """A block whose operators run piece by piece, and which keeps what one piece needs.

    Raises `InputError` for an operator that is not cut.
    """
    cut = replace(
        block,
        forward=_all_cut(block.forward, pieces, "m"),
        inputs=_all_cut(block.inputs, pieces, "m"),
        weights=_all_cut(block.weights, pieces, "k"),
        saved=block.saved / pieces,
    )
    whole = sum(2.0 * _keys_and_values(op) for op in block.forward if isinstance(op, Attention))
    return replace(cut, working=block.working / pieces + whole)


def head_in_pieces(blocks: Iterable[Block], pieces: int) -> list[Block]:
    """The head's blocks: its first keeps the last layer's output whole, which all pieces start from."""
    first, *rest = blocks
    return [replace(in_pieces(first, pieces), saved=first.saved), *(in_pieces(block, pieces) for block in rest)]


def _all_cut(operators: Sequence[AnyOperator], pieces: int, tokens: str) -> tuple[AnyOperator, ...]:
    return tuple(cut for op in operators for cut in _cut(op, pieces, tokens))


def _cut(op: AnyOperator, pieces: int, tokens: str) -> list[AnyOperator]:
    """An operator's pieces; of products `tokens` names the dimension that is cut."""
    if isinstance(op, Gemm) and op.batch == 1.0:
        part = replace(op, m=op.m / pieces) if tokens == "m" else replace(op, k=op.k / pieces)
        return [part] * pieces
    if isinstance(op, Elementwise):
        return [replace(op, elements=op.elements / pieces)] * pieces
    if isinstance(op, Gather):
        return [replace(op, rows=op.rows / pieces)] * pieces
    if isinstance(op, Collective):
        return [replace(op, message=op.message / pieces)] * pieces
    if isinstance(op, Attention) and all(cached == 0 for cached, _ in op.chunks):
        return [replace(op, chunks=chunks) for chunks in _prefixes([new for _, new in op.chunks], pieces)]
    raise InputError(f"backward_chunk: {op.kind} is not modelled in pieces of the sequence, leave one of the two out")


def _prefixes(lengths: Sequence[int], pieces: int) -> list[tuple[tuple[int, int], ...]]:
    """Of each piece the tokens before it and its own, sequence by sequence."""
    bounds = [[length * n // pieces for n in range(pieces + 1)] for length in lengths]
    return [tuple((b[n], b[n + 1] - b[n]) for b in bounds) for n in range(pieces)]


def _keys_and_values(op: Attention) -> float:
    return float(sum(new for _, new in op.chunks) * op.prompt.kv_elements * op.prompt.kv_bytes)
