"""Optimisers: states of published systems, bytes moved by counting tensors, and Muon's products."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import InputError
from simulator.workloads.dtypes import DTYPES
from simulator.workloads.operators import Convolution
from simulator.workloads.training.job import Formats, Job, Layout
from simulator.workloads.training.layer_graph import GraphLayer, LayerGraph, Node
from simulator.workloads.training.optimizers import OPTIMIZERS, optimizer
from simulator.workloads.training.orthogonal import orthogonal_updates
from simulator.workloads.training.states import stage_states
from tests.training.builders import job, step

BF16, FP32, FP8 = DTYPES["bf16"], DTYPES["fp32"], DTYPES["fp8"]
# Bytes of moments a parameter: none, one or two in fp32; two in 8 bits (arXiv:2110.02861); factored ones, which are
# vectors (arXiv:1804.04235).
MOMENTS = {"sgd": 0.0, "momentum": 4.0, "adam": 8.0, "adafactor": 0.0, "adam-8bit": 2.0, "muon": 4.0}
# Reads of the gradient besides the first: Adafactor's sums and the mean square of its update come before the update.
PASSES = {"adafactor": 2}


def test_all_optimizers_are_counted_here() -> None:
    assert set(MOMENTS) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", MOMENTS)
def test_states_are_moments_and_a_master_copy_of_what_is_not_fp32(name: str) -> None:
    found = optimizer(name)
    assert found.states_beside(FP32) == MOMENTS[name]
    assert found.states_beside(BF16) == found.states_beside(FP8) == MOMENTS[name] + 4.0


@pytest.mark.parametrize("name", MOMENTS)
def test_an_update_reads_gradients_moves_states_both_ways_and_writes_weights(name: str) -> None:
    found, gradient = optimizer(name), 4.0 * (1 + PASSES.get(name, 0))
    assert found.moved_beside(FP32) == gradient + 2 * MOMENTS[name] + 2 * 4.0
    assert found.moved_beside(BF16) == gradient + 2 * (MOMENTS[name] + 4.0) + 2.0
    assert found.moved_beside(FP8) == gradient + 2 * (MOMENTS[name] + 4.0) + 1.0


@pytest.mark.parametrize(
    ("formats", "wanted"),
    [
        (Formats(FP32, FP32, FP32), 16.0),
        (Formats(BF16, BF16, BF16), 16.0),
        (Formats(BF16, BF16, FP32), 18.0),
        (Formats(FP8, BF16, BF16), 15.0),
    ],
)
def test_a_parameter_under_adam_takes_its_published_bytes(formats: Formats, wanted: float) -> None:
    """16 bytes in mixed precision with 16-bit gradients (arXiv:1910.02054, section 3.1), and 16 in fp32 as well."""
    found = stage_states(replace(job(), formats=formats), 0)
    assert found.total == pytest.approx(wanted * found.parameters)


def test_fewer_states_take_less_memory_and_time() -> None:
    names = ["sgd", "adam-8bit", "adam"]
    steps = [step(replace(job(), optimizer=optimizer(n))) for n in names]
    states = [s.states(0).optimizer for s in steps]
    assert states == sorted(states) and len(set(states)) == 3
    seconds = [s.end.update_seconds(0) for s in steps]
    assert seconds == sorted(seconds) and len(set(seconds)) == 3


def muon(layout: Layout | None = None) -> Job:
    return replace(job(layout=layout), optimizer=optimizer("muon"))


def flops(given: Job, chunk: int = 0) -> float:
    return sum(float(np.asarray(c.op.flops())) * c.count for c in orthogonal_updates(given, chunk))


def test_newton_schulz_multiplies_as_often_as_published() -> None:
    """Five iterations of 2 (2 n m^2 + m^3) FLOPs for each m x n matrix, m <= n (Jordan et al., 2024)."""
    h, layers = 1024, 8
    matrices = [(h, 3 * h), (h, h), (h, 4 * h), (h, 4 * h)]
    wanted = layers * sum(5 * 2 * (2 * n * m**2 + m**3) for m, n in matrices)
    assert flops(muon()) == wanted


def test_muon_is_slower_than_momentum_by_its_products() -> None:
    with_products, without = step(muon()), step(replace(job(), optimizer=optimizer("momentum")))
    assert with_products.states(0) == without.states(0)
    products = with_products.seconds(orthogonal_updates(with_products.job, 0))
    assert with_products.end.update_seconds(0) - without.end.update_seconds(0) == pytest.approx(products)


def test_shards_of_states_share_out_the_matrices() -> None:
    whole = step(muon(Layout(data=4)))
    shared = step(muon(Layout(data=4, zero=1)))
    assert shared.end.update_seconds(0) == pytest.approx(whole.end.update_seconds(0) / 4, rel=0.05)


def test_stages_share_out_the_layers() -> None:
    assert sum(flops(muon(Layout(pipeline=4)), c) for c in range(4)) == flops(muon())


def test_filters_are_matrices_of_filters_by_patches() -> None:
    graph = LayerGraph("c", (GraphLayer((Node("c", Convolution.square(1, 64, 128, 8, 8, 3)),)),))
    given = Job(graph, 1, 1, 1, optimizer=optimizer("muon"))
    m, n = 128, 64 * 9
    found = sum(float(np.asarray(c.op.flops())) * c.count for c in orthogonal_updates(given, 0))
    assert found == 5 * 2 * (2 * n * m**2 + m**3)


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(InputError, match="adam"):
        optimizer("adamm")
