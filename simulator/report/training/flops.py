"""FLOPs of a training step: those that the model needs, and those that the devices do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from simulator.engine.training.step import Step
from simulator.report.training.sequences import computed, useful_share
from simulator.workloads.operators import Call
from simulator.workloads.training.layer_graph import LayerGraph


def model_flops(step: Step) -> float:
    """FLOPs that the model needs for a step, three times its forward pass, recomputation not counted.

    Without a backward pass, those of its forward passes.

    Of a model that is no transformer, those of all its passes: its first layer needs no gradient of inputs.
    """
    if isinstance(step.job.model, LayerGraph):
        return _flops(step, lambda p: (*p.forward, *p.inputs, *p.weights))
    passes = 3.0 if step.job.zeroth_order is None else 1.0
    return passes * _flops(step, lambda p: p.forward, lambda name: useful_share(step.job, name))


def hardware_flops(step: Step) -> float:
    """FLOPs that the devices do in a step, recomputation counted."""
    if step.offloaded is not None:
        return step.offloaded.flops * step.job.layout.devices
    return _flops(step, lambda p: (*p.forward, *p.recompute, *p.inputs, *p.weights))


def _flops(step: Step, part: Any, share: Callable[[str], float] = lambda _: 1.0) -> float:
    layout, total = step.job.layout, 0.0
    for kind, stages in step.kinds:
        pieces = dict.fromkeys(p for s in stages for p in layout.pieces(s))
        calls = (c for piece in sorted(pieces) for c in products(part(step.passes[piece])))
        each = sum(float(np.asarray(c.op.flops())) * c.count * share(c.name) for c in calls)
        total += each * kind.job.layout.tensor * layout.copies * step.job.micro_batches
    return total


def products(calls: Iterable[Call]) -> Iterable[Call]:
    """Those of the calls whose FLOPs count."""
    return (c for c in computed(calls) if c.op.kind in ("gemm", "attention", "convolution"))
