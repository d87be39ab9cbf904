"""Operators, kept activations and states of a training step against published formulas."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.workloads.operators import Collective
from simulator.workloads.training.blocks import Blocks
from simulator.workloads.training.job import Job, Layout
from simulator.workloads.training.passes import passes_of
from simulator.workloads.training.states import stage_states
from tests.training.builders import job


def layer_bytes(given: Job) -> float:
    return sum(block.saved for block in Blocks(given).layer(given.model.layers[0]))


@pytest.mark.parametrize("tensor", [1, 2, 8])
@pytest.mark.parametrize("parallel", [False, True])
def test_a_layer_keeps_what_korthikanti_counts(tensor: int, parallel: bool) -> None:
    """Korthikanti et al., arXiv:2205.05198, table 2, in bytes of a layer."""
    s, b, h, a = 512, 2, 1024, 16
    layout = Layout(tensor=tensor, sequence_parallel=parallel)
    given = job(micro=b, layout=layout, fused_attention=False, dropout=True)
    scores = 5.0 * a * s / (h * tensor)
    between = 34.0 / tensor if parallel and tensor > 1 else 10.0 + 24.0 / tensor
    assert layer_bytes(given) == pytest.approx(s * b * h * (between + scores))


def test_recomputation_keeps_less_in_the_published_amounts() -> None:
    """The same table: without attention's core 34 sbh, with full recomputation the layer's input, 2 sbh."""
    s, b, h = 512, 1, 1024
    layers = 8

    def kept(rule: str) -> float:
        given = job(recompute=rule, fused_attention=False, dropout=True)
        ends = passes_of(job(layers=1, recompute="full", fused_attention=False, dropout=True), 0).saved - 2 * s * b * h
        return passes_of(given, 0).saved - ends

    assert kept("selective") == pytest.approx(layers * 34 * s * b * h)
    assert kept("full") == pytest.approx(layers * 2 * s * b * h)


def test_flops_are_those_of_the_published_formula() -> None:
    """Narayanan et al., arXiv:2104.04473, equation 3, with full recomputation."""
    b, s, h, layers, v = 1, 512, 1024, 8, 1024
    passes = passes_of(job(recompute="full", fused_attention=False), 0)
    calls = (*passes.forward, *passes.recompute, *passes.inputs, *passes.weights)
    found = sum(float(np.asarray(c.op.flops())) * c.count for c in calls if c.op.kind == "gemm")
    wanted = 96 * b * s * layers * h * h * (1 + s / (6 * h) + v / (16 * layers * h))
    assert found == pytest.approx(wanted)


def volume(given: Job) -> float:
    """Bytes that one device sends for tensor parallelism in a layer's passes, in units of the message."""
    blocks = list(Blocks(given).layer(given.model.layers[0]))
    ops = [op for b in blocks for op in (*b.forward, *b.inputs) if isinstance(op, Collective)]
    factor = {"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0}
    return sum(factor[op.pattern] * float(np.asarray(op.message)) for op in ops)


def test_sequence_parallelism_moves_as_much_as_tensor_parallelism() -> None:
    """Korthikanti et al., section 4.2.2: an all-reduce is a reduce-scatter and an all-gather."""
    plain, parallel = (job(layout=Layout(tensor=4, sequence_parallel=p)) for p in (False, True))
    assert volume(plain) == volume(parallel)
    assert volume(plain) == 4 * 2 * 512 * 1024 * 2


def test_parameters_add_up_over_stages_and_devices() -> None:
    whole = job().model.parameters()
    split = job(layout=Layout(pipeline=4, chunks=2))
    found = sum(stage_states(split, s).parameters for s in range(4))
    tied_copy = split.model.vocab * split.model.hidden
    norm = 2 * split.model.hidden
    assert found == pytest.approx(whole + tied_copy - norm)


def test_zero_shards_what_its_levels_say() -> None:
    """Rajbhandari et al., arXiv:1910.02054, figure 1: 2 + 2 + 12 bytes a parameter, each over the replicas."""
    own = stage_states(job(), 0).parameters
    for level, wanted in ((0, 16.0), (1, 4.0 + 12 / 8), (2, 2.0 + 14 / 8), (3, 16.0 / 8)):
        found = stage_states(job(layout=Layout(data=8, zero=level)), 0)
        assert found.total == pytest.approx(wanted * own)
