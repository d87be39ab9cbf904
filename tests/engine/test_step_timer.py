"""The step timer's tables against the operators timed one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.breakdown import iteration_parts
from simulator.engine.deployment import Deployment, deploy
from simulator.engine.memory import plan_memory
from simulator.errors import InputError
from simulator.hardware.device import device
from simulator.policies.batching.state import Limits
from simulator.workloads.parallelism import Parallelism, Precision
from tests.builders import tiny_model

LAYOUTS = {
    "one": deploy(tiny_model(window=40), device("nvidia-l4-24gb")),
    "sharded": deploy(tiny_model(window=40), device("nvidia-h100-sxm-80gb"), parallel=Parallelism(tensor=2)),
    "staged": deploy(tiny_model(), device("nvidia-h100-sxm-80gb"), parallel=Parallelism(pipeline=2)),
    "experts": deploy(tiny_model(experts=True), device("nvidia-a100-sxm-80gb"), parallel=Parallelism(data=4, expert=4)),
}


def timed(deployment: Deployment, prefill: list[tuple[int, int]], decode: list[int]) -> float:
    timer = deployment.timer
    contexts = [(sum(s.attended(c + 1) for c in decode), len(decode)) for s in timer.spans]
    return timer.step_seconds(len(decode), contexts, timer.chunks(prefill))


@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    prefill=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 300)), max_size=4),
    decode=st.lists(st.integers(1, 500), max_size=20),
)
@settings(max_examples=60, deadline=None)
def test_explanation_accounts_for_all_of_a_step(layout: str, prefill: list[tuple[int, int]], decode: list[int]) -> None:
    if prefill or decode:
        parts = iteration_parts(LAYOUTS[layout], prefill=prefill, decode=decode)
        assert sum(p.seconds for p in parts) == pytest.approx(timed(LAYOUTS[layout], prefill, decode), rel=1e-9)
        assert sum(p.share for p in parts) == pytest.approx(1.0)


def test_decode_runs_equal_single_steps_to_the_last_bit() -> None:
    timer = LAYOUTS["one"].timer
    run = timer.decode_seconds(5, [(5000, 5), (200, 5)], 400)
    single = [timer.decode_seconds(5, [(5000 + 5 * j, 5), (200 + 5 * j, 5)], 1)[0] for j in range(400)]
    assert run.tolist() == single
    assert (np.diff(run) >= 0).all()


def test_stage_times_add_up() -> None:
    timer = LAYOUTS["staged"].timer
    chunks = timer.chunks([(0, 100)])
    assert sum(timer.stage_seconds(3, [(300, 3)], chunks)) == pytest.approx(timer.step_seconds(3, [(300, 3)], chunks))


def test_more_work_takes_longer() -> None:
    one = LAYOUTS["one"]
    assert timed(one, [(0, 200)], []) < timed(one, [(0, 400)], []) < timed(one, [(400, 400)], [])
    assert timed(one, [], [100]) < timed(one, [], [4000] * 8)


def test_memory_plan_fills_what_is_usable() -> None:
    deployment = LAYOUTS["one"]
    plan = deployment.memory
    spent = plan.weights + plan.activations + plan.runtime + plan.kv_bytes
    assert plan.usable - plan.block_bytes < spent <= plan.usable


def test_a_model_that_does_not_fit_says_what_is_missing() -> None:
    small = device("nvidia-t4-16gb")
    with pytest.raises(InputError, match=r"GB are missing: use tensor_parallel \d"):
        deploy("meta-llama/Llama-3.1-70B", small)
    with pytest.raises(InputError, match="do not fit beside"):
        plan_memory(
            tiny_model(), Parallelism(), Precision(), small, Limits(), utilization=0.9, block_tokens=16, blocks=10**9
        )


def test_node_of_another_device_is_refused() -> None:
    with pytest.raises(InputError, match="holds"):
        deploy(tiny_model(), "nvidia-l4-24gb", node_name="hgx-h100")
