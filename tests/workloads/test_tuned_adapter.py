"""Fine-tuning's operators and bytes against counts by hand and figures that others published."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.errors import InputError
from simulator.workloads.backward import (
    backward_calls,
    check_trainable,
    layer_calls,
    loss_gradient_calls,
    recomputed_calls,
)
from simulator.workloads.kept_activations import kept_bytes_per_token
from simulator.workloads.models import model
from simulator.workloads.operators import Call, Collective, Gemm
from simulator.workloads.parallelism import Parallelism, Precision
from simulator.workloads.tuned_adapter import TARGETS, TunedAdapter
from tests.builders import tiny_model

LLAMA = model("meta-llama/Llama-3.1-8B")
LAYER = LLAMA.layers[0]
ONE, TWO = Parallelism(), Parallelism(tensor=2)
EVERY = TunedAdapter(16, TARGETS)


def products(calls: list[Call]) -> float:
    return float(sum(c.count * c.op.flops() for c in calls if isinstance(c.op, Gemm)))


def test_parameters_are_those_that_peft_prints() -> None:
    """Rank 8 on queries and values of Llama-2-7B has 4,194,304 weights (32 layers x 2 x 8 x 8,192)."""
    assert TunedAdapter(8, ("q_proj", "v_proj")).parameters(model("meta-llama/Llama-2-7b"), ONE) == 4_194_304
    by_hand = 32 * 16 * (8192 + 5120 + 5120 + 8192 + 3 * (4096 + 14336))
    assert EVERY.parameters(LLAMA, ONE) == by_hand


def test_two_devices_split_the_sides_that_their_targets_split() -> None:
    by_hand = 32 * 16 * ((4096 + 2048) + 2 * (4096 + 512) + (2048 + 4096) + 3 * (4096 + 7168))
    assert EVERY.parameters(LLAMA, TWO) == by_hand


@pytest.mark.parametrize("parallel", [ONE, TWO])
def test_backward_products_have_as_many_flops_as_forward_ones(parallel: Parallelism) -> None:
    """Frozen weights have no gradients: 2 FLOPs a weight and token each way, a half of full training's backward."""
    forward = layer_calls(LLAMA, parallel, Precision(), LAYER, 300.0)
    backward = backward_calls(LLAMA, parallel, Precision(), LAYER, 300.0)
    weights = LAYER.parameters(LLAMA.hidden) - 2 * LLAMA.hidden
    assert products(backward) == products(forward) == pytest.approx(2.0 * 300 * weights / parallel.tensor)
    reduced = [sum(c.count for c in calls if isinstance(c.op, Collective)) for calls in (forward, backward)]
    assert reduced == [2 * (parallel.tensor - 1)] * 2


def test_adapters_cost_twice_as_much_backward() -> None:
    matrices = EVERY.matrices(LAYER, LLAMA.hidden, ONE)
    forward = products(EVERY.forward_calls(matrices, 100.0, Precision()))
    assert forward == 2.0 * 100 * EVERY.parameters(LLAMA, ONE) / 32
    assert products(EVERY.backward_calls(matrices, 100.0, Precision())) == 2.0 * forward


def test_the_loss_goes_back_through_the_head_once() -> None:
    calls = loss_gradient_calls(LLAMA, ONE, Precision(), 7.0)
    assert products(calls) == 2.0 * 7 * LLAMA.hidden * LLAMA.vocab


def test_pruning_computes_again_only_what_adapters_take_in() -> None:
    def again(*targets: str) -> list[str]:
        return [f"{c.count} {c.name}" for c in recomputed_calls(LLAMA, ONE, Precision(), LAYER, 9.0, targets)]

    assert again("o_proj") == []
    assert again("q_proj", "v_proj") == ["1 norm again"]
    assert again("k_proj", "up_proj", "down_proj") == ["2 norm again", "1 ffn activation again"]


def test_kept_activations_by_hand() -> None:
    """Numbers of a layer: two norm inputs, q, k, v, attention's output, gate and up; whole: also three more inputs."""
    adapter = TunedAdapter(4, ("down_proj",))
    pruned = 2 * 4096 + (4096 + 2 * 1024) + 4096 + 2 * 14336 + 4
    whole = pruned + 2 * 4096 + 14336
    kept = [kept_bytes_per_token(LLAMA, ONE, Precision(), adapter, pruned=p) for p in (True, False)]
    assert kept == [2 * (32 * pruned + 4096), 2 * (32 * whole + 2 * 4096) + 4 * 128256]
    split = kept_bytes_per_token(LLAMA, TWO, Precision(), adapter, pruned=True)
    assert split == 2 * (32 * (2 * 4096 + (4096 + 2 * 1024 + 4096 + 2 * 14336) / 2 + 4) + 4096)


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean gate_proj"):
        TunedAdapter(8, ("gates_proj",)).check(LLAMA)
    plain = replace(LAYER, ffn=replace(LAYER.ffn, gated=False))
    with pytest.raises(InputError, match="has no gate_proj"):
        EVERY.check(replace(LLAMA, layers=(plain,)))
    with pytest.raises(InputError, match="routed experts"):
        check_trainable(tiny_model(experts=True), ONE)
    with pytest.raises(InputError, match="pipeline"):
        check_trainable(LLAMA, Parallelism(pipeline=2))
