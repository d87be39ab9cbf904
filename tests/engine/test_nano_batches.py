"""Nano-batches: bounds on what overlapping can give, and the same times however steps are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.chunks import NO_CHUNKS
from simulator.engine.step_timer import StepTimer
from simulator.experiment import run
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.node import node
from simulator.hardware.overheads import StepOverheads
from simulator.hardware.relatives import calibrations_for
from simulator.policies.execution import Execution, NanoBatches, Sequential
from simulator.scenario import scenario_from
from simulator.workloads.models import model
from simulator.workloads.parallelism import Parallelism, Precision
from tests.builders import rows, serve, tiny_model
from tests.engine.test_fast_forward import outcome

H100 = device("nvidia-h100-sxm-80gb")
LAW = TimingLaw(H100, calibrations_for(H100), fabric_of(H100, node("hgx-h100")))


def timer(execution: Execution, *, name: str = "meta-llama/Llama-2-70b", tensor: int = 8) -> StepTimer:
    return StepTimer(model(name), Parallelism(tensor=tensor), Precision(), LAW, StepOverheads(), execution)


PLAIN = timer(Sequential())


@settings(max_examples=40, deadline=None)
@given(
    sequences=st.integers(1, 1500),
    context=st.integers(1, 4000),
    batches=st.integers(2, 4),
    memory=st.floats(0, 1),
    network=st.floats(0, 1),
)
def test_overlap_is_bounded(sequences: int, context: int, batches: int, memory: float, network: float) -> None:
    """No quicker than its largest part, no slower than the nano-batches one after the other."""
    found = timer(NanoBatches(batches=batches, least_tokens=1, memory_units=memory, network_units=network))
    contexts = [(sequences * context, sequences)]
    stage = found.stages[0]
    dense, net = stage.dense_seconds[sequences], stage.network_seconds[sequences]
    head = stage.head_seconds[sequences]
    attention = sum(piece.decoding(sequences, sequences * context) for _, piece in stage.pieces)
    seconds = found.step_seconds(sequences, contexts, NO_CHUNKS)
    assert max(dense, attention, net) + head <= seconds * (1 + 1e-12)
    assert seconds <= (dense + attention + net + head) * (1 + 1e-12)
    many = found.decode_seconds(sequences, contexts, 3)
    assert many[0] == seconds
    assert np.all(np.diff(many) >= 0)


def test_with_all_units_taken_nothing_overlaps() -> None:
    """Then what is left is the price of reading the weights once for each nano-batch."""
    whole = timer(NanoBatches(least_tokens=1, memory_units=1.0, network_units=1.0))
    contexts = [(1000 * 500, 1000)]
    assert whole.step_seconds(1000, contexts, NO_CHUNKS) >= PLAIN.step_seconds(1000, contexts, NO_CHUNKS)


def test_small_iterations_stay_whole() -> None:
    found = timer(NanoBatches(least_tokens=512))
    contexts = [(100 * 500, 100)]
    assert found.step_seconds(100, contexts, NO_CHUNKS) == PLAIN.step_seconds(100, contexts, NO_CHUNKS)


def test_it_pays_for_large_batches_only() -> None:
    """NanoFlow's case, Llama-2-70B over eight GPUs: products, attention and network each take a good part."""
    found = timer(NanoBatches(least_tokens=1))
    gain = [
        PLAIN.step_seconds(n, [(n * 700, n)], NO_CHUNKS) / found.step_seconds(n, [(n * 700, n)], NO_CHUNKS)
        for n in (16, 2048)
    ]
    assert gain[0] < 1 < gain[1]


def test_fast_forward_changes_no_time() -> None:
    tiny = StepTimer(tiny_model(), Parallelism(), Precision(), LAW, StepOverheads(), NanoBatches(least_tokens=3))
    source = rows([0.002 * i for i in range(9)], [20] * 9, [40] * 9)
    fast, slow = (outcome(serve(source, timer=tiny, fast_forward=f)[1]) for f in (True, False))
    assert fast == slow


def test_a_scenario_names_it() -> None:
    values: dict[str, Any] = {
        "model": "meta-llama/Llama-3.2-1B",
        "device": "L4",
        "execution": {"policy": "nano-batches", "options": {"least_tokens": 16}},
        "load": {
            "generator": {
                "arrivals": {"process": "burst"},
                "prompt_tokens": {"law": "fixed", "tokens": 100},
                "output_tokens": {"law": "fixed", "tokens": 30},
                "requests": 64,
            }
        },
    }
    nano = run(scenario_from(values)).summary["makespan_s"]
    assert nano != pytest.approx(run(scenario_from(values | {"execution": {}})).summary["makespan_s"], rel=1e-6)
