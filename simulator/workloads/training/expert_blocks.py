"""Blocks of a layer's experts: router, dispatch, exchange, grouped products in both passes, and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import AnyOperator, Collective, Elementwise, Gemm, Round, Rounds, Send
from simulator.workloads.training.block import Block
from simulator.workloads.training.exchange import exchange
from simulator.workloads.training.job import Job
from simulator.workloads.transformer import Experts

FP32 = DTYPES["fp32"].bytes


@dataclass(frozen=True, slots=True)
class ExpertBlocks:
    """The experts of a layer for `tokens` tokens of one device, which shares the experts with `layout.expert` ranks.

    `split` devices cut every expert's width; where tokens are also theirs to share (sequence parallelism) rows are
    gathered over them before the products, else every one of them has all the rows.
    """

    job: Job
    experts: Experts
    tokens: float

    @property
    def rows(self) -> float:
        """Rows that a device gets for its own tokens' worth of visits: the busiest one's, or the capacity."""
        return self.tokens * self.job.routing.rows(self.experts, self.job.layout.expert)

    @property
    def computed(self) -> float:
        """Rows of one device's products."""
        layout = self.job.layout
        return self.rows * (layout.tensor if layout.sequence_parallel else 1)

    @property
    def act(self) -> float:
        return self.job.formats.activations.bytes

    def blocks(self) -> Iterator[Block]:
        """All of them, the exchange in parts beside the products where the routing says so."""
        yield from self.router()
        yield self.dispatch("dispatch")
        parts = self.job.routing.parts or 1
        if parts == 1 or self.job.layout.expert == 1:
            yield from self.one_after_the_other()
        else:
            yield from self.in_parts(parts)
        yield self.dispatch("combine")

    def router(self) -> Iterator[Block]:
        """Scores of all experts, their softmax and choice."""
        hidden, count, m = self.job.model.hidden, self.experts.experts, self.tokens
        compute, act = self.job.formats.compute, self.job.formats.activations
        forward, inputs = Gemm(m, count, hidden, compute, act), Gemm(m, hidden, count, compute, act)
        weights = Gemm(hidden, count, m, compute, act)
        yield Block("router", (forward,), (inputs,), (weights,), m * hidden * self.act)
        choose = Elementwise(m * count, 2.0, 1.0, 8.0, DTYPES["fp32"])
        yield Block("router softmax", (choose,), (choose,), (), m * count * FP32)

    def dispatch(self, name: str) -> Block:
        """Rows to their places, or back into their tokens, whose sum keeps the rows for the router's gradient."""
        hidden, act = self.job.model.hidden, self.job.formats.activations
        rows = self.tokens * self.job.routing.rows(self.experts, 1)
        saved = rows * hidden * self.act if name == "combine" else 0.0
        if self.job.routing.dispatch == "permute":
            copy = Elementwise(rows * hidden, 1.0, 1.0, 2.0, act)
            return Block(name, (copy,), (copy,), (), saved)
        compute = self.job.formats.compute
        product = Gemm(rows, hidden, self.tokens, compute, act)
        mask = Gemm(rows, self.tokens, hidden, compute, act) if name == "combine" else None
        back = (product,) if mask is None else (product, mask)
        return Block(f"{name} einsum", (product,), back, (), saved + rows * self.tokens * self.act)

    def one_after_the_other(self) -> Iterator[Block]:
        send = self.exchange(1)
        rounds = (Rounds((Round((), send),)),) if send else ()
        if rounds:
            yield Block("expert dispatch", rounds, rounds)
        yield from self.products()
        if rounds:
            yield Block("expert combine", rounds, rounds)

    def products(self) -> Iterator[Block]:
        """Up, activation and down of this device's experts; rows are gathered first where devices split their width."""
        gather, scatter = self.over_width()
        if gather:
            yield Block("expert all-gather", gather, scatter)
        for name, forward, inputs, weights, saved in self.parts_of_products(self.computed):
            yield Block(name, forward, inputs, weights, saved)
        if scatter:
            yield Block("expert reduce-scatter", scatter, gather)

    def parts_of_products(
        self, rows: float
    ) -> Iterator[tuple[str, tuple[AnyOperator, ...], tuple[AnyOperator, ...], tuple[AnyOperator, ...], float]]:
        """Name, operators of both passes and kept bytes of each step of the experts' products for so many rows."""
        layout, expert, hidden = self.job.layout, self.experts.expert, self.job.model.hidden
        count, width = self.experts.experts / layout.expert, expert.intermediate / layout.tensor
        gates = 2.0 if expert.gated else 1.0
        compute, act = self.job.formats.compute, self.job.formats.activations
        m = rows / count

        def grouped(n: float, k: float) -> tuple[Gemm, Gemm, Gemm]:
            return tuple(Gemm(a, b, c, compute, act, count) for a, b, c in ((m, n, k), (m, k, n), (k, n, m)))  # type: ignore[return-value]

        up, up_inputs, up_weights = grouped(gates * width, hidden)
        yield "expert up projection", (up,), (up_inputs,), (up_weights,), rows * hidden * self.act
        wide = rows * width
        activation = Elementwise(wide, gates, 1.0, 4.0, act, "activation")
        back = Elementwise(wide, gates + 1.0, gates, 8.0, act, "activation")
        yield "expert activation", (activation,), (back,), (), gates * wide * self.act
        down, down_inputs, down_weights = grouped(hidden, width)
        yield "expert down projection", (down,), (down_inputs,), (down_weights,), wide * self.act

    def in_parts(self, parts: int) -> Iterator[Block]:
        """Exchange and products of `parts` parts of the rows: what comes in and goes out beside what is computed."""
        gather, scatter = self.over_width(parts)
        steps = list(self.parts_of_products(self.computed / parts))
        forward = (*gather, *(op for step in steps for op in step[1]), *scatter)
        inputs = (*gather, *(op for step in reversed(steps) for op in step[2]), *scatter)
        weights = tuple(op for step in self.parts_of_products(self.computed) for op in step[3])
        saved = parts * sum(step[4] for step in steps)
        send = self.exchange(parts)
        yield Block("experts", (pipelined(forward, send, parts),), (pipelined(inputs, send, parts),), weights, saved)

    def exchange(self, parts: int) -> tuple[Send, ...]:
        """All-to-all of a part of the rows between the ranks that share the experts."""
        layout = self.job.layout
        if layout.expert == 1:
            return ()
        message = self.rows * self.job.model.hidden * self.act / parts
        return exchange(message, layout.expert, layout.tensor, self.job.routing.inside)

    def over_width(self, parts: int = 1) -> tuple[tuple[AnyOperator, ...], tuple[AnyOperator, ...]]:
        """Gathering of the rows before products that are split over their width, and the sum of their results."""
        layout = self.job.layout
        if layout.tensor == 1 or not layout.sequence_parallel:
            return (), ()
        message = self.computed * self.job.model.hidden * self.act / parts
        return (
            (Collective("all_gather", message, layout.tensor),),
            (Collective("reduce_scatter", message, layout.tensor),),
        )


def pipelined(work: tuple[AnyOperator, ...], send: tuple[Send, ...], parts: int) -> Rounds:
    """`parts` times `work`, each between a transfer in and one out, of which one part's go beside another's work."""
    middle = (Round(work, (*send, *send), parts - 2),) if parts > 2 else ()
    return Rounds((Round((), send), Round(work, send), *middle, Round(work, send), Round((), send)))
