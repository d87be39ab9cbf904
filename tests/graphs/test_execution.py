"""A graph on a device: kernels one after the other, issued one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.inference.execution import Execution, execute
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.kernels import Roofs
from simulator.hardware.law import TimingLaw
from simulator.hardware.relatives import calibrations_for
from simulator.inference import infer
from simulator.specs.inference import InferenceScenario
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.lifetimes import live_bytes, peak_activation_bytes
from simulator.workloads.graphs.lowering import Kernel
from simulator.workloads.operators import Gemm


def law():
    a100 = device("nvidia-a100-sxm-80gb")
    return TimingLaw(a100, calibrations_for(a100), fabric_of(a100, None))


@given(
    st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(1, 4)), min_size=1, max_size=8), st.floats(0.0, 5.0)
)  # fmt: skip
def test_launches_wait_for_the_host_and_for_one_another(launches, dispatch):
    """The closed form of all ends against a walk through the launches one by one."""
    made = tuple(Kernel("n", "MatMul", Gemm(1, 1, 1), count) for _, count in launches)
    roofs = tuple(Roofs(seconds, 0.0, 0.0) for seconds, _ in launches)
    g = Builder("g")
    execution = Execution(g.build(g.input(1)), made, roofs, law(), dispatch)
    issued = free = 0.0
    for at, (seconds, count) in enumerate(launches):
        for _ in range(count):
            issued += dispatch
            free = max(issued, free) + seconds
        assert execution.ends[at] == pytest.approx(free)


def test_latency_is_the_sum_of_the_kernels_where_nothing_waits():
    (part,) = graph_model("resnet-18").parts
    execution = execute(part.graph, law(), call=1e-3)
    assert execution.seconds == pytest.approx(1e-3 + execution.busy.sum())


def test_a_compiled_graph_is_quicker_than_an_eager_one():
    fields = {"model": "resnet-50", "device": "nvidia-a100-sxm-80gb", "format": "fp16"}
    eager, compiled = (infer(InferenceScenario(**fields, runtime=r)) for r in ("eager", "compiled"))
    assert compiled.seconds < eager.seconds
    assert eager.summary["time_by_bound_ms"]["host"] > 0.0


def test_memory_holds_what_is_still_to_be_read():
    g = Builder("g")
    x = g.input(1, 4, 8, 8)
    y = g.act(x)
    z = g.act(y)
    graph = g.build(g.add(z, x))
    size = 4 * 8 * 8 * 4
    # the input waits for the sum, so that three buffers are there while the second activation and the sum run
    assert live_bytes(graph).tolist() == [2 * size, 3 * size, 3 * size]
    assert peak_activation_bytes(graph) == 3 * size


def test_times_of_types_and_of_bounds_add_up_to_the_latency():
    scenario = InferenceScenario(model="resnet-18", device="nvidia-a100-sxm-80gb", runtime="eager")
    summary = infer(scenario).summary
    for parts in ("time_by_type_ms", "time_by_bound_ms"):
        assert np.isclose(sum(summary[parts].values()), summary["latency_ms"])


@pytest.mark.parametrize(
    ("on", "runtime"), [("nvidia-h100-sxm-80gb", "torch-amp"), ("samsung-hbm-pim-a100", "compiled")]
)
def test_no_more_than_the_peak_of_what_computes_is_used(on, runtime):
    """Mixed precision computes in another format than the scenario's, and memory leaves products to a GPU."""
    model = {"family": "transformer", "options": {"depth": 2, "width": 4096, "heads": 32, "hidden": 16384}}
    format = "fp32" if runtime == "torch-amp" else "fp16"
    found = infer(InferenceScenario(model=model, device=on, runtime=runtime, format=format, batch=8)).summary
    assert 0.2 < found["share_of_peak_flops"] <= 1.0


def test_energy_counts_the_device_beside_that_computes():
    """A GPU beside a memory takes what it takes without it, and the memory at least what it takes idle."""
    model = {"model": "resnet-18", "format": "fp16", "batch": 8}
    alone, beside = (
        infer(InferenceScenario(**model, device=on)) for on in ("nvidia-a100-sxm-80gb", "samsung-hbm-pim-a100")
    )
    assert beside.joules > alone.joules
