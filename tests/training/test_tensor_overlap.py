"""Overlap of products with tensor-parallel collectives: closed forms of both policies, and that no work is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.training.crowded import Crowded
from simulator.engine.training.tensor_overlap import TensorPasses, run_program
from simulator.errors import InputError
from simulator.policies.tensor_overlap import SERIAL, Compute, HalfBatches, Put, TensorOverlap, Tiles
from simulator.report.training.communication import communication_figures
from simulator.report.training.summary import breakdown
from simulator.workloads.operators import AnyOperator, Call, Collective, Elementwise, Gemm
from simulator.workloads.training.communication import Communication
from simulator.workloads.training.job import Layout
from tests.training.builders import job, step

PRODUCT = Call("p", Gemm(1.0, 1.0, 1.0))
NORM = Call("n", Elementwise(1.0, 1.0, 1.0))
SCATTER = Call("s", Collective("reduce_scatter", 1.0, 8))
REDUCE = Call("r", Collective("all_reduce", 1.0, 8))


def timed(calls: list[Call], policy: TensorOverlap, product: float, link: float) -> float:
    """Seconds under a policy where every operator takes as long beside collectives as alone."""

    def alone(op: AnyOperator) -> float:
        if isinstance(op, Collective):
            return link * (2.0 if op.pattern == "all_reduce" else 1.0)
        return product

    crowded = Crowded(step(job()).law, alone, 0.0)
    object.__setattr__(crowded, "_beside", lambda level, op: alone(op))
    return run_program(policy.program(calls), crowded).seconds


@given(st.floats(0.1, 10.0), st.floats(0.1, 10.0), st.integers(1, 16))
def test_tiles_take_the_longer_of_both_and_one_tile_of_the_other(product: float, link: float, tiles: int) -> None:
    """A pipeline of two stages: max(P, L) + min(P, L) / n."""
    found = timed([PRODUCT, SCATTER], Tiles(tiles), product, link)
    assert found == pytest.approx(max(product, link) + min(product, link) / tiles)


def test_an_all_reduce_leaves_its_gather_after_the_tiles() -> None:
    assert timed([PRODUCT, REDUCE, NORM], Tiles(4), 4.0, 2.0) == pytest.approx(4.0 + 2.0 / 4 + 2.0 + 4.0)
    assert timed([PRODUCT, REDUCE, NORM], SERIAL, 4.0, 2.0) == pytest.approx(4.0 + 4.0 + 4.0)


@given(st.integers(1, 12), st.floats(0.1, 4.0), st.floats(0.1, 4.0))
def test_halves_hide_all_but_one_collective_or_one_product(layers: int, product: float, link: float) -> None:
    """Two jobs through two machines in turn: 2 n P + L where products are longer, else n (P + L) + ... at most."""
    found = timed([PRODUCT, SCATTER] * layers, HalfBatches(), product, link)
    assert found == pytest.approx(product + 2 * layers * max(product, link) - max(product, link) + link)


@given(st.lists(st.sampled_from([PRODUCT, NORM, SCATTER, REDUCE]), max_size=20), st.sampled_from([1, 3, 8]))
def test_every_operator_is_there_for_every_part(calls: list[Call], tiles: int) -> None:
    for policy in (SERIAL, Tiles(tiles), HalfBatches()):
        actions = policy.program(calls)
        computed = sum(len(a.calls) * a.share for a in actions if isinstance(a, Compute))
        halves = {"all_reduce": 2.0, "reduce_scatter": 1.0, "all_gather": 1.0}
        sent = sum(halves[a.link.pattern] * a.share for a in actions if isinstance(a, Put))
        collectives = [c.op for c in calls if isinstance(c.op, Collective)]
        assert computed == pytest.approx(policy.parts * (len(calls) - len(collectives)))
        assert sent == pytest.approx(policy.parts * sum(halves[c.pattern] for c in collectives))


@pytest.mark.parametrize("sequence_parallel", [False, True])
@pytest.mark.parametrize("policy", [Tiles(), HalfBatches(units=0.0)])
def test_overlap_is_faster_and_its_parts_add_up(policy: TensorOverlap, sequence_parallel: bool) -> None:
    layout = Layout(tensor=8, sequence_parallel=sequence_parallel)
    model = {"hidden": 8192, "heads": 64, "sequence": 2048, "micro": 2, "layers": 2, "batch": 2}
    plain = step(job(layout=layout, **model))  # type: ignore[arg-type]
    found = step(job(layout=layout, communication=Communication(tensor=policy), **model))  # type: ignore[arg-type]
    assert found.step_seconds < plain.step_seconds
    assert sum(breakdown(found).values()) == pytest.approx(found.step_seconds)
    exposed, hidden = (communication_figures(found, 0)[k]["tensor_parallel"] for k in ("exposed_s", "hidden_s"))
    assert hidden > 0.0
    whole = communication_figures(plain, 0)["exposed_s"]["tensor_parallel"]
    assert exposed < whole
    assert found.step_seconds == pytest.approx(
        plain.step_seconds - whole + exposed + communication_figures(found, 0)["crowding_s"], rel=0.1
    )


def test_serial_passes_take_what_their_operators_take() -> None:
    found = step(job(layout=Layout(tensor=4), recompute="full"))
    passes = TensorPasses(found.job, Crowded(found.law, found.of, 0.0))
    assert passes.forward(0).seconds == pytest.approx(found.pass_seconds.forward[0])
    assert passes.backward(0, weights=True).seconds == pytest.approx(found.pass_seconds.backward[0])


def test_overlap_goes_with_buckets_and_an_odd_micro_batch_cannot_be_halved() -> None:
    layout = Layout(tensor=4, data=4)
    both = Communication(gradient_bucket=4e6, tensor=Tiles())
    found = step(job(layout=layout, communication=both))
    assert sum(breakdown(found).values()) == pytest.approx(found.step_seconds)
    assert found.exchanging[0].streams.seconds("hidden")
    with pytest.raises(InputError, match=r"batch\.micro 1 cannot be cut into 2"):
        assert step(job(layout=layout, communication=Communication(tensor=HalfBatches()))).step_seconds


def test_without_tensor_parallelism_a_bucketed_step_computes_whole_micro_batches() -> None:
    given_job = job(layout=Layout(data=4), micro=2, batch=16)
    halves = replace(given_job, communication=Communication(gradient_bucket=4e6, tensor=HalfBatches()))
    plain = replace(given_job, communication=Communication(gradient_bucket=4e6))
    assert step(halves).step_seconds == step(plain).step_seconds
