"""From a scenario's `feed_forward` to the pool that a deployment's layers are fed forward on."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.engine.feed_forward import FeedForwardPool
from simulator.errors import refuse_beside
from simulator.hardware.calibration import calibrations_for
from simulator.hardware.device import device
from simulator.hardware.fabric import fabric_of
from simulator.hardware.law import TimingLaw
from simulator.hardware.links import link
from simulator.hardware.node import node
from simulator.hardware.overheads import overheads
from simulator.scenario import Scenario
from simulator.workloads.dtypes import dtype


def feed_forward_pool_of(scenario: Scenario, factors: Mapping[str, float] | None = None) -> FeedForwardPool | None:
    """The pool of one replica, None where its own devices feed forward; `factors` lengthens kernels by family.

    Raises `InputError` for an unknown device or link, and beside what cannot be combined with it.
    """
    spec = scenario.feed_forward
    if spec is None:
        return None
    _refuse_beside(scenario)
    alike = spec.device is None
    on = device(spec.device or scenario.device)
    engine = overheads(scenario.engine)
    file = spec.calibration or (scenario.calibration if alike else None)
    inside = (scenario.node if alike else None) or on.node
    law = TimingLaw(
        on,
        calibrations_for(on, backend=engine.engine, file=file),
        fabric_of(on, node(inside) if inside else None),
        engine.overlap,
        factors=factors or {},
    )
    price = spec.price_per_device_hour
    if price is None and alike:
        price = scenario.price_per_device_hour
    return FeedForwardPool(
        law,
        spec.devices,
        spec.expert,
        link(spec.link),
        spec.micro_batches,
        None if spec.weights is None else dtype(spec.weights),
        spec.memory_utilization,
        on.price if price is None else price,
    )


def _refuse_beside(scenario: Scenario) -> None:
    others = {
        "attention_offload": scenario.attention_offload is not None,
        "partition": scenario.partition is not None,
        "speculation": scenario.speculation.policy != "none",
        "execution": scenario.execution.policy != "sequential",
        "shared_prefix_tokens": scenario.shared_prefix_tokens > 0,
        "kv_cache.keep_share": scenario.kv_cache.keep_share is not None,
        "experts.offload": scenario.experts.offload is not None,
        "experts.local_share": scenario.experts.local_share > 0,
    }
    refuse_beside("feed_forward", others)
