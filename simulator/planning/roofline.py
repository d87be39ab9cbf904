"""Optimistic times of one replica: peak FLOP/s, full bandwidth, nothing for collectives, launches or small kernels.

Williams et al., "Roofline" (CACM 52(4), 2009): an operator takes at least FLOPs / peak and at least bytes / bandwidth.
A fitted curve may reach more than a datasheet states (clocks above the base clock); the roof is then the curve's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.deployment import Deployment
from simulator.workloads.graph import attention_shapes, head_calls, spans, token_calls
from simulator.workloads.operators import Call, Experts, Gemm

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """Matrix products of one stage: per operator, FLOP seconds a token, and how weights are read."""

    flop_seconds: Floats
    weight_seconds: Floats
    missed: Floats  # chance that one token leaves a weight unread: 0 for dense layers

    def seconds(self, tokens: Floats) -> Floats:
        """Least seconds of one iteration over so many tokens; shape that of `tokens`."""
        t = np.asarray(tokens, dtype=np.float64)[..., None]
        read = self.weight_seconds * (1.0 - self.missed**t)
        return np.asarray(np.maximum(self.flop_seconds * t, read).sum(axis=-1))


@dataclass(frozen=True)
class Roofline:
    """Least times of a deployment's stages, in seconds."""

    deployment: Deployment

    @cached_property
    def stages(self) -> list[Linear]:
        """Matrix products of the layers by stage."""
        d = self.deployment
        return [
            self._linear(token_calls(d.model, d.parallel, d.precision, float(d.parallel.data), s))
            for s in range(d.parallel.pipeline)
        ]

    @cached_property
    def head(self) -> Linear:
        """Matrix products of the output head, by sampled token."""
        d = self.deployment
        return self._linear(
            head_calls(d.model, d.parallel, d.precision, float(d.parallel.data), d.parallel.pipeline - 1)
        )

    def _linear(self, calls: list[Call]) -> Linear:
        """Operators of a graph built for as many tokens as attention groups, so one a group."""
        rows = [self._row(call) for call in calls if isinstance(call.op, Gemm | Experts)]
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        return Linear(table[:, 0] / self.deployment.parallel.data, table[:, 1], table[:, 2])

    def _row(self, call: Call) -> tuple[float, float, float]:
        d, op = self.deployment, call.op
        bandwidth = d.device.memory_bandwidth
        assert isinstance(op, Gemm | Experts)
        curve = d.calibrations.find("experts" if isinstance(op, Experts) else op.kind, op.weight.name).curve
        flops = float(np.asarray(op.flops())) / (d.law.peak(op.compute) * max(1.0, curve.compute))
        if isinstance(op, Gemm):
            weights, missed = float(op.n * op.k), 0.0
        else:
            weights = float(op.experts / op.ranks * op.hidden * op.intermediate) * (3.0 if op.gated else 2.0)
            missed = 1.0 - op.rarest
        read = weights * op.weight.bytes / (bandwidth * max(1.0, curve.memory))
        return call.count * flops, call.count * read, missed

    @cached_property
    def prompt_pair_seconds(self) -> list[Floats]:
        """By stage: seconds of a (query, key) pair in each attention span, on one device."""
        return [rates[0] for rates in self._attention]

    @cached_property
    def decode_key_seconds(self) -> list[Floats]:
        """By stage: seconds to read one cached token in each attention span, on one device."""
        return [rates[1] for rates in self._attention]

    @cached_property
    def _attention(self) -> list[tuple[Floats, Floats]]:
        d = self.deployment
        found = []
        for stage in range(d.parallel.pipeline):
            pair, key = np.zeros(len(spans(d.model))), np.zeros(len(spans(d.model)))
            for span, prompt, decode, layers in attention_shapes(d.model, d.parallel, d.precision, stage):
                kernel = d.law.attention(prompt, decode)
                width = float(prompt.q_heads * (prompt.qk_dim + prompt.v_dim))
                share = layers / d.parallel.data
                pair[span] += share * 2.0 * width / (kernel.peak * _fastest(kernel.prompt_curve, "compute"))
                moved = float(decode.kv_elements) * decode.kv_bytes
                rate = d.device.memory_bandwidth * max(
                    _fastest(kernel.prompt_curve, "memory"), _fastest(kernel.decode_curve, "memory")
                )
                key[span] += share * moved / rate
            found.append((pair, key))
        return found


def _fastest(curve: Any, roof: str) -> float:
    """The largest share of a roof that a curve can reach for any width of heads, 1 at least."""
    share = float(getattr(curve, roof)) * max(1.0, curve.narrow, curve.wide) / min(1.0, getattr(curve, "fallback", 1.0))
    return float(max(1.0, share))
