"""What a chunk of the layers computes in each pass, and what it keeps between them, under a recomputation rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from simulator.workloads.operators import AnyOperator, Call
from simulator.workloads.training.block import Block, LayerBlocks
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.job import Job
from simulator.workloads.training.kept import NOTHING, kept_as
from simulator.workloads.training.streamed import in_pieces, pieces_of


@dataclass(frozen=True, slots=True)
class Passes:
    """Operators of one micro-batch in one chunk, on one device.

    `recompute` runs before the backward pass, whose gradients of inputs (`inputs`) others wait for, while those of
    weights (`weights`) can wait. `saved` bytes are kept from the forward to the backward pass; `working` bytes more
    are there while a layer is computed again.
    """

    forward: tuple[Call, ...]
    recompute: tuple[Call, ...]
    inputs: tuple[Call, ...]
    weights: tuple[Call, ...]
    saved: float
    working: float


def passes_of(job: Job[Any], chunk: int, lengths: tuple[int, ...] = ()) -> Passes:
    """The passes of chunk number `chunk` of the model's layers; the first embeds, the last has head and loss.

    The micro-batch's sequences are of `lengths` tokens; all of the job's own where none are given. Without a backward
    pass nothing is kept but what one layer, or the head, works with.
    """
    chunks = chunks_of(job, lengths)
    layers, ends = chunks.layers(chunk), chunks.ends(chunk)
    inside = [(_kept(job, block), layer.count) for layer in layers for block in layer.blocks]
    every = [*inside, *((block, 1) for block in ends)]
    if job.zeroth_order is not None:
        held = [sum(b.saved + b.working for b in layer.blocks) + layer.input for layer in layers]
        working = max([*held, sum(b.saved + b.working for b in ends)], default=0.0)
        return Passes(tuple(_calls(every, "forward")), (), (), (), 0.0, working)
    streamed = _streamed(job, inside)
    back = [*streamed, *((block, 1) for block in ends)]
    kept = [(b, n) for b, n in inside if job.recompute == "none" or (job.recompute == "selective" and not b.core)]
    outside = [(b, n) for b, n in streamed if not (b.core and job.keep_attention)]
    again = {"none": [], "selective": [(b, n) for b, n in inside if b.core], "full": outside}[job.recompute]
    saved = sum(b.saved * n for b, n in kept) + sum(b.saved for b in ends)
    if job.recompute == "full":
        saved += sum(layer.input * layer.count for layer in layers)
        if job.keep_attention:
            saved += sum(layer.attention * layer.count for layer in layers)
    if job.recompute == "selective":
        saved += sum(_entering(inside))
    return Passes(
        tuple(_calls(every, "forward")),
        tuple(_calls(again, "forward")),
        tuple(_calls(back, "inputs")),
        tuple(_calls(back, "weights")),
        saved,
        (max((_saved(job, layer) for layer in layers), default=0.0) if again else 0.0)
        + max((b.working for b, _ in streamed), default=0.0),
    )


def _streamed(job: Job[Any], blocks: list[tuple[Block, int]]) -> list[tuple[Block, int]]:
    """Blocks as the backward pass runs them."""
    if job.backward_chunk is None:
        return blocks
    pieces = pieces_of(job.sequence, job.backward_chunk)
    return [(in_pieces(block, pieces), count) for block, count in blocks]


def _saved(job: Job[Any], layer: LayerBlocks) -> float:
    """Bytes of a layer that is formed again, or of one piece of it."""
    return sum(block.saved for block, _ in _streamed(job, [(block, 1) for block in layer.blocks]))


def _kept(job: Job, block: Block) -> Block:
    f = job.formats
    return block if f.kept == NOTHING else kept_as(block, f.kept, f.activations, f.compute, f.stored)


def _entering(inside: Iterable[tuple[Block, int]]) -> Iterator[float]:
    """Bytes of queries, keys and values, which attention is formed from again."""
    for block, count in inside:
        if block.core:
            yield block.entering * count


def _calls(blocks: Iterable[tuple[Block, int]], part: str) -> Iterator[Call]:
    for block, count in blocks:
        operators: tuple[AnyOperator, ...] = getattr(block, part)
        for op in operators:
            yield Call(block.name, op, count)
