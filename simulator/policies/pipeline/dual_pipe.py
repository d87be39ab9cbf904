"""DualPipe: micro-batches enter at both ends; forward passes of one way pair with backward passes of the other."""

from __future__ import annotations

from collections import deque

from simulator.policies.pipeline.schedule import Kind, Pass


class DualPipe:
    """DualPipe (DeepSeek-V3 technical report, arXiv:2412.19437, section 3.2.1; order as its published code has it).

    Every stage holds two pieces of the model, its own and that of the stage as far from the other end; half of the
    micro-batches go either way. A forward and a backward pass run together, so that the exchanges of one hide behind
    what the other computes. With P stages, passes F and B (both gradients), weight gradients W and a pair F&B, the
    bubble is (P / 2 - 1) (F&B + B - 3 W), where gradients of inputs take at least as long as a forward pass.
    """

    splits = True

    def pieces(self, stage: int, stages: int, chunks: int) -> tuple[int, int]:
        if chunks != 2 or stages % 2:
            raise ValueError(
                f"dualpipe holds two chunks on each of an even number of stages, not {chunks} on {stages}: set chunks "
                "to 2 and pipeline to an even number"
            )
        return stage, stages - 1 - stage

    def order(self, stage: int, stages: int, micro_batches: int, chunks: int) -> list[Pass]:
        if micro_batches % 2 or micro_batches < 2 * stages:
            raise ValueError(
                f"dualpipe needs an even number of micro-batches, twice the {stages} stages or more, not "
                f"{micro_batches}: change global_batch or data"
            )
        half = micro_batches // 2
        # Of a stage in the second half all that is said of the two ways is the other way round.
        nearest = min(stage, stages - 1 - stage)
        inner = stages // 2 - nearest - 1
        made = _Passes(half, other_way=stage >= stages // 2)
        for _ in range(2 * inner):
            made.forward(0)
        for _ in range(nearest + 1):
            made.forward(0)
            made.forward(1)
        for _ in range(inner):
            made.backward(1, apart=True)
            made.weights()
            made.forward(1)
        for _ in range(half - stages + nearest + 1):
            made.pair(0, 1)
            made.pair(1, 0)
        for _ in range(inner):
            made.backward(1)
            made.pair(1, 0)
        # The later half of these leave the gradients of weights for the end.
        for i in range(2 * (nearest + 1)):
            made.backward((i + 1) % 2, apart=i > nearest)
        for _ in range(inner):
            made.weights()
            made.backward(0, apart=True)
        for _ in range(nearest + 1):
            made.weights()
        return made.passes


class _Passes:
    """Passes of one stage; micro-batches 0 to `half` - 1 go one way (chunk 0), the others the other (chunk 1)."""

    def __init__(self, half: int, *, other_way: bool) -> None:
        self.passes: list[Pass] = []
        self.half = half
        self.other_way = other_way
        self.count: dict[tuple[str, int], int] = {(kind, way): 0 for kind in ("forward", "backward") for way in (0, 1)}
        self.left: deque[Pass] = deque()

    def forward(self, way: int, *, paired: bool = False) -> None:
        self.passes.append(self._next("forward", way)._replace(paired=paired))

    def backward(self, way: int, *, apart: bool = False) -> None:
        """A whole backward pass, or with `apart` that of inputs, whose weights are left for later."""
        made = self._next("backward", way)
        self.passes.append(made if apart else made._replace(kind="whole"))
        if apart:
            self.left.append(made._replace(kind="weights"))

    def weights(self) -> None:
        """The gradients of weights that have been left for the longest."""
        self.passes.append(self.left.popleft())

    def pair(self, forward: int, backward: int) -> None:
        self.forward(forward, paired=True)
        self.backward(backward)

    def _next(self, kind: Kind, way: int) -> Pass:
        chunk = way ^ self.other_way
        number = self.count[kind, chunk]
        self.count[kind, chunk] += 1
        return Pass(kind, number + chunk * self.half, chunk)
