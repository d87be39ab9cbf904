"""What a chunk of the layers computes in each pass, and what it keeps between them, under a recomputation rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from simulator.workloads.operators import AnyOperator, Call
from simulator.workloads.training.block import Block
from simulator.workloads.training.blocks import Blocks
from simulator.workloads.training.job import Job


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


def passes_of(job: Job, chunk: int, lengths: tuple[int, ...] = ()) -> Passes:
    """The passes of chunk number `chunk` of the model's layers; the first embeds, the last has head and loss.

    The micro-batch's sequences are of `lengths` tokens; all of the job's own where none are given.
    """
    builder = Blocks(job, lengths)
    layers = Counter(job.chunk_layers(chunk))
    inside = [(block, count) for layer, count in layers.items() for block in builder.layer(layer)]
    ends: list[Block] = []
    if chunk == 0:
        ends += builder.embedding()
    if chunk == job.layout.model_chunks - 1 and job.head:
        ends += builder.head()
    every = [*inside, *((block, 1) for block in ends)]
    layer_input = builder.between * job.model.hidden * builder.act
    kept = [(b, n) for b, n in inside if job.recompute == "none" or (job.recompute == "selective" and not b.core)]
    outside = [(b, n) for b, n in inside if not (b.core and job.keep_attention)]
    again = {"none": [], "selective": [(b, n) for b, n in inside if b.core], "full": outside}[job.recompute]
    saved = sum(b.saved * n for b, n in kept) + sum(b.saved for b in ends)
    if job.recompute == "full":
        saved += layer_input * sum(layers.values())
        if job.keep_attention:
            saved += sum(builder.attention_output(layer.attention) * n for layer, n in layers.items())
    if job.recompute == "selective":
        saved += sum(_entering(inside))
    return Passes(
        tuple(_calls(every, "forward")),
        tuple(_calls(again, "forward")),
        tuple(_calls(every, "inputs")),
        tuple(_calls(every, "weights")),
        saved,
        (max((sum(b.saved for b in builder.layer(layer)) for layer in layers), default=0.0) if again else 0.0)
        + max((b.working for b, _ in inside), default=0.0),
    )


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
