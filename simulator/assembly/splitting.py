"""From a scenario's `partition.split` to what a cluster splits its devices by."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from simulator.engine.device_split import Split, SplitRecord
from simulator.engine.part_timing import PartTiming
from simulator.engine.step_timer import StepTimer
from simulator.hardware.law import TimingLaw
from simulator.policies.registry import build_policy
from simulator.scenario import Scenario
from simulator.specs.combining import refuse_together
from simulator.workloads.operators import Elementwise

STREAMED = 1 << 30  # numbers, enough for a stream to reach its full rate


def split_of(
    scenario: Scenario, timer: Callable[[float, float], StepTimer], law: TimingLaw, *, keep_iterations: bool
) -> Split:
    """How the devices are split, by timers for shares of their units and bandwidth and the `law` of a whole one.

    Raises `InputError` for an unknown policy or wrong options, and beside what cannot be combined with it.
    """
    assert scenario.partition is not None
    spec = scenario.partition.split
    assert spec is not None
    refuse_together(f"partition.split {spec.policy}", scenario, "parallel.pipeline above 1", "kv_cache.tiers")
    policy = partial(build_policy, "split", spec.policy, spec.options, objectives=scenario.objectives)
    policy()
    wanted = scenario.objectives
    return Split(
        cost=PartTiming(timer, scenario.partition.saturating_units, attainable_bandwidth(law), spec.step).cost,
        policy=policy,
        splits=spec.shares(),
        initial=round(scenario.partition.prefill_units, 9),
        record=SplitRecord(iterations=keep_iterations),
        alone_on_part=spec.alone == "part",
        ttft=None if wanted.ttft_ms is None else wanted.ttft_ms / 1e3,
        tpot=None if wanted.tpot_ms is None else wanted.tpot_ms / 1e3,
    )


def attainable_bandwidth(law: TimingLaw) -> float:
    """Bytes/s that a long stream reads and writes on a device."""
    stream = Elementwise(float(STREAMED), 1, 1)
    return float(stream.bytes()) / float(law.seconds(stream))
